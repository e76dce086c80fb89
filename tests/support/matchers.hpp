// SPDX-License-Identifier: BSD-2-Clause
//
// What: matchers that read as sentences and print events by their names.
//   EXPECT_THAT(poll(kq), ElementsAre(Event(fd, EVFILT_READ).data(3).flags(EV_CLEAR)));
//   EXPECT_THAT(alter(kq, {remove(fd, EVFILT_READ)}), FailsWith(ENOENT));
// Contract: an Event without `.flags()` has no flag set and without `.fflags()` none of those;
// `data` and `udata` are looked at only where given. Of the flags, those that systems echo or not
// (EV_ADD, EV_DELETE, EV_ENABLE, EV_DISABLE) and DragonFly's additions (EV_NODATA, EV_HUP) count
// only in `.exactly_flags()`.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/event.h>

#include <optional>
#include <ostream>
#include <string>

#include "kqueue.hpp"

namespace quay::test {

inline std::string filter_word(int filter) {
  switch (filter) {
    case EVFILT_READ:
      return "READ";
    case EVFILT_WRITE:
      return "WRITE";
    case EVFILT_SIGNAL:
      return "SIGNAL";
    case EVFILT_TIMER:
      return "TIMER";
    case EVFILT_USER:
      return "USER";
    case EVFILT_EXCEPT:
      return "EXCEPT";
    case EVFILT_EMPTY:
      return "EMPTY";
    default:
      return "filter " + std::to_string(filter);
  }
}

inline std::string flag_words(unsigned flags) {
  static constexpr struct {
    unsigned bit;
    const char* word;
  } kWords[] = {{EV_ADD, "ADD"},         {EV_DELETE, "DELETE"},     {EV_ENABLE, "ENABLE"},
                {EV_DISABLE, "DISABLE"}, {EV_ONESHOT, "ONESHOT"},   {EV_CLEAR, "CLEAR"},
                {EV_RECEIPT, "RECEIPT"}, {EV_DISPATCH, "DISPATCH"}, {EV_HUP, "HUP"},
                {EV_NODATA, "NODATA"},   {EV_ERROR, "ERROR"},       {EV_EOF, "EOF"}};
  std::string out;
  for (const auto& [bit, word] : kWords) {
    if ((flags & bit) == 0) continue;
    out += (out.empty() ? "" : "|") + std::string(word);
    flags &= ~bit;
  }
  if (flags != 0) out += "|" + std::to_string(flags);
  return out.empty() ? "none" : out;
}

inline void describe_event(const struct kevent& e, std::ostream& os) {
  os << "{" << filter_word(e.filter) << " " << e.ident << " flags " << flag_words(e.flags)
     << " fflags 0x" << std::hex << e.fflags << std::dec << " data " << e.data;
  if ((e.flags & EV_ERROR) != 0 && e.data != 0)
    os << " (" << ::strerrorname_np(static_cast<int>(e.data)) << ")";
  os << " udata " << e.udata << "}";
}

class event_matcher {
 public:
  using is_gtest_matcher = void;

  event_matcher(uintptr_t ident, int filter) : ident_(ident), filter_(filter) {}

  event_matcher& flags(unsigned value) {
    return flags_ = value, flag_mask_ = kPortableFlags, *this;
  }
  event_matcher& exactly_flags(unsigned value) { return flags_ = value, flag_mask_ = ~0u, *this; }
  event_matcher& any_flags() { return flag_mask_ = 0, *this; }
  event_matcher& fflags(unsigned value) { return fflags_ = value, *this; }
  event_matcher& any_fflags() { return fflags_.reset(), *this; }
  event_matcher& data(intptr_t value) { return data(testing::Eq(value)); }
  template <typename Matcher>
  event_matcher& data(const Matcher& matcher) {
    return data_ = testing::SafeMatcherCast<intptr_t>(matcher), *this;
  }
  event_matcher& udata(const void* value) { return udata_ = value, *this; }
  event_matcher& udata(uintptr_t value) {
    return udata_ = reinterpret_cast<const void*>(value), *this;
  }

