// SPDX-License-Identifier: BSD-2-Clause
//
// What: signals storm at all threads while masks, handlers, queues and forks change.
// Contract: signal semantics B8: every delivery of a watched signal counts in every queue that
// watches it throughout; no handler call is lost; children neither post to nor disturb the parent;
// S20: descriptors may be closed under whoever watches them.
#include <poll.h>
#include <quay/quay.h>
#include <stdlib.h>
#include <sys/signalfd.h>

#include <climits>
#include <random>
#include <thread>
#include <vector>

#include "support/kqueue.hpp"
#include "support/length.hpp"
#include "support/matchers.hpp"
#include "support/port.hpp"
#include "support/signals.hpp"

namespace quay::test {
namespace {

std::atomic<long> g_handled{0};
void count_call(int) { g_handled.fetch_add(1); }

intptr_t counted(int kq) {
  intptr_t sum = 0;
  for (const struct kevent& e : poll(kq)) sum += e.data;
  return sum;
}

// Signals go to threads one by one, each only when the last was handled or is known to be blocked:
// what is delivered is then known exactly.
TEST(Stress_Signal, DeliveriesAreCountedInEveryQueueWhileEverythingChanges) {
  g_handled = 0;
  const disposition handled(SIGUSR1, count_call, SA_RESTART);
  const disposition other(SIGUSR2, SIG_IGN);
  const queue first = make_queue();
  const queue second = make_queue(QUAY_DIALECT_NETBSD, QUAY_PRIVATE);
  for (const int kq : {static_cast<int>(first), static_cast<int>(second)}) {
    ASSERT_THAT(alter(kq, {add(SIGUSR1, EVFILT_SIGNAL)}), Succeeds());
  }
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 3; ++seed) {
    threads.emplace_back([&done, seed] {
      std::minstd_rand random(seed + 1);
      const sigset_t one = signals({SIGUSR1});
      while (!done) {
        switch (random() % 4) {
          case 0: {  // a mask
            pthread_sigmask(SIG_BLOCK, &one, nullptr);
            std::this_thread::yield();
            pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
            break;
          }
          case 1: {  // a queue
            const queue mine = make_queue(static_cast<int>(random() % 4));
            alter(mine, {add(SIGUSR1, EVFILT_SIGNAL), add(SIGUSR2, EVFILT_SIGNAL)});
            poll(mine);
            break;
          }
          case 2: {  // a disposition
            struct sigaction act {};
            act.sa_handler = random() % 2 == 0 ? SIG_IGN : SIG_DFL;
            sigaction(SIGURG, &act, nullptr);
            break;
          }
          default:
            pthread_kill(pthread_self(), SIGUSR2);
        }
      }
    });
  }
  const time_limit limit(stress_time());
  std::minstd_rand random(99);
  long sent = 0;
  intptr_t in_first = 0;
  intptr_t in_second = 0;
  for (long round = 0; !limit.over(); ++round) {
    const long before = g_handled;
    ASSERT_EQ(pthread_kill(threads[random() % threads.size()].native_handle(), SIGUSR1), 0);
    ++sent;
    while (g_handled == before) std::this_thread::yield();
    if (round % 16 == 0) in_first += counted(first);
    if (round % 64 == 0) in_second += counted(second);
    if (round % 512 == 0) {
      EXPECT_EQ(status_of_child([] {
                  raise(SIGUSR1);
                  raise(SIGUSR2);
                  return 0;
                }),
                0);
    }
  }
  done = true;
  for (std::thread& t : threads) t.join();
  in_first += counted(first);
  in_second += counted(second);
  EXPECT_EQ(g_handled, sent);
  EXPECT_EQ(in_first, sent);
  EXPECT_EQ(in_second, sent);
}

TEST(Stress_Signal, SleepersMissNoSignal) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  const queue kq = make_queue();
  ASSERT_THAT(alter(kq, {add(SIGUSR1, EVFILT_SIGNAL)}), Succeeds());
  std::atomic<long> last{LONG_MAX};
  std::atomic<long> seen_so_far{0};
  std::thread sleeper([&] {
    while (seen_so_far < last) {
      for (const struct kevent& e : await(kq)) seen_so_far += e.data;
    }
  });
  const time_limit limit(stress_time());
  long sent = 0;
  while (!limit.over()) {
    raise(SIGUSR1);
    ++sent;
    while (seen_so_far < sent) std::this_thread::yield();
  }
  last = sent + 1;
  raise(SIGUSR1);
  sleeper.join();
  EXPECT_EQ(seen_so_far, last);
}

// Descriptors come, are watched by a queue, a port and poll, and go, in several threads at once.
TEST(Stress_Signal, DescriptorsComeAndGoUnderAllWhoWatchThem) {
  const blocked held{SIGUSR1};
  const sigset_t mask = signals({SIGUSR1});
  const queue kq = make_queue();
  const test_port port;
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      while (!done) {
        const int fd = quay_signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
        if (fd < 0) {
          ++wrong;
          continue;
        }
        if (alter(kq, {add(static_cast<uintptr_t>(fd), EVFILT_READ)}).result != 0) ++wrong;
        if (associate(port, fd, POLLIN, 1) != 0) ++wrong;
        pollfd p{fd, POLLIN, 0};
        quay_poll(&p, 1, 0);
        char record[128];
        quay_read(fd, record, sizeof record);
        quay_close(fd);
      }
    });
  }
  threads.emplace_back([&] {
    while (!done) poll(kq);
  });
  threads.emplace_back([&] {
    while (!done) taken(port);
  });
  const time_limit limit(stress_time());
  while (!limit.over()) {
    kill(getpid(), SIGUSR1);
    std::this_thread::yield();
  }
  done = true;
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace quay::test
