// SPDX-License-Identifier: BSD-2-Clause
//
// What: timers that expire, on a host with a simulated clock, against a model: what each fetch brings, and the nanosecond
//       at which a wait ends.
// Contract: the TIMER rows of the kernels, per dialect: units, zero and negative periods, re-adding a running, fired or
//           disabled timer, one-shot, dispatch, counting while disabled.
//           Left out: absolute times, and what a dialect does with a running timer that is re-added wrongly.
#include <gtest/gtest.h>
#include <quay/quay.h>
#include <sys/event.h>

#include <algorithm>
#include <array>
#include <map>

#include "kqueue/kevent.hpp"
#include "kqueue/system.hpp"
#include "model/random/exploration.hpp"
#include "support/dialects.hpp"
#include "unit/fake_host.hpp"

namespace {

using event = quay::kqueue::wide_event;
using quay::kqueue::work;
using quay::model::dice;

constexpr std::int64_t kTick = 1'000'000;

// --- the model ------------------------------------------------------------------------------------

struct rules {
  bool units;         // NOTE_USECONDS and its like count
  bool restarts;      // a re-added timer begins anew; else its period changes at the next expiry
  bool takes_period;  // a bare enable or disable brings a period too
  int zero;           // what a period of 0 is: -1 refused, 0 one unit, 1 one tick
  bool refuses_negative;  // else it is one tick
};

rules rules_of(int dialect) {
  switch (dialect) {
    case QUAY_DIALECT_NETBSD:
      return {true, false, false, -1, false};  // the units are those of later releases
    case QUAY_DIALECT_DRAGONFLY:
      return {false, false, true, 1, false};
    case QUAY_DIALECT_OPENBSD:
      return {true, true, false, 1, false};
    default:
      return {true, true, false, 0, true};
  }
}

struct step {
  enum kind { add, change, remove, advance, fetch, wait };
  kind what = fetch;
  std::uintptr_t ident = 0;
  unsigned flags = 0;
  unsigned unit = 0;
  std::int64_t data = 0;  // period, or nanoseconds of advance and wait
};

struct timer {
  bool oneshot = false;
  bool dispatches = false;
  bool enabled = true;
  bool runs = true;
  std::int64_t period = 0;
  std::int64_t deadline = 0;
  std::int64_t count = 0;
};

class timer_model {
 public:
  using delivered = std::map<std::uintptr_t, std::int64_t>;

  timer_model(int dialect, std::int64_t now, bool forgets)
      : rules_(rules_of(dialect)),
        dispatch_(dialect != QUAY_DIALECT_NETBSD ? EV_DISPATCH : 0),
        now_(now),
        forgets_(forgets) {}

  std::int64_t now() const { return now_; }

  int apply(const step& s) {
    const auto at = timers_.find(s.ident);
    const bool known = at != timers_.end();
    if (s.what != step::add && !known) return ENOENT;
    if (s.what == step::remove) {
      timers_.erase(at);
      return 0;
    }
    if (s.what == step::add && !known) {
      if (s.data < 0 && rules_.refuses_negative) return EINVAL;
      if (s.data == 0 && rules_.zero < 0) return EINVAL;
    }
    expire();
    timer& t = timers_[s.ident];
    if (!known) {
      t.oneshot = (s.flags & EV_ONESHOT) != 0;
      t.dispatches = (s.flags & dispatch_) != 0;
    }
    const bool restarts = s.what == step::add && (!known || rules_.restarts);
    if (s.what == step::add || rules_.takes_period) t.period = period_of(s);
    if (restarts) {
      t.count = 0;
      t.runs = true;
      const bool at_once = rules_.zero == 0 && s.data == 0 && t.oneshot;
      t.deadline = now_ + (at_once ? 0 : t.period);
    }
    if (s.flags & EV_DISABLE) t.enabled = false;
    if (s.flags & EV_ENABLE) t.enabled = true;
    return 0;
  }

  void advance(std::int64_t ns) { now_ += ns; }

  delivered fetch() {
    expire();
    delivered out;
    for (auto at = timers_.begin(); at != timers_.end();) {
      timer& t = at->second;
      const auto here = at++;
      if (!t.enabled || t.count == 0) continue;
      out[here->first] = t.count;
      t.count = 0;
      if (t.dispatches) t.enabled = false;
      if (t.oneshot) timers_.erase(here);
    }
    return out;
  }