  bool MatchAndExplain(const struct kevent& e, std::ostream* os) const {
    const auto wrong = [os](const char* what) {
      if (os != nullptr) *os << "whose " << what << " differs";
      return false;
    };
    if (e.ident != ident_) return wrong("ident");
    if (e.filter != filter_) return wrong("filter");
    if ((e.flags & flag_mask_) != (flags_ & flag_mask_)) return wrong("flags");
    if (fflags_ && e.fflags != *fflags_) return wrong("fflags");
    if (data_ && !data_->Matches(e.data)) return wrong("data");
    if (udata_ && e.udata != *udata_) return wrong("udata");
    return true;
  }

  void DescribeTo(std::ostream* os) const {
    *os << "is a " << filter_word(filter_) << " event of " << ident_;
    if (flag_mask_ != 0) *os << " with flags " << flag_words(flags_);
    if (fflags_) *os << " fflags 0x" << std::hex << *fflags_ << std::dec;
    if (data_) {
      *os << " data that ";
      data_->DescribeTo(os);
    }
    if (udata_) *os << " udata " << *udata_;
  }

  void DescribeNegationTo(std::ostream* os) const {
    *os << "not: ";
    DescribeTo(os);
  }

 private:
  static constexpr unsigned kPortableFlags =
      EV_ONESHOT | EV_CLEAR | EV_RECEIPT | EV_DISPATCH | EV_FLAG1 | EV_ERROR | EV_EOF;

  uintptr_t ident_;
  int filter_;
  unsigned flags_ = 0;
  unsigned flag_mask_ = kPortableFlags;
  std::optional<unsigned> fflags_ = 0;
  std::optional<testing::Matcher<intptr_t>> data_;
  std::optional<const void*> udata_;
};

inline event_matcher Event(uintptr_t ident, int filter) { return {ident, filter}; }

// The entry that answers a change: EV_ERROR with an errno, or with 0 as a receipt. Only that flag
// is compared.
class answer_matcher {
 public:
  using is_gtest_matcher = void;

  answer_matcher(uintptr_t ident, int filter, int error)
      : ident_(ident), filter_(filter), error_(error) {}
  answer_matcher& udata(uintptr_t value) {
    return udata_ = reinterpret_cast<const void*>(value), *this;
  }

  bool MatchAndExplain(const struct kevent& e, std::ostream*) const {
    return e.ident == ident_ && e.filter == filter_ && (e.flags & EV_ERROR) != 0 &&
           e.data == error_ && (!udata_ || e.udata == *udata_);
  }
  void DescribeTo(std::ostream* os) const {
    *os << "answers the change of " << filter_word(filter_) << " " << ident_ << " with "
        << (error_ == 0 ? "a receipt" : ::strerrorname_np(error_));
    if (udata_) *os << " and udata " << *udata_;
  }
  void DescribeNegationTo(std::ostream* os) const {
    *os << "not: ";
    DescribeTo(os);
  }

 private:
  uintptr_t ident_;
  int filter_;
  int error_;
  std::optional<const void*> udata_;
};

inline answer_matcher ErrorEntry(uintptr_t ident, int filter, int error) {
  return {ident, filter, error};
}
inline answer_matcher Receipt(uintptr_t ident, int filter) { return {ident, filter, 0}; }

inline void PrintTo(const outcome& o, std::ostream* os) {
  *os << "a call that ";
  if (o.result < 0) {
    *os << "failed with " << ::strerrorname_np(o.error);
    return;
  }
  *os << "returned " << o.result;
  for (const struct kevent& e : o.events) {
    *os << " ";
    describe_event(e, *os);
  }
}

MATCHER_P(FailsWith, error,
          std::string(negation ? "does not fail" : "fails") + " with " + ::strerrorname_np(error)) {
  (void)result_listener;
  return arg.result == -1 && arg.error == error;
}

// Returned 0: all changes were applied and nothing came back.
MATCHER(Succeeds, negation ? "does not return 0" : "returns 0") {
  (void)result_listener;
  return arg.result == 0;
}

// Returned entries that `matcher` accepts.
MATCHER_P(Returns, matcher,
          "returns entries that " + testing::DescribeMatcher<events>(matcher, negation)) {
  return arg.result >= 0 && testing::ExplainMatchResult(matcher, arg.events, result_listener);
}

}  // namespace quay::test

// Found by argument-dependent look-up: struct kevent lives in the global namespace.
inline void PrintTo(const struct kevent& e, std::ostream* os) {
  quay::test::describe_event(e, *os);
}
