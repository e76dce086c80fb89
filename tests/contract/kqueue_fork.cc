// SPDX-License-Identifier: BSD-2-Clause
//
// What: queues and fork, vfork, posix_spawn and exec: the child has no queue, the parent never
// notices.
// Contract: kqueue semantics, section 6 (fork, exec).
#include <spawn.h>
#include <sys/syscall.h>

#include <array>

#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/processes.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

class Kqueue_Fork : public dialect_test {};

TEST_P(Kqueue_Fork, TheChildHasNoQueueUnderTheNumber) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
  EXPECT_EQ(in_child([&] {
              QUAY_CHILD_CHECK(!is_open(kq));
              struct kevent e;
              const timespec zero{};
              QUAY_CHILD_CHECK(::kevent(kq, nullptr, 0, &e, 1, &zero) == -1 && errno == EBADF);
              return 0;
            }),
            0);
  EXPECT_THAT(poll(kq), SizeIs(1));
}

TEST_P(Kqueue_Fork, TheNextDescriptorOfTheChildMayTakeTheNumber) {
  const queue twin(quay_fcntl(kq, F_DUPFD, 0));
  EXPECT_EQ(in_child([&] {
              const int lower = std::min<int>(kq, twin);
              for (int fd = 0; fd < lower; ++fd)
                if (!is_open(fd)) QUAY_CHILD_CHECK(::open("/dev/null", O_RDONLY) == fd);
              QUAY_CHILD_CHECK(::open("/dev/null", O_RDONLY) == lower);
              char byte;
              QUAY_CHILD_CHECK(::read(lower, &byte, 1) == 0);
              return 0;
            }),
            0);
}

TEST_P(Kqueue_Fork, NothingThatTheChildDoesReachesTheParentsQueue) {
  const socket_pair s = make_socketpair();
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ), add(s.here, EVFILT_WRITE, EV_CLEAR),
                         add(p.reader, EVFILT_READ, EV_CLEAR)}),
              Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_WRITE).flags(EV_CLEAR)));
  EXPECT_EQ(in_child([&] {
              const int own = quay_kqueue(dialect(), 0);
              QUAY_CHILD_CHECK(own >= 0);
              QUAY_CHILD_CHECK(alter(own, {add(s.here, EVFILT_READ)}).result == 0);
              QUAY_CHILD_CHECK(alter(own, {remove(s.here, EVFILT_READ)}).result == 0);
              QUAY_CHILD_CHECK(alter(own, {add(p.reader, EVFILT_READ)}).result == 0);
              QUAY_CHILD_CHECK(::close(s.here) == 0);
              QUAY_CHILD_CHECK(::dup2(1, p.reader) == p.reader.get());
              quay_close(own);
              return 0;
            }),
            0);
  put(s.there, "abc");
  put(p.writer, "x");
  EXPECT_THAT(poll(kq),
              testing::UnorderedElementsAre(Event(s.here, EVFILT_READ).data(3),
                                            Event(p.reader, EVFILT_READ).data(1).flags(EV_CLEAR)));
}

TEST_P(Kqueue_Fork, AChildThatLivesOnMakesThousandsOfQueuesAndLeaksNothing) {
  const pipe_ends p = make_pipe();
  put(p.writer, "x");
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ), add(1, EVFILT_TIMER).data(100000)}),
              Succeeds());
  EXPECT_EQ(
      in_child([&] {
        size_t descriptors = 0;
        quay_stats stats{};
        for (int round = 0; round < 2000; ++round) {
          if (round == 10) descriptors = count_descriptors();
          const queue own = make_queue(dialect());
          QUAY_CHILD_CHECK(submit(own, {add(p.reader, EVFILT_READ),
                                        add(1, EVFILT_TIMER).data(100000), add(2, EVFILT_USER)})
                               .result == 1);
        }
        QUAY_CHILD_CHECK(count_descriptors() == descriptors);
        quay_stats_get(&stats, sizeof stats);
        QUAY_CHILD_CHECK(stats.queues == 0 && stats.notes == 0 && stats.timers == 0);
        QUAY_CHILD_CHECK(stats.forks_survived == 1);
        return 0;
      }),
      0);
}

TEST_P(Kqueue_Fork, AChildOfAChildDoesTheSame) {
  EXPECT_EQ(in_child([&] {
              const queue own = make_queue(dialect());
              QUAY_CHILD_CHECK(alter(own, {add(1, EVFILT_USER), trigger(1)}).result == 0);
              QUAY_CHILD_CHECK(
                  in_child([&] {
                    QUAY_CHILD_CHECK(!is_open(own));
                    const queue third = make_queue(dialect());
                    return submit(third, {add(1, EVFILT_USER), trigger(1)}).result == 1 ? 0 : 1;
                  }) == 0);
              QUAY_CHILD_CHECK(submit(own, {}).result == 1);
              return 0;
            }),
            0);
}

