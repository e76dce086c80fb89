// SPDX-License-Identifier: BSD-2-Clause
//
// What: threads open, duplicate, watch, write, close, fork and wait, all at once, and a checker holds
// every event against the history of its registration.
// Contract: kqueue semantics, 1.7 and section 6. QUAY_STRESS_SECONDS says how long.
// Invariants: 1. An event belongs to a registration that was alive when the call that delivered it
//                began, or was made since.
//             2. None is delivered by a call that began after close() of its number returned.
//             3. Every byte that was written to a registration that stayed alive is reported.
#include <algorithm>
#include <array>
#include <random>

#include "support/length.hpp"
#include "support/matchers.hpp"
#include "support/processes.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

// One life of a registration; udata is its place in the book, so that a stale one is recognised
// whatever has become of its number.
struct life {
  std::atomic<bool> over{false};  // set when close() has returned
  std::atomic<int> reported{0};   // how often it was delivered
};

class book {
 public:
  uintptr_t open() {
    const size_t n = next_++;
    return n < kLives ? n + 1 : 0;  // full: the test ends early rather than reuse a page
  }
  life& at(uintptr_t name) { return lives_[name - 1]; }
  bool known(uintptr_t name) const { return name >= 1 && name <= next_; }
  size_t lives() const { return std::min(next_.load(), kLives); }

 private:
  static constexpr size_t kLives = 8'000'000;
  std::atomic<size_t> next_{0};
  std::unique_ptr<life[]> lives_ = std::make_unique<life[]>(kLives);
};

class lifetime : public testing::Test {
 protected:
  static constexpr int kQueues = 4;

  void SetUp() override { QUAY_SKIP_UNLESS_HOOKED(); }

  // Opens an object, watches it in some queues, makes it ready, sees that it is reported, closes it
  // in one of many ways.
  void live_and_die(std::mt19937& random) {
    socket_pair s = make_socketpair();
    const uintptr_t name = lives_.open();
    if (name == 0) return;
    life& mine = lives_.at(name);
    const int q = static_cast<int>(random() % kQueues);
    const unsigned how = random() % 3 == 0 ? EV_CLEAR : random() % 2 == 0 ? EV_ONESHOT : 0;
    unique_fd twin;
    if (random() % 3 == 0) twin = unique_fd(::dup(s.here));
    const outcome added = alter(queues_[q], {add(s.here, EVFILT_READ, how).udata(name)});
    if (added.result != 0) return fail("EV_ADD failed", added.error);
    if (random() % 2 == 0) {
      put(s.there, "x");
      if (random() % 4 != 0) await_report(mine);  // invariant 3
    }
    switch (random() % 4) {
      case 0: {
        const unique_fd other = make_eventfd();
        ::dup2(other, s.here);
        break;
      }
      case 1: {
        const auto number = static_cast<unsigned>(s.here.release());
        ::close_range(number, number, 0);
        break;
      }
      case 2: {
        FILE* file = ::fdopen(s.here.release(), "r");
        ::fclose(file);
        break;
      }
      default:
        s.here.close();
    }
    mine.over = true;
    if (twin.get() >= 0) {
      const char byte = 'y';  // must not be reported for the closed number
      if (::write(s.there, &byte, 1) != 1) fail("write", errno);
    }
  }

