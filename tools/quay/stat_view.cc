// SPDX-License-Identifier: BSD-2-Clause
//
// What: see stat_view.hpp.
#include "stat_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/note.hpp"
#include "event_view.hpp"

namespace quay::tool {

namespace {

using form = core::catalogue::form;
using objects = std::vector<shown_object>;

bool is_shown(const shown_field& f) {
  return f.how != form::internal && f.how != form::in_use && f.how != form::not_in_use;
}

bool is_on_descriptor(std::int64_t filter) {
  switch (filter) {
    case EVFILT_READ:
    case EVFILT_WRITE:
    case EVFILT_EXCEPT:
    case EVFILT_EMPTY:
    case EVFILT_VNODE:
    case EVFILT_PROCDESC:
      return true;
    default:
      return false;
  }
}

// Slots from `first` on through their links.
void follow(inventory& all, std::uint32_t first, std::size_t most, objects& into) {
  while (first != 0 && into.size() < most) {
    std::optional<shown_object> note = all.slot("note", first);
    if (!note.has_value()) return;
    first = static_cast<std::uint32_t>((*note)["link"]);
    into.push_back(std::move(*note));
  }
}

objects notes_of(inventory& all, const shown_object& queue) {
  const auto most = static_cast<std::size_t>(queue["notes"]);
  const auto numbers = [&](std::string_view array, std::string_view room) {
    return all.slot_numbers(static_cast<std::uint64_t>(queue[array]),
                            static_cast<std::uint64_t>(queue[room]));
  };
  objects found;
  for (const std::uint32_t n : numbers("interests", "interests_room")) {
    const std::optional<shown_object> interest = all.slot("interest", n);
    if (!interest.has_value()) continue;
    follow(all, static_cast<std::uint32_t>((*interest)["first_note"]), most, found);
  }
  for (const std::uint32_t n : numbers("hash", "hash_room")) follow(all, n, most, found);
  return found;
}

std::vector<std::string> states(std::int64_t status) {
  std::vector<std::string> words;
  const auto say = [&](unsigned bit, const char* word) {
    if ((static_cast<unsigned>(status) & bit) != 0) words.emplace_back(word);
  };
  say(core::state::kActive, "active");
  say(core::state::kQueued, "queued");
  say(core::state::kDisabled, "disabled");
  say(core::state::kTriggered, "triggered");
  return words;
}

std::string value_text(const shown_field& f) {
  switch (f.how) {
    case form::yes_no:
      return f.value != 0 ? "yes" : "no";
    case form::address:
      return fmt::format("{:#x}", static_cast<std::uint64_t>(f.value));
    case form::named:
      return f.text;
    case form::number:
      return fmt::format("{}", static_cast<std::uint64_t>(f.value));
    default:
      return fmt::format("{}", f.value);
  }
}

nlohmann::ordered_json value_json(const shown_field& f) {
  switch (f.how) {
    case form::yes_no:
      return f.value != 0;
    case form::named:
      return f.text;
    case form::integer:
      return f.value;
    default:
      return static_cast<std::uint64_t>(f.value);
  }
}

nlohmann::ordered_json object_json(const shown_object& o) {
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  for (const shown_field& f : o.fields) {
    if (is_shown(f)) out[f.name] = value_json(f);
  }
  return out;
}

nlohmann::ordered_json note_json(const shown_object& note) {
  nlohmann::ordered_json out = object_json(note);
  const auto filter = static_cast<int>(note["filter"]);
  out["filter_name"] = filter_name(filter);
  out["flags_names"] = flag_names(static_cast<unsigned>(note["flags"]));
  out["asked_names"] = fflag_names(filter, static_cast<unsigned>(note["asked_fflags"]));
  out["states"] = states(note["status"]);
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

std::string note_text(const process_figures& p, const shown_object& note) {
  const auto filter = static_cast<int>(note["filter"]);
  std::string what = is_on_descriptor(filter) ? descriptor_of(p.pid, note["ident"]) : "";
  std::vector<std::string> bits = flag_names(static_cast<unsigned>(note["flags"]));
  for (std::string& each : fflag_names(filter, static_cast<unsigned>(note["asked_fflags"]))) {
    bits.push_back(std::move(each));
  }
  return fmt::format("      {:<16}{:>6}  {:<28}{:<24}{}\n", filter_name(filter), note["ident"],
                     what, joined(states(note["status"])), joined(bits));
}

// A head and rows of words, each column as wide as it must be; lines below[n] follow row n.
std::string table(const std::vector<std::vector<std::string>>& rows,
                  const std::vector<std::string>& below, const palette& colours) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t c = 0; c < row.size() && c < widths.size(); ++c) {
      widths[c] = std::max(widths[c], row[c].size());
    }
  }
  std::string out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line = "   ";
    for (std::size_t c = 0; c < rows[r].size() && c < widths.size(); ++c) {
      line += fmt::format(" {:>{}} ", rows[r][c], widths[c]);
    }
    out += (r == 0 ? colours.dim(line) : line) + "\n";
    if (r > 0 && r - 1 < below.size()) out += below[r - 1];
  }
  return out;
}

