// SPDX-License-Identifier: BSD-2-Clause
//
// What: all systems at once in one process: descriptors, user events, timers, signals, processes, files, nested queues,
//       pipes, ports and asynchronous requests, threads that are cancelled, each with an actor that counts what it does and what comes of it.
// Contract: every byte and every port event arrives once and in order, every posting of a signal is counted, every child's
//           end is told once, the last value of a user event is seen, and at the end all descriptors are back.
//           QUAY_STORM_SECONDS, or else QUAY_STRESS_SECONDS: how long (5).
#include <aio.h>
#include <fcntl.h>
#include <port.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <thread>

#include "support/cancellation.hpp"
#include "support/kqueue.hpp"
#include "support/length.hpp"
#include "support/objects.hpp"

namespace quay::test {
namespace {

// A thread that is cancelled inside one of the thread sanitizer's interceptors is unwound past its end.
#if defined(__SANITIZE_THREAD__)
constexpr bool kCancellationIsLost = true;
#elif defined(__has_feature)
constexpr bool kCancellationIsLost = __has_feature(thread_sanitizer);
#else
constexpr bool kCancellationIsLost = false;
#endif

long open_descriptors() {
  long n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++n;
  return n;
}

// One event, or none within a tenth of a second.
bool next_event(int kq, struct kevent& out) {
  const timespec tenth{0, 100'000'000};
  return ::kevent(kq, nullptr, 0, &out, 1, &tenth) == 1;
}

void change_one(int kq, uintptr_t ident, int filter, unsigned flags, unsigned fflags = 0,
                intptr_t data = 0) {
  struct kevent e;
  EV_SET(&e, ident, static_cast<short>(filter), static_cast<unsigned short>(flags), fflags, data,
         nullptr);
  ::kevent(kq, &e, 1, nullptr, 0, nullptr);
}

class storm {
 public:
  void run(std::chrono::milliseconds time) {
    using actor = void (storm::*)();
    constexpr actor kActors[] = {&storm::ports,         &storm::pipes,    &storm::signals,
                                 &storm::processes,     &storm::churn,    &storm::user,
                                 &storm::nested,        &storm::timers,   &storm::files,
                                 &storm::closed_queues, &storm::requests, &storm::cancelled};
    std::vector<std::thread> threads;
    for (const actor a : kActors) threads.emplace_back([this, a] { (this->*a)(); });
    std::this_thread::sleep_for(time);
    stop_ = true;
    for (std::thread& t : threads) t.join();
  }

 private:
  // Two senders, two getters of one port; every value once.
  void ports() {
    const int port = ::port_create1(O_CLOEXEC);
    std::atomic<long> sent{0}, sum_sent{0}, got{0}, sum_got{0};
    std::atomic<bool> sending{true};
    std::vector<std::thread> crew;
    for (int i = 0; i < 2; ++i) {
      crew.emplace_back([&, i] {
        for (int n = i; !stop_; ++n) {
          if (::port_send(port, n & 0xffff, nullptr) != 0) continue;
          ++sent;
          sum_sent += n & 0xffff;
          if (n % 64 == 0) std::this_thread::yield();
        }
      });
    }
    const auto get = [&] {
      port_event_t e;
      timespec tenth{0, 50'000'000};
      if (::port_get(port, &e, &tenth) != 0) return false;
      ++got;
      sum_got += e.portev_events;
      return true;
    };
    std::thread getter([&] {
      while (get() || sending) {
      }
    });
    for (std::thread& t : crew) t.join();
    sending = false;
    getter.join();
    EXPECT_EQ(got, sent);
    EXPECT_EQ(sum_got, sum_sent);
    quay_close(port);
  }

