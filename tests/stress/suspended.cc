// SPDX-License-Identifier: BSD-2-Clause
//
// What: a peer that is stopped (SIGSTOP) wherever it is, shared locks of a port and a pipe in its hands or not, and goes on
//       later.
// Contract: who is stopped is not dead: nobody takes a lock from it, however long it rests; when it goes on, so does all,
//           and every event and every byte has come once and in order.
//           QUAY_STRESS_SECONDS: how long (5).
#include <gtest/gtest.h>
#include <port.h>
#include <quay/quay.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>

#include "support/length.hpp"
#include "support/objects.hpp"

namespace quay::test {
namespace {

constexpr int kLast = -1;  // of the numbers that are sent

// Sends the numbers from 1 on, each by both ways, until it is told to end.
void count_up(int port, int writing, const std::atomic<bool>& over) {
  for (int n = 1;; n = n % 1'000'000 + 1) {
    const int value = over ? kLast : n;
    while (::port_send(port, value, nullptr) != 0) ::sched_yield();
    if (quay_write(writing, &value, sizeof value) != sizeof value) ::_exit(1);
    if (value == kLast) ::_exit(0);
  }
}

// Takes numbers until the last one; how many were not the one after the one before.
template <typename Take>
void follow(Take take, long& taken, long& wrong) {
  for (int expected = 1;; expected = expected % 1'000'000 + 1) {
    int value = 0;
    if (!take(value)) ++wrong;
    if (value == kLast) return;
    ++taken;
    if (value != expected) ++wrong;
    expected = value;
  }
}

TEST(Suspended, APeerThatIsStoppedAnywhereLosesNothing) {
  const int port = checked(::port_create(), "port_create");
  int ends[2];
  checked(quay_pipe2(ends, O_CLOEXEC), "quay_pipe2");
  void* const memory = ::mmap(nullptr, sizeof(std::atomic<bool>), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto& over = *::new (memory) std::atomic<bool>(false);
  const pid_t peer = checked(::fork(), "fork");
  if (peer == 0) count_up(port, ends[1], over);

  long events = 0, bytes = 0, wrong_events = 0, wrong_bytes = 0;
  std::thread getter([&] {
    follow(
        [&](int& value) {
          port_event_t e;
          if (::port_get(port, &e, nullptr) != 0) return false;
          value = e.portev_events;
          return true;
        },
        events, wrong_events);
  });
  std::thread reader([&] {
    follow([&](int& value) { return quay_read(ends[0], &value, sizeof value) == sizeof value; },
           bytes, wrong_bytes);
  });

  const time_limit limit(stress_time());
  std::minstd_rand random(6);
  long stops = 0;
  while (!limit.over()) {
    for (unsigned n = random() % 64; n > 0; --n) ::sched_yield();
    ASSERT_EQ(::kill(peer, SIGSTOP), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(peer, &status, WUNTRACED), peer);
    ASSERT_TRUE(WIFSTOPPED(status));
    // Longer, mostly, than the time after which who waits for a lock doubts that its holder lives.
    ::usleep(static_cast<useconds_t>(random() % 4 * 30'000));
    ASSERT_EQ(::kill(peer, SIGCONT), 0);
    ++stops;
  }
  over = true;
  getter.join();
  reader.join();
  int status = 0;
  EXPECT_EQ(::waitpid(peer, &status, 0), peer);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(wrong_events, 0);
  EXPECT_EQ(wrong_bytes, 0);
  EXPECT_EQ(events, bytes);
  std::printf("%ld stops, %ld numbers\n", stops, events);
  quay_close(ends[0]);
  quay_close(ends[1]);
  quay_close(port);
  ::munmap(memory, sizeof over);
}

}  // namespace
}  // namespace quay::test
