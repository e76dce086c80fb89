// SPDX-License-Identifier: BSD-2-Clause
//
// What: processes that share a port are killed at random instructions, under an account of every
//       event.
// Contract: event port semantics section 5 and docs/design.md: a killed process loses nothing that
//           was queued, holds no lock, strands no waiter, keeps no slot.
// Invariants: an event whose send returned is received once or still queued; what the killed process
//             was just receiving (one call's events each) may be missing, nothing is ever seen twice.
// QUAY_STRESS_SECONDS: how long (5); at least kLeastRounds rounds are made.
#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <new>
#include <random>

#include "support/length.hpp"
#include "support/port.hpp"

namespace quay::test {
namespace {

constexpr int kVictims = 2;
constexpr int kMost = 1 << 16;  // events of one victim in one round
constexpr long kSlots = 256;
constexpr uint_t kRoom = 8;  // events of one call
constexpr int kLeastRounds = 100;

struct account {
  std::atomic<int> begun;     // sends that were started
  std::atomic<int> sent;      // sends that returned
  std::atomic<int> received;  // events this victim received
  std::atomic<uint_t> room;   // of its latest call
  int log[kMost];             // which
};

struct accounts {
  account of[kVictims];
};

accounts& shared_accounts() {
  static accounts* const only = [] {
    void* p = ::mmap(nullptr, sizeof(accounts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                     -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    return ::new (p) accounts;
  }();
  return *only;
}

int number_of(int victim, int n) { return victim * kMost + n + 1; }

// Sends and receives until killed.
[[noreturn]] void be_victim(int port, int self) {
  account& mine = shared_accounts().of[self];
  std::minstd_rand random(static_cast<unsigned>(::getpid()));
  for (int n = 0;;) {
    if (n < kMost && random() % 2 == 0) {
      mine.begun.store(n + 1, std::memory_order_release);
      if (::port_send(port, number_of(self, n), nullptr) == 0)
        mine.sent.store(++n, std::memory_order_release);
      continue;
    }
    port_event_t events[kRoom];
    timespec soon{0, static_cast<long>(random() % 2) * 100000};
    uint_t got = 1;
    const uint_t room = random() % 2 == 0 ? 1 : kRoom;
    mine.room.store(room, std::memory_order_release);
    if (::port_getn(port, events, room, &got, &soon) != 0 && errno != ETIME) continue;
    int at = mine.received.load(std::memory_order_relaxed);
    for (uint_t i = 0; i < got; ++i) {
      if (at == kMost) ::_exit(0);
      mine.log[at++] = events[i].portev_events;
    }
    mine.received.store(at, std::memory_order_release);
  }
}

class crash_round {
 public:
  explicit crash_round(unsigned seed) : random_(seed), port_(O_CLOEXEC) {}

  void run() {
    for (account& a : shared_accounts().of) {
      a.begun = a.sent = a.received = 0;
      a.room = 0;
    }
    pid_t victims[kVictims];
    for (int v = 0; v < kVictims; ++v) {
      victims[v] = ::fork();
      if (victims[v] == 0) be_victim(port_, v);
    }
    for (const pid_t victim : victims) {
      run_for(std::chrono::microseconds(random_() % 1500));
      ::kill(victim, SIGKILL);
      ::waitpid(victim, nullptr, 0);
    }
    check();
  }

 private:
  // The parent takes part, so that its lock and its bell are in use as well.
  void run_for(std::chrono::microseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) note(taken(port_));
  }
  void note(const std::vector<port_event_t>& events) {
    for (const port_event_t& e : events) seen_.push_back(e.portev_events);
  }

  void check() {
    for (std::vector<port_event_t> events; !(events = taken(port_)).empty();) note(events);
    std::vector<int> times(kVictims * kMost + 1, 0);
    for (const int n : seen_) ++times.at(static_cast<size_t>(n));
    for (const account& a : shared_accounts().of) {
      for (int i = 0; i < a.received; ++i) ++times.at(static_cast<size_t>(a.log[i]));
    }
    uint_t missing = 0;
    uint_t excused = 0;
    for (int v = 0; v < kVictims; ++v) {
      const account& a = shared_accounts().of[v];
      for (int n = 0; n < kMost; ++n) {
        const int count = times[static_cast<size_t>(number_of(v, n))];
        ASSERT_LE(count, n < a.begun ? 1 : 0) << "event " << n << " of victim " << v;
        missing += n < a.sent && count == 0;
      }
    }
    for (const account& a : shared_accounts().of) excused += a.room;
    EXPECT_LE(missing, excused);
    // Every slot is there again, and the port works.
    for (long i = 0; i < kSlots; ++i) ASSERT_EQ(::port_send(port_, 1, nullptr), 0) << "slot " << i;
    EXPECT_EQ(::port_send(port_, 1, nullptr), -1);
    EXPECT_EQ(arrivals(port_, kSlots).size(), static_cast<size_t>(kSlots));
  }

  std::minstd_rand random_;
  test_port port_;
  std::vector<int> seen_;
};

TEST(Port_Crash, AKilledProcessLosesNothingAndHoldsNothing) {
  const time_limit limit(stress_time());
  const long before = quay_tunable_get("port_max_events");
  quay_tunable_set("port_max_events", kSlots);
  int rounds = 0;
  for (; rounds < kLeastRounds || !limit.over(); ++rounds) {
    crash_round(static_cast<unsigned>(rounds + 1)).run();
    if (HasFatalFailure()) break;
  }
  quay_tunable_set("port_max_events", before);
  std::printf("%d rounds\n", rounds);
}

}  // namespace
}  // namespace quay::test
