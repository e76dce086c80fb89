// SPDX-License-Identifier: BSD-2-Clause
//
// What: how the threads that wait in an event port are woken, of which a lost step would be a thread that never wakes.
// Contract: port/waiting.cc, port::leave_and_wake, port::close, port::take_report_locked. A step is what happens with
//           nothing of another thread in between: a section under the port's lock, one system call, one atomic operation.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <compare>
#include <string>
#include <utility>
#include <vector>

#include "checker.hpp"

namespace {

using quay::test::check;
using quay::test::step;

using count = signed char;
constexpr count kNobody = -1;
constexpr std::size_t kWaiters = 2;
constexpr std::size_t kSenders = 2;

// Which parts of the protocol hold.
struct rules {
  bool bells_go_back = true;    // who takes the bell that another was woken with rings it again
  bool a_close_waits = true;    // until those who wait or ring have left, before the number goes
  bool has_descriptors = true;  // calls look at the kernel first
  bool pollable = true;         // the bell is up for what lies in the queue
  bool interrupts = false;      // a sleep may end for no reason
};

enum class word : signed char { awake, signalled, asleep };
enum class at : signed char { calls, tells, arms, enters, sleeps, woken, done };

struct thread {
  at next = at::calls;
  // To be done without the lock: to ring, and to wake a sleeper; and what comes then.
  bool rings = false;
  count wakes = kNobody;
  at after = at::done;
  auto operator<=>(const thread&) const = default;
};

struct waiter : thread {
  count request = 1;
  bool used = false;
  count arrival = 0;
  count nothing_up_to = 0;
  word its = word::awake;
  bool leads = false;
  bool heard = false;        // the bell
  bool interrupted = false;  // once
  auto operator<=>(const waiter&) const = default;
};

struct port {
  std::array<waiter, kWaiters> waiters{};
  std::array<thread, kSenders> senders{};
  thread looker{};  // takes what there is and does not wait
  thread closer{};
  count queued = 0, order = 0, arrivals = 0, leader = kNobody;
  bool open = true, bell_rung = false;
  // The kernel's: the number is an open file, the bell is to be reported.
  bool number = true, edge = false;
  bool strayed = false;  // somebody sleeps or rings in what has the number next
  auto operator<=>(const port&) const = default;
};

class world {
 public:
  world(const port& p, const rules& r) : s(p), rule_(r) {}

  port s;

  void look_at_kernel() {
    if (!rule_.has_descriptors) return;
    if (std::exchange(s.edge, false)) hear_bell();
  }
  void hear_bell() {
    s.bell_rung = false;
    if (!rule_.bells_go_back || s.leader == kNobody) return;
    if (by_number(s.leader).its == word::signalled) s.bell_rung = s.edge = true;
  }
  void look_first() {
    if (s.leader == kNobody) look_at_kernel();
  }
  void take(count n) {
    s.queued = static_cast<count>(s.queued - n);
    if (s.bell_rung && rule_.pollable && s.queued == 0 && s.leader == kNobody)
      s.bell_rung = s.edge = false;
  }
  void leave(thread& t, at after) {
    const count w = next_to_wake();
    if (w != kNobody && signal(w)) {
      if (w == s.leader) {
        t.rings = true;
      } else {
        t.wakes = w;
      }
    }
    if (s.leader == kNobody && rule_.pollable && !s.bell_rung && s.open && s.queued > 0)
      t.rings = true;
    if (t.rings) s.bell_rung = true;
    const bool tells = t.rings || t.wakes != kNobody;
    t.next = tells ? at::tells : after;
    t.after = after;
  }
  // One of the two at a time.
  void tell(thread& t) {
    if (std::exchange(t.rings, false)) {
      if (s.number) s.edge = true;
      s.strayed = s.strayed || !s.number;
    } else {
      wake(std::exchange(t.wakes, kNobody));
    }
    if (t.wakes == kNobody) t.next = t.after;
  }