  void await_report(life& mine) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (mine.reported == 0) {
      if (std::chrono::steady_clock::now() > end) return fail("an event was lost", 0);
      std::this_thread::yield();
    }
  }

  void wait_and_check(int q, std::mt19937& random) {
    // What was over before the call began must not come back from it.
    struct mark {
      uintptr_t name;
      bool over;
    };
    const size_t known = lives_.lives();
    std::array<mark, 64> recent;
    size_t n = 0;
    for (uintptr_t name = known > recent.size() ? known - recent.size() + 1 : 1; name <= known;
         ++name)
      recent[n++] = {name, lives_.at(name).over};
    const uintptr_t floor = n > 0 ? recent[0].name : 1;
    const outcome got = submit_for(queues_[q], {}, std::chrono::milliseconds(random() % 3),
                                   static_cast<int>(1 + random() % 16));
    if (got.result < 0) return fail("kevent() failed", got.error);
    for (const struct kevent& e : got.events) {
      if (e.filter == EVFILT_USER) continue;
      const auto name = reinterpret_cast<uintptr_t>(e.udata);
      if (!lives_.known(name)) return fail("an event that nobody registered", 0);
      if (name >= floor && name - floor < n && recent[name - floor].over)
        fail("an event after close() had returned", 0);
      ++lives_.at(name).reported;
    }
  }

  void fail(const char* what, int error) {
    stop_ = true;
    if (!failed_.exchange(true)) ADD_FAILURE() << what << ", errno " << error;
  }

  void run(int makers, int waiters, bool with_forks, bool with_strangers) {
    const time_limit limit(stress_time());
    std::vector<std::thread> threads;
    for (int i = 0; i < makers; ++i) {
      threads.emplace_back([this, i] {
        std::mt19937 random(static_cast<unsigned>(i) * 7919u + 1);
        while (!stop_) live_and_die(random);
      });
    }
    for (int i = 0; i < waiters; ++i) {
      threads.emplace_back([this, i] {
        std::mt19937 random(static_cast<unsigned>(i) * 104729u + 2);
        while (!drained_) wait_and_check(i % kQueues, random);
      });
    }
    if (with_strangers) {
      // Queues that come and go, and numbers of living queues.
      threads.emplace_back([this] {
        while (!stop_) {
          queue own = make_queue();
          const queue twin(::dup(own));
          const socket_pair s = make_socketpair();
          alter(own, {add(s.here, EVFILT_READ), add(queues_[0], EVFILT_READ), add(1, EVFILT_USER)});
          own.close();
          const outcome got = submit(twin, {trigger(1)});
          if (got.result < 1) fail("a queue ended before its last number", got.error);
        }
      });
    }
    while (!stop_ && !limit.over()) {
      if (with_forks && in_child([&] { return child(); }) != 0) fail("a child went wrong", 0);
      std::this_thread::yield();
    }
    stop_ = true;
    for (size_t i = 0; i < threads.size(); ++i) {
      if (i == static_cast<size_t>(makers)) i += static_cast<size_t>(waiters);
      if (i < threads.size()) threads[i].join();
    }
    drained_ = true;
    for (int i = makers; i < makers + waiters; ++i) threads[static_cast<size_t>(i)].join();
  }

  int child() {
    for (const queue& each : queues_) QUAY_CHILD_CHECK(::fcntl(each, F_GETFD) < 0);
    const int own = ::kqueue();
    const int object = ::eventfd(1, EFD_CLOEXEC);
    struct kevent change;
    EV_SET(&change, object, EVFILT_READ, EV_ADD, 0, 0, nullptr);
    struct kevent got;
    const timespec zero{};
    QUAY_CHILD_CHECK(::kevent(own, &change, 1, &got, 1, &zero) == 1);
    QUAY_CHILD_CHECK(got.ident == static_cast<uintptr_t>(object));
    return 0;
  }

  std::array<queue, kQueues> queues_{make_queue(), make_queue(QUAY_DIALECT_NETBSD),
                                     make_queue(QUAY_DIALECT_DRAGONFLY),
                                     make_queue(QUAY_DIALECT_OPENBSD)};
  book lives_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> drained_{false};
  std::atomic<bool> failed_{false};
};

using Kqueue_Lifetime = lifetime;

TEST_F(Kqueue_Lifetime, EveryEventBelongsToALivingRegistration) {
  const size_t descriptors = count_descriptors();
  quay_stats before{};
  quay_stats_get(&before, sizeof before);
  run(3, kQueues + 1, true, true);
  EXPECT_FALSE(failed_);
  quay_stats after{};
  quay_stats_get(&after, sizeof after);
  EXPECT_EQ(after.notes, before.notes) << "every registration has gone with its number";
  EXPECT_LE(count_descriptors(), descriptors + 3 * kQueues) << "inner sets at most";
  std::printf("%zu lives, %llu events\n", lives_.lives(),
              static_cast<unsigned long long>(after.events_delivered - before.events_delivered));
}

}  // namespace
}  // namespace quay::test