  delivered wait(std::int64_t longest) {
    std::int64_t end = now_ + longest;
    for (const auto& [ident, t] : timers_) {
      if (!t.enabled) continue;
      if (t.count != 0) end = now_;
      if (t.runs) end = std::min(end, std::max(now_, t.deadline));
    }
    now_ = end;
    return fetch();
  }

 private:
  std::int64_t period_of(const step& s) const {
    const std::int64_t unit = !rules_.units             ? kTick
                              : s.unit == NOTE_SECONDS  ? 1'000'000'000
                              : s.unit == NOTE_USECONDS ? 1'000
                              : s.unit == NOTE_NSECONDS ? 1
                                                        : kTick;
    if (s.data > 0) return s.data * unit;
    return s.data == 0 && rules_.zero == 0 ? unit : kTick;
  }

  void expire() {
    for (auto& [ident, t] : timers_) {
      if (!t.runs || t.deadline > now_) continue;
      const std::int64_t times = t.oneshot ? 1 : 1 + (now_ - t.deadline) / t.period;
      if (t.enabled || !forgets_) t.count += times;
      t.runs = !t.oneshot;
      t.deadline += times * t.period;
    }
  }

  const rules rules_;
  const unsigned dispatch_;  // 0 where EV_CLEAR, which timers have, overrides it
  std::int64_t now_;
  const bool forgets_;  // a wrong rule: a disabled timer does not count
  std::map<std::uintptr_t, timer> timers_;
};

// --- the library ----------------------------------------------------------------------------------

class timer_trial {
 public:
  using operation = step;

  explicit timer_trial(int dialect, bool forgets = false) : dialect_(dialect), forgets_(forgets) {
    queue_ = system_.open(*quay::kqueue::find_dialect(dialect), true, true);
  }
  ~timer_trial() { system_.end_queue(queue_); }
  timer_trial(const timer_trial&) = delete;
  timer_trial& operator=(const timer_trial&) = delete;

  static operation draw(dice& d) {
    static constexpr unsigned kFlags[] = {0, 0, 0, EV_ONESHOT, EV_DISPATCH, EV_DISABLE, EV_ENABLE};
    static constexpr unsigned kUnits[] = {NOTE_MSECONDS, NOTE_USECONDS, NOTE_NSECONDS,
                                          NOTE_SECONDS};
    static constexpr std::int64_t kPeriods[] = {-1, 0, 1, 1, 2, 3, 5, 50};
    static constexpr std::int64_t kTimes[] = {0,         1,         999,       1'000'000,
                                              2'500'000, 7'000'001, 60'000'000};
    step s;
    s.ident = 1 + d.roll(4);
    const unsigned what = d.roll(10);
    s.what = what < 3   ? step::add
             : what < 4 ? step::change
             : what < 5 ? step::remove
             : what < 7 ? step::advance
             : what < 9 ? step::fetch
                        : step::wait;
    if (s.what == step::add) s.flags = d.pick(kFlags);
    if (s.what == step::change) s.flags = d.chance(50) ? EV_ENABLE : EV_DISABLE;
    s.unit = d.pick(kUnits);
    s.data = s.what < step::advance ? d.pick(kPeriods) : d.pick(kTimes);
    // A disabled timer wakes who waits, so short periods would make waits of a million steps.
    if (s.what >= step::advance) return s;
    if (s.data == 0) s.unit = NOTE_MSECONDS;
    if (s.data > 0 && s.unit == NOTE_USECONDS) s.data *= 300;
    if (s.data > 0 && s.unit == NOTE_NSECONDS) s.data *= 100'000;
    return s;
  }

  static std::vector<operation> simpler(const operation& s) {
    std::vector<operation> out;
    if (s.flags != 0 && s.what == step::add) out.push_back({s.what, s.ident, 0, s.unit, s.data});
    if (s.unit != NOTE_MSECONDS) out.push_back({s.what, s.ident, s.flags, NOTE_MSECONDS, s.data});
    if (s.data > 1) out.push_back({s.what, s.ident, s.flags, s.unit, s.data / 2});
    return out;
  }