  // Bytes of a pipe are a counter that must come out unbroken.
  void pipes() {
    int ends[2];
    ASSERT_EQ(::quay_pipe2(ends, O_CLOEXEC), 0);
    std::thread writer([&] {
      std::minstd_rand random(1);
      unsigned char next = 0;
      std::vector<unsigned char> block;
      while (!stop_) {
        block.resize(1 + random() % 20'000);
        for (unsigned char& b : block) b = next++;
        size_t done = 0;
        while (done < block.size()) {
          const ssize_t n = quay_write(ends[1], block.data() + done, block.size() - done);
          if (n > 0)
            done += static_cast<size_t>(n);
          else
            ASSERT_EQ(errno, EINTR);
        }
      }
      quay_close(ends[1]);
    });
    std::vector<unsigned char> got(30'000);
    unsigned char expected = 0;
    bool unbroken = true;
    for (;;) {
      const ssize_t n = quay_read(ends[0], got.data(), got.size());
      if (n == 0) break;
      if (n < 0 && errno == EINTR) continue;
      ASSERT_GT(n, 0);
      for (ssize_t i = 0; i < n; ++i)
        unbroken = got[static_cast<size_t>(i)] == expected++ && unbroken;
    }
    EXPECT_TRUE(unbroken);
    writer.join();
    quay_close(ends[0]);
  }

  // Raised by this thread for itself: none can merge with another.
  void signals() {
    const queue kq = make_queue();
    change_one(kq, SIGUSR1, EVFILT_SIGNAL, EV_ADD);
    long posted = 0;
    long counted = 0;
    struct kevent e;
    while (!stop_) {
      for (int i = 0; i < 10; ++i, ++posted) ::pthread_kill(::pthread_self(), SIGUSR1);
      if (next_event(kq, e)) counted += e.data;
    }
    while (counted < posted && next_event(kq, e)) counted += e.data;
    EXPECT_EQ(counted, posted);
  }

  void processes() {
    const queue kq = make_queue();
    long ends = 0;
    long children = 0;
    while (!stop_) {
      const pid_t child = ::fork();
      if (child == 0) {
        for (int i = 0; i < 20; ++i) ::sched_yield();
        ::_exit(7);
      }
      if (child < 0) continue;
      ++children;
      change_one(kq, static_cast<uintptr_t>(child), EVFILT_PROC, EV_ADD, NOTE_EXIT);
      struct kevent e {};
      for (int tries = 0; tries < 200 && e.ident != static_cast<uintptr_t>(child); ++tries)
        next_event(kq, e);
      ends += e.ident == static_cast<uintptr_t>(child) && (e.fflags & NOTE_EXIT) &&
              WEXITSTATUS(e.data) == 7;
      ::waitpid(child, nullptr, 0);
    }
    EXPECT_EQ(ends, children);
  }

  // Descriptors come and go under a queue's eyes; the number is reused at once.
  void churn() {
    const queue kq = make_queue();
    std::minstd_rand random(2);
    while (!stop_) {
      socket_pair s = make_socketpair();
      change_one(kq, static_cast<uintptr_t>(s.here), EVFILT_READ,
                 EV_ADD | (random() % 2 ? EV_CLEAR : 0));
      change_one(kq, static_cast<uintptr_t>(s.here), EVFILT_WRITE, EV_ADD | EV_ONESHOT);
      put(s.there, "abc");
      bool read = false;
      for (int i = 0; i < 50 && !read; ++i) {
        struct kevent e;
        if (!next_event(kq, e)) continue;
        EXPECT_EQ(e.ident, static_cast<uintptr_t>(s.here));
        read = e.filter == EVFILT_READ && e.data == 3;
      }
      EXPECT_TRUE(read);
    }
  }

  void user() {
    const queue kq = make_queue();
    change_one(kq, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    std::atomic<unsigned> last{0};
    std::atomic<bool> over{false};
    std::thread poster([&] {
      for (unsigned n = 1; !stop_; ++n) {
        change_one(kq, 1, EVFILT_USER, 0, NOTE_TRIGGER | NOTE_FFCOPY | (n & NOTE_FFLAGSMASK));
        last = n & NOTE_FFLAGSMASK;
      }
      over = true;
    });
    unsigned seen = 0;
    for (struct kevent e; !over || seen != last;) {
      if (next_event(kq, e)) {
        seen = e.fflags;
      } else if (over) {
        break;
      }
    }
    EXPECT_EQ(seen, last);
    poster.join();
  }

  void nested() {
    const queue outer = make_queue();
    const queue inner = make_queue();
    change_one(inner, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    change_one(outer, static_cast<uintptr_t>(inner), EVFILT_READ, EV_ADD);
    long told = 0;
    long posted = 0;
    while (!stop_) {
      change_one(inner, 1, EVFILT_USER, 0, NOTE_TRIGGER);
      ++posted;
      struct kevent e {};
      for (int tries = 0; tries < 100 && e.ident == 0; ++tries) next_event(outer, e);
      struct kevent in {};
      told += e.ident == static_cast<uintptr_t>(inner) && next_event(inner, in) && in.ident == 1;
    }
    EXPECT_EQ(told, posted);
  }

  void timers() {
    const queue kq = make_queue();
    std::minstd_rand random(3);
    for (uintptr_t n = 1; !stop_; ++n) {
      change_one(kq, n, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_USECONDS,
                 1 + static_cast<intptr_t>(random() % 3000));
      change_one(kq, 0, EVFILT_TIMER, EV_ADD, NOTE_SECONDS, 1000);
      change_one(kq, 0, EVFILT_TIMER, EV_DELETE);
      struct kevent e {};
      for (int tries = 0; tries < 100 && e.ident == 0; ++tries) next_event(kq, e);
      EXPECT_EQ(e.ident, n);
    }
  }

  void files() {
    const temporary_directory where;
    const unique_fd file = where.make_file("");
    const queue kq = make_queue();
    change_one(kq, static_cast<uintptr_t>(file), EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
    while (!stop_) {
      put(file, "more");
      struct kevent e {};
      for (int tries = 0; tries < 100 && e.ident == 0; ++tries) next_event(kq, e);
      EXPECT_TRUE(e.fflags & NOTE_WRITE);
      if (::ftruncate(file, 0) != 0 || ::lseek(file, 0, SEEK_SET) != 0) break;
      while (next_event_now(kq)) {
      }
    }
  }

  static bool next_event_now(int kq) {
    struct kevent e;
    const timespec now{};
    return ::kevent(kq, nullptr, 0, &e, 1, &now) == 1;
  }

  // Two waiters of a queue that is closed while a third thread triggers.
  void closed_queues() {
    while (!stop_) {
      // At a number that nobody else is given: who is late must not meet another actor's queue.
      const int low = quay_kqueue(QUAY_DIALECT_FREEBSD, O_CLOEXEC);
      const int kq = quay_fcntl(low, F_DUPFD_CLOEXEC, 500);
      quay_close(low);
      ASSERT_GE(kq, 500);
      change_one(kq, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
      std::vector<std::thread> crew;
      for (int i = 0; i < 2; ++i) {
        crew.emplace_back([kq] {
          struct kevent e;
          const timespec long_enough{20, 0};
          EXPECT_NE(::kevent(kq, nullptr, 0, &e, 1, &long_enough), 0) << "a waiter was not woken";
        });
      }
      crew.emplace_back([kq] { change_one(kq, 1, EVFILT_USER, 0, NOTE_TRIGGER); });
      std::this_thread::yield();
      crew.back().join();
      crew.pop_back();
      quay_close(kq);
      for (std::thread& t : crew) t.join();
    }
  }

  // Every request ends once, by its event or by being cancelled, and brings the bytes of its offset.
  void requests() {
    constexpr size_t kMost = 8;
    constexpr size_t kBlock = 512;
    const temporary_directory where;
    std::string content;
    for (size_t i = 0; i < kMost * kBlock; ++i) content += static_cast<char>('a' + i / kBlock);
    const unique_fd file = where.make_file(content);
    const queue kq = make_queue();
    const auto blocks = std::make_unique<aiocb[]>(kMost);
    std::vector<char> room(kMost * kBlock);
    std::minstd_rand random(4);
    while (!stop_) {
      size_t begun = 0;
      for (size_t i = 0; i < kMost; ++i) {
        aiocb& b = blocks[i];
        b = {};
        b.aio_fildes = file;
        b.aio_buf = &room[i * kBlock];
        b.aio_nbytes = kBlock;
        b.aio_offset = static_cast<off_t>(i * kBlock);
        b.aio_sigevent.sigev_notify = SIGEV_KEVENT;
        b.aio_sigevent.sigev_notify_kqueue = kq;
        if (::aio_read(&b) != 0) break;
        ++begun;
      }
      if (random() % 4 == 0) ::aio_cancel(file, &blocks[random() % kMost]);
      size_t ended = 0;
      for (int tries = 0; tries < 200 && ended < begun;) {
        struct kevent e;
        if (!next_event(kq, e)) {
          ++tries;
          continue;
        }
        ++ended;
        auto* b = reinterpret_cast<aiocb*>(e.ident);
        const int error = ::aio_error(b);
        const ssize_t n = ::aio_return(b);
        const auto i = static_cast<size_t>(b - blocks.get());
        EXPECT_TRUE((error == 0 && n == static_cast<ssize_t>(kBlock) &&
                     room[i * kBlock] == static_cast<char>('a' + i)) ||
                    (error == ECANCELED && n == -1))
            << i << ": error " << error << ", result " << n;
      }
      EXPECT_EQ(ended, begun);
    }
  }

  // A thread that is cancelled while something arrives for it has taken it, or has left it behind whole.
  void cancelled() {
    if (kCancellationIsLost) return;
    const queue kq = make_queue();
    change_one(kq, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    const int port = ::port_create1(O_CLOEXEC);
    int ends[2];
    ASSERT_EQ(::quay_pipe2(ends, O_CLOEXEC), 0);
    const int number = kq;
    const std::function<bool()> takes[] = {
        [number] {
          struct kevent e;
          return ::kevent(number, nullptr, 0, &e, 1, nullptr) == 1;
        },
        [port] {
          port_event_t e;
          return ::port_get(port, &e, nullptr) == 0;
        },
        [&ends] {
          char byte;
          return quay_read(ends[0], &byte, 1) == 1;
        },
    };
    std::minstd_rand random(5);
    while (!stop_) {
      const unsigned where = random() % 3;
      bool took = false;
      cancellable_call victim([&] { took = takes[where](); });
      for (unsigned n = random() % 8; n > 0; --n) std::this_thread::yield();
      if (where == 0) change_one(kq, 1, EVFILT_USER, 0, NOTE_TRIGGER);
      if (where == 1) {
        EXPECT_EQ(::port_send(port, 7, nullptr), 0);
      }
      if (where == 2) {
        EXPECT_EQ(quay_write(ends[1], "x", 1), 1);
      }
      for (unsigned n = random() % 4; n > 0; --n) std::this_thread::yield();
      victim.cancel();
      if (victim.join()) {
        EXPECT_TRUE(takes[where]());  // or sleeps for ever
      } else {
        EXPECT_TRUE(took);
      }
    }
    quay_close(ends[0]);
    quay_close(ends[1]);
    quay_close(port);
  }

  std::atomic<bool> stop_{false};
};

TEST(Storm, AllSystemsAtOnceKeepTheirPromises) {
  ::signal(SIGUSR1, [](int) {});
  {
    storm first;  // what a process makes once is made now
    first.run(std::chrono::seconds(1));
  }
  const long before = open_descriptors();
  storm all;
  all.run(storm_time());
  EXPECT_LE(open_descriptors(), before + 2);
}

}  // namespace
}  // namespace quay::test