std::string as_table(const process_figures& p, const process_figures::kind& k,
                     const palette& colours) {
  std::vector<std::vector<std::string>> rows(1);
  for (const shown_field& f : k.objects.front().fields) {
    if (is_shown(f)) rows[0].push_back(f.name);
  }
  std::vector<std::string> below;
  for (const shown_object& o : k.objects) {
    std::vector<std::string> row;
    for (const shown_field& f : o.fields) {
      if (is_shown(f)) row.push_back(value_text(f));
    }
    rows.push_back(std::move(row));
  }
  if (k.name == "kqueue") {
    for (const objects& notes : p.notes) {
      std::string lines;
      for (const shown_object& note : notes) lines += note_text(p, note);
      below.push_back(std::move(lines));
    }
  }
  return table(rows, below, colours);
}

std::string as_list(const shown_object& o) {
  std::string out;
  for (const shown_field& f : o.fields) {
    if (is_shown(f)) out += fmt::format("    {:<22}{}\n", f.name, value_text(f));
  }
  return out;
}

}  // namespace

bool is_single(const std::string& kind) {
  return kind == "process" || kind == "tunables" || kind == "aio" || kind == "pipes";
}

process_figures examine(inventory& all, bool with_notes) {
  process_figures p{all.pid(), program_of(all.pid()), {}, {}};
  for (const std::string& name : all.kinds()) {
    process_figures::kind k{name, all.objects(name)};
    if (with_notes && name == "kqueue") {
      for (const shown_object& queue : k.objects) p.notes.push_back(notes_of(all, queue));
    }
    if (!k.objects.empty()) p.kinds.push_back(std::move(k));
  }
  return p;
}

nlohmann::ordered_json to_json(const process_figures& p) {
  nlohmann::ordered_json out = {{"pid", p.pid}, {"program", p.program}};
  for (const process_figures::kind& k : p.kinds) {
    if (is_single(k.name)) {
      out[k.name] = object_json(k.objects.front());
      continue;
    }
    nlohmann::ordered_json& list = out[k.name] = nlohmann::ordered_json::array();
    for (const shown_object& o : k.objects) list.push_back(object_json(o));
    if (k.name != "kqueue") continue;
    for (std::size_t n = 0; n < p.notes.size(); ++n) {
      nlohmann::ordered_json& notes = list[n]["registered"] = nlohmann::ordered_json::array();
      for (const shown_object& note : p.notes[n]) notes.push_back(note_json(note));
    }
  }
  return out;
}

std::string to_text(const process_figures& p, const palette& colours) {
  std::string out = colours.bold(fmt::format("{} {}", p.pid, p.program)) + "\n";
  for (const process_figures::kind& k : p.kinds) {
    out += colours.cyan(k.name) + "\n";
    out += is_single(k.name) ? as_list(k.objects.front()) : as_table(p, k, colours);
  }
  return out;
}

}  // namespace quay::tool
