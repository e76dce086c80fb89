// SPDX-License-Identifier: BSD-2-Clause
//
// What: a process that is killed at any instruction of a pipe's call, while another goes on with the pipe.
// Contract: semantics/pipes-signalfd.md A12.3, A12.4, A13 P43, P44: nothing that was there is lost or doubled, the
// dead call took place as far as its bytes are seen or not at all, and no lock, window or reservation stays.
// Each round forks a child, leads it instruction by instruction to a place of its call, and kills it there.
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <memory>
#include <random>

#include "length.hpp"
#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

// Each half of a test has an eighth of the time of a stress test: together they take two.
time_limit limit_of_half() { return time_limit(stress_time() / 8); }

constexpr std::size_t kRing = 128 * 1024;
// Made before, so that the steps are those of the pipe's calls.
const std::string g_ys(9000, 'y');
std::array<char, 400> g_taken;

// A child that stops before `act`, after `before`, and goes on one instruction at a time.
class stepped_child {
 public:
  stepped_child(const std::function<void()>& before, const std::function<void()>& act)
      : pid_(fork()) {
    if (pid_ == 0) {
      before();
      if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(1);
      syscall(SYS_kill, syscall(SYS_getpid), SIGSTOP);
      act();
      _exit(0);
    }
    int status = 0;
    traced_ = waitpid(pid_, &status, 0) == pid_ && WIFSTOPPED(status);
    over_ = !traced_;
  }
  ~stepped_child() {
    if (over_) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  stepped_child(const stepped_child&) = delete;
  stepped_child& operator=(const stepped_child&) = delete;

  bool traced() const { return traced_; }
  // False: it has come to its end. What it does must not sleep.
  bool step() {
    int status = 0;
    over_ = ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0 ||
            waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status);
    return !over_;
  }
  // After how many steps each instruction of its way begins. One that repeats, as copying does, is one.
  std::vector<long> way() {
    std::vector<long> begins;
    unsigned long before = 0;
    for (long n = 0; step(); ++n) {
      const unsigned long at = instruction();
      if (at != before || at == 0) begins.push_back(n);
      before = at;
    }
    return begins;
  }

 private:
  // 0: not known here.
  unsigned long instruction() const {
#ifdef __x86_64__
    return static_cast<unsigned long>(
        ptrace(PTRACE_PEEKUSER, pid_, offsetof(user_regs_struct, rip), nullptr));
#else
    return 0;
#endif
  }

  pid_t pid_;
  bool traced_ = false;
  bool over_ = false;
};

// At places taken at random: `act` is done by a child that dies there, `check` is what must hold then.
class Pipe_AnyInstruction : public testing::Test {
 protected:
  // On one processor each step is two switches, and no processor is waited for.
  void SetUp() override {
    ASSERT_EQ(sched_getaffinity(0, sizeof allowed_, &allowed_), 0);
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here);
  }
  void TearDown() override { sched_setaffinity(0, sizeof allowed_, &allowed_); }

  template <class Act, class Check>
  void at_any_place(Act act, Check check) {
    at_any_place([](const pipe_pair&) {}, act, check);
    if (!IsSkipped() && !HasFailure()) at_any_place(make_its_own, act, check);
  }

  // Who alone uses an end for a while takes its locks by another way: host/biased_mutex.hpp. Once round the
  // ring, so that the bytes lie where they lay.
  static void make_its_own(const pipe_pair& p) {
    std::string all(kRing, ' ');
    quay_read(p.reader(), all.data(), all.size());
    for (std::size_t left = kRing - there().size(); left > 0;) {
      const std::size_t n = std::min<std::size_t>(left, 1000);
      quay_write(p.writer(), all.data(), n);
      quay_read(p.reader(), all.data(), n);
      left -= n;
    }
    quay_write(p.writer(), there().data(), there().size());
  }

  template <class Before, class Act, class Check>
  void at_any_place(Before before, Act act, Check check) {
    std::vector<long> way;
    {
      // Once here, so that the loader's work is no part of the child's way.
      act(*prepared());
      const auto p = prepared();
      stepped_child child([&] { before(*p); }, [&] { act(*p); });
      if (!child.traced()) GTEST_SKIP() << "this system does not let a process trace its child";
      way = child.way();
    }
    ASSERT_FALSE(way.empty());
    std::minstd_rand random(std::random_device{}());
    const time_limit limit = limit_of_half();
    int rounds = 0;
    for (; rounds == 0 || !limit.over(); ++rounds) {
      const long place = way[random() % way.size()];
      SCOPED_TRACE("killed after step " + std::to_string(place) + " of " +
                   std::to_string(way.back()));
      const auto p = prepared();
      {
        stepped_child child([&] { before(*p); }, [&] { act(*p); });
        for (long n = 0; n < place && child.step(); ++n) {
        }
      }
      check(*p);
      if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
    std::printf("%d of %zu places\n", rounds, way.size());
  }

  // Bytes that lie across the edge of the ring.
  static std::unique_ptr<pipe_pair> prepared() {
    auto p = std::make_unique<pipe_pair>(O_NONBLOCK);
    for (const int n : {65536, 65536 - 100}) {
      put(p->writer(), n);
      take(p->reader(), n);
    }
    put(p->writer(), there());
    return p;
  }
  static const std::string& there() {
    static const std::string bytes = [] {
      std::string out;
      for (int i = 0; i < 300; ++i) out += static_cast<char>('a' + i % 23);
      return out;
    }();
    return bytes;
  }

  static std::string rest(const pipe_pair& p) {
    std::string all;
    for (std::string some; !(some = take_text(p.reader(), 70000)).empty();) all += some;
    return all;
  }
  // Both directions of travel still work, for small writes and those that fill it.
  static void expect_a_whole_pipe(const pipe_pair& p) {
    EXPECT_EQ(ready(p.writer()), POLLOUT);
    EXPECT_EQ(put(p.writer(), "next"), 4);
    EXPECT_EQ(take_text(p.reader(), 100), "next");
    EXPECT_EQ(put(p.writer(), 65536), 65536);
    EXPECT_EQ(take(p.reader(), 65536), 65536);
    EXPECT_EQ(put(p.reader(), "back"), 4);
    EXPECT_EQ(take_text(p.writer(), 100), "back");
  }

  // A direct write that finds, with its window published, that it must not wait: the flag was set
  // behind our back.
  static void write_directly(const pipe_pair& p) {
    quay_read(p.reader(), g_taken.data(), 300);
    quay_fcntl(p.writer(), F_SETFL, O_WRONLY);
    syscall(SYS_fcntl, p.writer(), F_SETFL, O_WRONLY | O_NONBLOCK);
    quay_write(p.writer(), g_ys.data(), 8192);
  }

 private:
  cpu_set_t allowed_;
};