  std::string run(const std::vector<operation>& steps) {
    for (std::uintptr_t ident = 1; ident <= 4; ++ident) change({step::remove, ident, 0, 0, 0});
    timer_model model(dialect_, host_.now, forgets_);
    for (const operation& s : steps) {
      if (s.what < step::advance) {
        // What a wrong re-add does is another test's: see the header.
        if (s.what == step::add && s.data < 0 && dialect_ == QUAY_DIALECT_FREEBSD &&
            known(model, s)) {
          continue;
        }
        if (s.what == step::add && s.data == 0 && dialect_ == QUAY_DIALECT_NETBSD) continue;
        const int wanted = model.apply(s);
        const int got = change(s);
        if (got != wanted) {
          return "errno " + std::to_string(got) + ", the model says " + std::to_string(wanted);
        }
        continue;
      }
      if (s.what == step::advance) {
        host_.now += s.data;
        model.advance(s.data);
        continue;
      }
      const auto wanted = s.what == step::wait ? model.wait(s.data) : model.fetch();
      const auto got = events(s.what == step::wait ? s.data : 0);
      if (got != wanted) return "brought " + describe(got) + ", the model says " + describe(wanted);
      if (host_.now != model.now()) {
        return "ended " + std::to_string(host_.now - model.now()) + " ns late";
      }
    }
    return "";
  }

 private:
  static bool known(const timer_model& model, const step& s) {
    timer_model copy = model;
    return copy.apply({step::change, s.ident, 0, NOTE_MSECONDS, 1}) == 0;
  }

  int change(const step& s) {
    const unsigned verb = s.what == step::add ? EV_ADD : s.what == step::remove ? EV_DELETE : 0;
    const event e{s.ident, EVFILT_TIMER, static_cast<std::uint16_t>(verb | s.flags), s.unit, s.data,
                  nullptr, {0, 0, 0, 0}};
    return quay::kqueue::kevent<event, work::changes>(system_, system_.queue_at(queue_), queue_,
                                                      {&e, 1, nullptr, 0}, nullptr)
        .error;
  }

  timer_model::delivered events(std::int64_t ns) {
    std::array<event, 16> out{};
    const timespec t{static_cast<time_t>(ns / 1'000'000'000),
                     static_cast<long>(ns % 1'000'000'000)};
    const auto r = quay::kqueue::kevent<event, work::events>(
        system_, system_.queue_at(queue_), queue_, {nullptr, 0, out.data(), 16}, &t);
    timer_model::delivered found;
    for (int i = 0; i < r.value; ++i)
      found[out[static_cast<std::size_t>(i)].ident] += out[static_cast<std::size_t>(i)].data;
    return found;
  }

  static std::string describe(const timer_model::delivered& events) {
    std::string text = "{";
    for (const auto& [ident, count] : events) {
      text += ' ' + std::to_string(ident) + ':' + std::to_string(count);
    }
    return text + " }";
  }

  const int dialect_;
  const bool forgets_;
  quay::test::fake_host host_;
  quay::core::descriptor_table descriptors_;
  quay::kqueue::system system_{host_, descriptors_, true};
  int queue_ = -1;
};

std::string describe(const step& s) {
  static constexpr const char* kNames[] = {"add", "change", "delete", "advance", "fetch", "wait"};
  return std::string(kNames[s.what]) + " " + std::to_string(s.ident) + " flags " +
         std::to_string(s.flags) + " unit " + std::to_string(s.unit) + " " + std::to_string(s.data);
}

class Timer_Model : public testing::TestWithParam<int> {};

TEST_P(Timer_Model, EveryExpiryIsCountedAndNoWaitEndsLate) {
  EXPECT_EQ(quay::model::explore(timer_trial(GetParam()), quay::test::model_operations(4), 60), "");
}

TEST_P(Timer_Model, FindsOutAModelThatForgetsDisabledTimers) {
  EXPECT_NE(quay::model::explore(timer_trial(GetParam(), true), 20'000, 60), "");
}

QUAY_IN_ALL_DIALECTS(Timer_Model);

}  // namespace