// The system call runs none of the handlers that fork() runs.
TEST_P(Kqueue_Fork, AForkByTheSystemCallIsNoticedByTheNextCall) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ)}), Succeeds());
  const pid_t pid = checked(static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)), "clone");
  if (pid == 0) {
    ::_exit([&] {
      QUAY_CHILD_CHECK(alter(kq, {remove(p.reader, EVFILT_READ)}).error == EBADF);
      const int own = quay_kqueue(dialect(), 0);
      QUAY_CHILD_CHECK(alter(own, {add(p.reader, EVFILT_READ)}).result == 0);
      QUAY_CHILD_CHECK(::close(p.reader) == 0);
      return 0;
    }());
  }
  EXPECT_EQ(status_of_child(pid), 0);
  put(p.writer, "x");
  EXPECT_THAT(poll(kq), ElementsAre(Event(p.reader, EVFILT_READ).data(1)));
}

TEST_P(Kqueue_Fork, AChildOfVforkThatClosesAWatchedNumberLeavesTheParentsNote) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  // NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork): it is what the test is about.
  const pid_t pid = ::vfork();
  if (pid == 0) {
    ::close(s.here);
    ::_exit(0);
  }
  EXPECT_EQ(status_of_child(pid), 0);
  put(s.there, "x");
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(1)));
}

TEST_P(Kqueue_Fork, ASpawnedChildLeavesTheParentsNotes) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addclose(&actions, s.here);
  ::posix_spawn_file_actions_addclose(&actions, kq);
  std::array<char, 5> name{"true"};
  std::array<char*, 2> words{name.data(), nullptr};
  pid_t pid = -1;
  ASSERT_EQ(::posix_spawnp(&pid, "true", &actions, nullptr, words.data(), environ), 0);
  ::posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(status_of_child(pid), 0);
  put(s.there, "x");
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(1)));
}

TEST_P(Kqueue_Fork, OtherThreadsMayBeInKevent) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  std::atomic<bool> stop = false;
  std::atomic<int> taken = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!stop) taken += static_cast<int>(await(kq, 4).size());
    });
  }
  threads.emplace_back([&] {
    const queue own = make_queue(dialect());
    const pipe_ends p = make_pipe();
    while (!stop) {
      alter(own, {add(p.reader, EVFILT_READ), add(1, EVFILT_TIMER).data(1000)});
      alter(own, {remove(p.reader, EVFILT_READ), remove(1, EVFILT_TIMER)});
    }
  });
  for (int round = 0; round < 50; ++round) {
    EXPECT_EQ(in_child([&] {
                QUAY_CHILD_CHECK(!is_open(kq));
                QUAY_CHILD_CHECK(delivers(quay_kqueue(dialect(), 0)));
                return 0;
              }),
              0);
    const int before = taken;
    ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
    while (taken == before) std::this_thread::yield();
  }
  stop = true;
  ASSERT_THAT(alter(kq, {add(2, EVFILT_USER), trigger(2)}), Succeeds());  // a level: for all three
  for (std::thread& each : threads) each.join();
}

// The end of a child that nobody handles concerns nobody, also while its parent is still in fork().
TEST_P(Kqueue_Fork, TheEndOfAChildInterruptsNobodysSleep) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  for (int round = 0; round < 100; ++round) ASSERT_EQ(in_child([] { return 0; }), 0);
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(SizeIs(1)));
}

TEST_P(Kqueue_Fork, NoDescriptorButTheQueuesNumberCrossesAnExec) {
  const queue nested = make_queue(dialect());
  const queue closes_on_exec = make_queue(dialect(), O_CLOEXEC);
  const socket_pair s = make_socketpair();
  const temporary_directory directory;
  const unique_fd file = directory.make_file("");
  for (const int each : {kq.operator int(), closes_on_exec.operator int()}) {
    ASSERT_THAT(alter(each, {add(s.here, EVFILT_READ), add(s.here, EVFILT_WRITE, EV_CLEAR),
                             add(file, EVFILT_READ), add(nested, EVFILT_READ),
                             add(1, EVFILT_TIMER).data(100000), add(2, EVFILT_USER), trigger(2)}),
                Succeeds());
  }
  FILE* listing = ::popen("find /proc/self/fd -lname '*anon_inode*' -printf '%f\\n'", "r");
  ASSERT_NE(listing, nullptr);
  std::string text;
  for (int c; (c = ::fgetc(listing)) != EOF;) text += static_cast<char>(c);
  EXPECT_EQ(::pclose(listing), 0);
  std::vector<int> numbers{kq, nested};
  std::sort(numbers.begin(), numbers.end());
  EXPECT_EQ(text, std::to_string(numbers[0]) + "\n" + std::to_string(numbers[1]) + "\n");
}

QUAY_IN_ALL_DIALECTS(Kqueue_Fork);

}  // namespace
}  // namespace quay::test