TEST_F(Pipe_AnyInstruction, AKilledWriteIsThereOrNot) {
  at_any_place([](const pipe_pair& p) { quay_write(p.writer(), g_ys.data(), 200); },
               [](const pipe_pair& p) {
                 const std::string found = rest(p);
                 EXPECT_EQ(found,
                           there() + std::string(found.size() > there().size() ? 200u : 0u, 'y'));
                 expect_a_whole_pipe(p);
               });
}

TEST_F(Pipe_AnyInstruction, AKilledReadTookAllOfItsBytesOrNone) {
  at_any_place([](const pipe_pair& p) { quay_read(p.reader(), g_taken.data(), 200); },
               [](const pipe_pair& p) {
                 const int shown = held(p.reader());
                 const std::string found = rest(p);
                 EXPECT_EQ(found, there().substr(found.size() < there().size() ? 200 : 0));
                 EXPECT_EQ(shown, static_cast<int>(found.size()));
                 expect_a_whole_pipe(p);
               });
}

TEST_F(Pipe_AnyInstruction, OfAKilledLargeWriteAPrefixIsThere) {
  at_any_place([](const pipe_pair& p) { quay_write(p.writer(), g_ys.data(), 9000); },
               [](const pipe_pair& p) {
                 const std::string found = rest(p);
                 ASSERT_GE(found.size(), there().size());
                 ASSERT_LE(found.size(), there().size() + 9000);
                 EXPECT_EQ(found, there() + std::string(found.size() - there().size(), 'y'));
                 expect_a_whole_pipe(p);
               });
}

TEST_F(Pipe_AnyInstruction, OfAKilledDirectWriteAPrefixIsThere) {
  at_any_place(write_directly, [](const pipe_pair& p) {
    set_nonblocking(p.writer(), true);
    const std::string found = rest(p);
    if (found.substr(0, 300) != there()) {
      EXPECT_EQ(found, std::string(found.size(), 'y'));
      EXPECT_LE(found.size(), 8192u);
    }
    expect_a_whole_pipe(p);
  });
}

// A program that only writes when poll() says that it may.
TEST_F(Pipe_AnyInstruction, AReaderThatMeetsAKilledWriterMakesThePipeWritable) {
  at_any_place(write_directly, [](const pipe_pair& p) {
    rest(p);
    EXPECT_EQ(ready(p.writer()), POLLOUT);
  });
}

TEST_F(Pipe_AnyInstruction, AReservationEndsWithItsProcess) {
  at_any_place(
      [](const pipe_pair& p) {
        iovec room{};
        if (quay_pipe_reserve(p.writer(), 50, &room) < 50) return;
        memset(room.iov_base, 'r', 50);
        quay_pipe_commit(p.writer(), 50);
      },
      [](const pipe_pair& p) {
        const std::string found = rest(p);
        EXPECT_EQ(found, there() + std::string(found.size() > there().size() ? 50u : 0u, 'r'));
        expect_a_whole_pipe(p);
      });
}

TEST_F(Pipe_AnyInstruction, WhatWasPeekedAtStaysUntilItIsConsumed) {
  at_any_place(
      [](const pipe_pair& p) {
        iovec bytes{};
        quay_pipe_peek(p.reader(), &bytes);
        quay_pipe_consume(p.reader(), 50);
      },
      [](const pipe_pair& p) {
        const std::string found = rest(p);
        EXPECT_EQ(found, there().substr(found.size() < there().size() ? 50 : 0));
        expect_a_whole_pipe(p);
      });
}

TEST_F(Pipe_AnyInstruction, AKilledCloseIsAClose) {
  at_any_place([](pipe_pair& p) { p.close(1); },
               [](pipe_pair& p) {
                 p.close(1);
                 EXPECT_EQ(rest(p), there());
                 EXPECT_EQ(take(p.reader(), 1), 0);
                 EXPECT_EQ(ready(p.reader()), POLLIN | POLLOUT | POLLHUP);
               });
}

}  // namespace
}  // namespace quay::test::pipes