  // A waiting call's section: from its beginning, or from a sleep.
  void go_on(count i, bool has_slept, bool error) {
    waiter& me = by_number(i);
    if (has_slept) {
      me.its = word::awake;
      if (s.leader == i) s.leader = kNobody;
    }
    if (!s.open && !has_slept) {  // has not come in
      me.next = at::done;
      return;
    }
    if (!s.open || error) return end(i);
    if (!has_slept) look_at_kernel();
    if (std::exchange(me.heard, false)) hear_bell();
    const bool enough = s.queued >= me.request;
    if (enough && has_turn(i)) {
      take(me.request);
      return end(i);
    }
    if (!me.used) {
      me.used = true;
      me.arrival = ++s.arrivals;
    }
    me.nothing_up_to = enough ? count{0} : s.order;
    if (s.leader == kNobody) s.leader = i;
    me.leads = s.leader == i;
    me.its = word::awake;
    leave(me, at::arms);
  }
  void end(count i) {
    waiter& me = by_number(i);
    me.used = false;
    if (s.leader == i) s.leader = kNobody;
    leave(me, at::done);
  }
  void close() {
    s.open = false;
    for (count i = 0; i < count{kWaiters}; ++i) {
      if (!by_number(i).used) continue;
      signal(i);
      if (i == s.leader) {
        s.bell_rung = s.edge = true;
      } else {
        wake(i);
      }
    }
    leave(s.closer, at::enters);
  }
  waiter& by_number(count i) { return s.waiters[static_cast<std::size_t>(i)]; }

 private:
  bool signal(count i) { return std::exchange(by_number(i).its, word::signalled) == word::asleep; }
  void wake(count i) {
    waiter& w = by_number(i);
    if (w.next == at::sleeps && !w.leads) w.next = at::woken;
  }
  bool precedes(count i, count j) {
    const waiter& a = by_number(i);
    const waiter& b = by_number(j);
    return a.request != b.request ? a.request < b.request : a.arrival < b.arrival;
  }
  std::vector<count> line() {
    std::vector<count> out;
    for (count i = 0; i < count{kWaiters}; ++i)
      if (by_number(i).used) out.push_back(i);
    if (out.size() == 2 && precedes(out[1], out[0])) std::swap(out[0], out[1]);
    return out;
  }
  bool is_met(const waiter& w) const { return w.request <= s.queued && w.nothing_up_to != s.order; }
  bool has_turn(count i) {
    if (!by_number(i).used) return true;
    for (const count other : line()) {
      if (other == i) return true;
      if (is_met(by_number(other))) return false;
    }
    return true;
  }
  count next_to_wake() {
    bool led = s.leader != kNobody;
    const std::vector<count> all = line();
    for (const count i : all) {
      const bool signalled = by_number(i).its == word::signalled;
      led = led || signalled;
      if (is_met(by_number(i))) return signalled ? kNobody : i;
    }
    return led || all.empty() ? kNobody : all.front();
  }

  const rules rule_;
};

class steps {
 public:
  steps(const port& from, const rules& rule) : from_(from), rule_(rule) {
    for (count i = 0; i < count{kWaiters}; ++i) of_waiter(i);
    for (std::size_t i = 0; i < kSenders; ++i) of_sender(i);
    of_looker();
    of_closer();
  }
  std::vector<step<port>> out;

 private:
  template <class Change>
  void add(const std::string& what, Change change) {
    world w(from_, rule_);
    change(w);
    out.push_back({what, w.s});
  }

