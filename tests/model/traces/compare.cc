// SPDX-License-Identifier: BSD-2-Clause
//
// What: compares answers of kevent() and words the first difference.
#include "compare.hpp"

#include <fmt/format.h>
#include <sys/event.h>

#include <algorithm>
#include <optional>

#include "names.hpp"

namespace quay::traces {
namespace {

bool is_error(const entry& e) { return (e.flags & EV_ERROR) != 0; }

bool same_note(const entry& a, const entry& b) {
  return a.object == b.object && a.filter == b.filter && is_error(a) == is_error(b);
}

bool equal(const entry& expected, const entry& got) {
  return same_note(expected, got) && expected.flags == got.flags && expected.fflags == got.fflags &&
         expected.udata == got.udata && (!expected.data_matters || expected.data == got.data);
}

std::string sort_of(const entry& e) {
  if (is_error(e))
    return "EV_ERROR " +
           (e.data == 0 ? std::string("receipt") : errno_name(static_cast<int>(e.data)));
  const unsigned behaviour = e.flags & (EV_ONESHOT | EV_CLEAR | EV_DISPATCH | EV_EOF);
  return behaviour == 0 ? "level" : flag_names(behaviour);
}

// How the changelist of the call spoke about the note: it separates "modify" mistakes from "scan"
// mistakes.
std::string asked_by(const operation& op, const entry& e) {
  std::string out;
  for (const entry& change : op.changes) {
    if (change.object == e.object && change.filter == e.filter)
      out = ", changed by " + flag_names(change.flags);
  }
  return out;
}

std::string wording_of_contents(const entry& expected, const entry& got) {
  const std::string of = filter_name(expected.filter) + (is_error(expected) ? " error entry" : "");
  if (is_error(expected) && expected.data != got.data) {
    return fmt::format("{}: {} instead of {}", of, sort_of(got), sort_of(expected));
  }
  if (expected.flags != got.flags) {
    return fmt::format("flags of {}: missing {}, extra {}", of,
                       flag_names(expected.flags & ~got.flags),
                       flag_names(got.flags & ~expected.flags));
  }
  std::string fields;
  if (expected.fflags != got.fflags) fields += "fflags ";
  if (expected.data_matters && expected.data != got.data) fields += "data ";
  if (expected.udata != got.udata) fields += "udata ";
  return fields + "of " + of + (expected.object.starts_with('q') ? " on a queue" : "");
}

// Pairs each got event with an equal expected one; what is left over on either side is the
// difference.
struct leftovers {
  std::vector<entry> expected;
  std::vector<entry> got;
};

leftovers pair_up(const operation& op, const answer& got) {
  leftovers left{op.expected, {}};
  for (const entry& event : got.events) {
    const auto match =
        std::find_if(left.expected.begin(), left.expected.end(),
                     [&](const entry& candidate) { return equal(candidate, event); });
    if (match == left.expected.end()) {
      left.got.push_back(event);
    } else {
      left.expected.erase(match);
    }
  }
  return left;
}

std::string wording_of_leftovers(const operation& op, const leftovers& left) {
  for (const entry& got : left.got) {
    for (const entry& expected : left.expected) {
      if (same_note(expected, got))
        return wording_of_contents(expected, got) + asked_by(op, expected);
    }
  }
  if (!left.got.empty()) {
    const entry& e = left.got.front();
    return fmt::format("extra {} event ({}{})", filter_name(e.filter), sort_of(e), asked_by(op, e));
  }
  const entry& e = left.expected.front();
  return fmt::format("missing {} event ({}{})", filter_name(e.filter), sort_of(e), asked_by(op, e));
}

bool in_order(const operation& op, const answer& got) {
  return std::equal(op.expected.begin(), op.expected.end(), got.events.begin(), got.events.end(),
                    equal);
}

std::string kind_of_difference(const operation& op, bool strict_order, const answer& got) {
  if (op.result < 0 || got.result < 0) {
    if (op.result < 0 && got.result < 0 && op.error == got.error) return {};
    const auto outcome = [](long result, int error) {
      return result < 0 ? "fails with " + errno_name(error)
                        : std::string(result == 0 ? "returns 0" : "returns entries");
    };
    return fmt::format("the call {}, but {} in the trace", outcome(got.result, got.error),
                       outcome(op.result, op.error));
  }
  const leftovers left = pair_up(op, got);
  const bool all_accounted = left.got.empty() && (op.any_of || left.expected.empty());
  if (!all_accounted) return wording_of_leftovers(op, left);
  if (got.result != op.result)
    return fmt::format("{} entries instead of {}", got.result, op.result);
  if (strict_order && !op.any_of && !in_order(op, got)) return "order of events";
  return {};
}

std::string list(const std::vector<entry>& events) {
  std::string out;
  for (const entry& e : events) out += "\n           " + describe(e);
  return out;
}

}  // namespace

std::string describe(const entry& e) {
  std::string data = fmt::format("{}", e.data);
  if (is_error(e) && e.data != 0) data = errno_name(static_cast<int>(e.data));
  if (!e.data_matters) data += " (any)";
  return fmt::format("{{{} {} flags={} fflags={:#x} data={} udata={}}}", e.object,
                     filter_name(e.filter), flag_names(e.flags), e.fflags, data, e.udata);
}

std::string describe(const answer& a) {
  if (a.result < 0) return "-1 " + errno_name(a.error);
  return fmt::format("{}{}", a.result, list(a.events));
}

difference compare(const operation& op, bool strict_order, const answer& got) {
  answer recorded{op.result, op.error, op.expected};
  difference out{kind_of_difference(op, strict_order, got), describe(recorded), describe(got)};
  if (op.any_of) out.expected += "\n           (any so many of these)";
  return out;
}

}  // namespace quay::traces
