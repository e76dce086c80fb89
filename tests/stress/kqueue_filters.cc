// SPDX-License-Identifier: BSD-2-Clause
//
// What: children that end and files that change by the thousand, while several threads wait in one
//       queue and others register and remove.
// Contract: semantics/kqueue.md 5.5 and 5.6. QUAY_STRESS_SECONDS, 5 unless set.
// Invariants: 1. The end of every child that was registered is told once, to one thread, with that
//                child's status, whatever number it had.
//             2. After a change of a file an event of it comes.
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <thread>

#include "support/length.hpp"
#include "support/matchers.hpp"

namespace quay::test {
namespace {

using clock = std::chrono::steady_clock;

// Each test gets a half.
time_limit limit_of_test() { return time_limit(stress_time() / 2); }

template <class Condition>
bool comes_true(Condition condition) {
  const clock::time_point limit = clock::now() + kPatience;
  while (!condition()) {
    if (clock::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

// Threads that wait in a queue and hand on what comes, until a user event says that it is over.
class readers {
 public:
  template <class F>
  readers(int kq, int count, F take) : kq_(kq) {
    EXPECT_THAT(alter(kq, {add(kOver, EVFILT_USER)}), Succeeds());
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([kq, take] {
        for (;;) {
          struct kevent got[4];
          const int n = ::kevent(kq, nullptr, 0, got, 4, nullptr);
          for (int k = 0; k < n; ++k) {
            if (got[k].filter == EVFILT_USER) return;
            take(got[k]);
          }
        }
      });
    }
  }
  readers(const readers&) = delete;
  readers& operator=(const readers&) = delete;
  ~readers() {
    EXPECT_THAT(alter(kq_, {trigger(kOver)}), Succeeds());  // a level: all see it
    for (std::thread& each : threads_) each.join();
  }

 private:
  static constexpr uintptr_t kOver = 1;
  int kq_;
  std::vector<std::thread> threads_;
};

// A child that ends with `code` when a byte comes through its pipe, of which other children may hold
// the ends too. No heap after the fork.
pid_t start_child(int code, unique_fd& leash) {
  int ends[2];
  checked(::pipe2(ends, O_CLOEXEC), "pipe2");
  const pid_t pid = checked(::fork(), "fork");
  if (pid == 0) {
    char byte = 0;
    [[maybe_unused]] const ssize_t n = ::read(ends[0], &byte, 1);
    ::_exit(code);
  }
  ::close(ends[0]);
  leash = unique_fd(ends[1]);
  return pid;
}

TEST(Stress_Filters, EveryChildsEndIsToldOnceWithItsStatus) {
  constexpr int kSpawners = 2;
  constexpr size_t kBook = 1 << 16;
  struct life {
    std::atomic<int> told{0};
    std::atomic<int> status{0};
  };
  const auto book = std::make_unique<std::array<life, kBook>>();
  std::atomic<size_t> born{0};
  const queue kq = make_queue();
  const time_limit limit = limit_of_test();
  {
    const readers all(kq, 3, [&](const struct kevent& e) {
      life& l = (*book)[reinterpret_cast<uintptr_t>(e.udata)];
      l.status = static_cast<int>(e.data);
      ++l.told;
    });
    std::vector<std::thread> spawners;
    for (int s = 0; s < kSpawners; ++s) {
      spawners.emplace_back([&] {
        for (size_t n; !limit.over() && (n = born.fetch_add(1)) < kBook;) {
          const int code = static_cast<int>(n % 251);
          unique_fd leash;
          const pid_t pid = start_child(code, leash);
          EXPECT_THAT(alter(kq, {add(static_cast<uintptr_t>(pid), EVFILT_PROC)
                                     .fflags(NOTE_EXIT)
                                     .udata(reinterpret_cast<void*>(n))}),
                      Succeeds());
          EXPECT_EQ(::write(leash, "x", 1), 1);
          // Every other child is waited for before its end was told, and its number is free.
          if (n % 2 == 0) ::waitpid(pid, nullptr, 0);
          ASSERT_TRUE(comes_true([&] { return (*book)[n].told != 0; })) << n;
          if (n % 2 == 0) continue;
          EXPECT_EQ((*book)[n].status, code << 8) << n;
          ::waitpid(pid, nullptr, 0);
        }
      });
    }
    for (std::thread& each : spawners) each.join();
  }
  for (size_t n = 0; n < std::min(born.load(), kBook); ++n) EXPECT_LE((*book)[n].told, 1) << n;
  EXPECT_GT(born, 0U);
}

TEST(Stress_Filters, AfterEveryChangeOfAFileAnEventComes) {
  constexpr size_t kFiles = 4;
  const temporary_directory directory;
  std::array<unique_fd, kFiles> files;
  std::array<std::atomic<bool>, kFiles> told{};
  const queue kq = make_queue();
  for (size_t i = 0; i < kFiles; ++i) {
    files[i] = directory.make_file("", "file" + std::to_string(i));
    ASSERT_THAT(alter(kq, {add(files[i], EVFILT_VNODE, EV_CLEAR)
                               .fflags(NOTE_WRITE | NOTE_ATTRIB | NOTE_LINK)
                               .udata(reinterpret_cast<void*>(i))}),
                Succeeds());
  }
  const time_limit limit = limit_of_test();
  std::atomic<bool> over{false};
  std::atomic<size_t> changes{0};
  {
    const readers all(kq, 3, [&](const struct kevent& e) {
      const auto n = reinterpret_cast<uintptr_t>(e.udata);
      if (n < kFiles) told[n] = true;
    });
    // The same files by other descriptors: their notes share the kernel's watches, and come and go.
    std::thread others([&] {
      while (!over) {
        for (const unique_fd& file : files) {
          const unique_fd same(::fcntl(file, F_DUPFD_CLOEXEC, 0));
          const change note = add(same, EVFILT_VNODE, EV_CLEAR)
                                  .fflags(NOTE_ATTRIB)
                                  .udata(reinterpret_cast<void*>(kFiles));
          EXPECT_THAT(alter(kq, {note}), Succeeds());
          EXPECT_THAT(alter(kq, {remove(same, EVFILT_VNODE)}), Succeeds());
        }
      }
    });
    std::vector<std::thread> writers;
    for (size_t i = 0; i < kFiles; ++i) {
      writers.emplace_back([&, i] {
        for (unsigned n = 0; !limit.over(); ++n) {
          told[i] = false;
          if (n % 2 == 0) {
            ::fchmod(files[i], n % 4 == 0 ? 0600 : 0640);
          } else {
            EXPECT_EQ(::pwrite(files[i], "x", 1, 0), 1);
          }
          ++changes;
          ASSERT_TRUE(comes_true([&] { return told[i].load(); })) << i << " " << n;
        }
      });
    }
    for (std::thread& each : writers) each.join();
    over = true;
    others.join();
  }
  EXPECT_GT(changes, 0U);
}

}  // namespace
}  // namespace quay::test