  void of_waiter(count i) {
    const waiter& me = from_.waiters[static_cast<std::size_t>(i)];
    const std::string name = "waiter " + std::to_string(i);
    switch (me.next) {
      case at::calls:
        add(name + " calls", [i](world& w) { w.go_on(i, false, false); });
        break;
      case at::tells:
        add(name + " tells", [i](world& w) { w.tell(w.by_number(i)); });
        break;
      case at::arms:
        add(name + " may sleep", [i](world& w) {
          waiter& mine = w.by_number(i);
          const bool sleeps = mine.its == word::awake;
          if (sleeps) mine.its = word::asleep;
          mine.next = sleeps ? at::enters : at::woken;
        });
        break;
      case at::enters:
        add(name + " enters its sleep", [i](world& w) {
          waiter& mine = w.by_number(i);
          const bool ends = !mine.leads && mine.its != word::asleep;
          mine.next = ends ? at::woken : at::sleeps;
          w.s.strayed = w.s.strayed || (mine.leads && !w.s.number);
        });
        break;
      case at::sleeps:
        if (me.leads && from_.edge) {
          add(name + " hears the bell", [i](world& w) {
            w.s.edge = false;
            w.by_number(i).heard = true;
            w.by_number(i).next = at::woken;
          });
        }
        if (rule_.interrupts && !me.interrupted) {
          add(name + " is interrupted", [i](world& w) {
            w.by_number(i).interrupted = true;
            w.go_on(i, true, true);
          });
        }
        break;
      case at::woken:
        add(name + " goes on", [i](world& w) { w.go_on(i, true, false); });
        break;
      case at::done:
        break;
    }
  }
  void of_sender(std::size_t i) {
    const std::string name = "sender " + std::to_string(i);
    if (from_.senders[i].next == at::calls) {
      add(name + " sends", [i](world& w) {
        w.s.senders[i].next = at::done;
        if (!w.s.open) return;
        w.look_first();
        ++w.s.queued;
        ++w.s.order;
        w.leave(w.s.senders[i], at::done);
      });
    } else if (from_.senders[i].next == at::tells) {
      add(name + " tells", [i](world& w) { w.tell(w.s.senders[i]); });
    }
  }
  void of_looker() {
    if (from_.looker.next == at::calls) {
      add("the looker takes", [](world& w) {
        w.s.looker.next = at::done;
        if (!w.s.open) return;
        w.look_at_kernel();
        if (w.s.queued > 0) w.take(1);
        w.leave(w.s.looker, at::done);
      });
    } else if (from_.looker.next == at::tells) {
      add("the looker tells", [](world& w) { w.tell(w.s.looker); });
    }
  }
  void of_closer() {
    switch (from_.closer.next) {
      case at::calls:
        add("the closer closes", [](world& w) { w.close(); });
        break;
      case at::tells:
        add("the closer tells", [](world& w) { w.tell(w.s.closer); });
        break;
      case at::enters:
        if (rule_.a_close_waits && somebody_is_inside()) break;
        add("the number goes", [](world& w) {
          w.s.number = false;
          w.s.closer.next = at::done;
        });
        break;
      default:
        break;
    }
  }

  bool somebody_is_inside() const {
    const auto rings = [](const thread& t) { return t.rings; };
    const auto is_inside = [&](const waiter& w) { return w.used || rings(w); };
    return rings(from_.looker) || std::any_of(from_.senders.begin(), from_.senders.end(), rings) ||
           std::any_of(from_.waiters.begin(), from_.waiters.end(), is_inside);
  }

  const port& from_;
  const rules rule_;
};

// Who is left when nothing more can happen sleeps, and must have nothing to wake for.
std::string wrong(const port& s, bool last, const rules& rule) {
  if (s.strayed) return "somebody is in what has the number next";
  if (!last) return {};
  bool sleepers = false;
  for (const waiter& w : s.waiters) {
    if (w.next == at::done) continue;
    sleepers = true;
    if (!s.open) return "a waiter sleeps on after the close";
    if (w.request <= s.queued) return "a waiter sleeps over what it asked for";
  }
  if (sleepers && s.leader == kNobody) return "nobody looks at the kernel";
  if (!sleepers && rule.pollable && s.open && s.queued > 0 && !s.edge)
    return "who polls does not hear of what lies there";
  return {};
}

std::string run(const rules& rule, bool closes, bool looks, count second_request) {
  port start;
  start.waiters[1].request = second_request;
  if (!closes) start.closer.next = at::done;
  if (!looks) start.looker.next = at::done;
  std::size_t states = 0;
  return check<port>(
      start, [&rule](const port& s) { return steps(s, rule).out; },
      [&rule](const port& s, bool last) { return wrong(s, last, rule); }, &states);
}

void expect_none_wrong(bool closes) {
  for (const bool descriptors : {false, true}) {
    for (const bool pollable : {false, true}) {
      for (const bool interrupts : {false, true}) {
        const rules rule{
            .has_descriptors = descriptors, .pollable = pollable, .interrupts = interrupts};
        for (const count request : {count{1}, count{2}}) {
          EXPECT_EQ(run(rule, closes, true, request), "")
              << descriptors << pollable << interrupts << int{request};
        }
      }
    }
  }
}

TEST(Protocol_Port, EverybodyWakesForWhatTheyAskedFor) { expect_none_wrong(false); }
TEST(Protocol_Port, ACloseWakesEverybody) { expect_none_wrong(true); }

// Two bugs that this would have found.
TEST(Protocol_Port, WhoTakesTheBellOfAnotherAndKeepsItLosesAWaiter) {
  EXPECT_NE(run({.bells_go_back = false}, false, true, 1), "");
}
TEST(Protocol_Port, ACloseThatDoesNotWaitLeavesSomebodyInTheNumbersNextOwner) {
  EXPECT_NE(run({.a_close_waits = false}, true, false, 1), "");
}

}  // namespace
