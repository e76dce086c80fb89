// SPDX-License-Identifier: BSD-2-Clause
//
// What: every way to wait for every direction of a pipe, with the other end in this process and in
//       another.
// Contract: semantics/pipes-signalfd.md A8, A9; semantics/ports.md 2.2; docs/design.md, "Pipes".
#include <port.h>
#include <sys/event.h>

#include <memory>
#include <tuple>

#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

enum class way { level, clear, private_queue, poll, port };
const char* name_of(way w) {
  constexpr const char* kNames[] = {"level", "clear", "private_queue", "poll", "port"};
  return kNames[static_cast<int>(w)];
}

// Something that can wait for one direction of one descriptor.
class watcher {
 public:
  watcher(way w, int fd, bool writing) : way_(w), fd_(fd), writing_(writing) {
    if (w == way::poll) return;
    if (w == way::port) {
      object_ = port_create();
      return;
    }
    object_ = w == way::private_queue ? quay_kqueue(QUAY_DIALECT_FREEBSD, QUAY_PRIVATE) : kqueue();
    struct kevent change {};
    EV_SET(&change, static_cast<uintptr_t>(fd), writing ? EVFILT_WRITE : EVFILT_READ,
           EV_ADD | (w == way::clear ? EV_CLEAR : 0), 0, 0, nullptr);
    EXPECT_EQ(kevent(object_, &change, 1, nullptr, 0, nullptr), 0) << errno;
  }
  ~watcher() {
    if (object_ >= 0) quay_close(object_);
  }
  watcher(const watcher&) = delete;
  watcher& operator=(const watcher&) = delete;

  // 1: ready, 0: not now.
  int look() { return wait(0); }
  int wait(int ms = -1) {
    timespec limit{0, 0};
    timespec* most = ms < 0 ? nullptr : &limit;
    if (way_ == way::poll) {
      pollfd p{fd_, static_cast<short>(writing_ ? POLLOUT : POLLIN), 0};
      return quay_poll(&p, 1, ms);
    }
    if (way_ == way::port) {
      if (port_associate(object_, PORT_SOURCE_FD, static_cast<uintptr_t>(fd_),
                         writing_ ? POLLOUT : POLLIN, nullptr) != 0) {
        return -errno;
      }
      port_event_t event{};
      if (port_get(object_, &event, most) == 0) return event.portev_events != 0 ? 1 : -1;
      return errno == ETIME ? 0 : -errno;
    }
    struct kevent event {};
    return kevent(object_, nullptr, 0, &event, 1, most);
  }

 private:
  way way_;
  int fd_;
  bool writing_;
  int object_ = -1;
};

// How to wait, at which end, for bytes or for room.
class Pipe_Watching : public ::testing::TestWithParam<std::tuple<way, int, bool>> {
 protected:
  // Not ready yet: empty, or full.
  void SetUp() override {
    p_ = std::make_unique<pipe_pair>(O_NONBLOCK);
    if (writing()) stuff(own());
  }
  way how() const { return std::get<0>(GetParam()); }
  int end() const { return std::get<1>(GetParam()); }
  bool writing() const { return std::get<2>(GetParam()); }
  int own() const { return (*p_)[end()]; }
  int other() const { return (*p_)[1 - end()]; }

  // What makes it ready, and what takes that away again.
  static void change(int other, bool writing) {
    if (writing) {
      take(other, 65536);
    } else {
      put(other, 1);
    }
  }
  static void stuff(int fd) {
    while (put(fd, 8192) > 0) {
    }
    fill(fd);
  }
  void undo() {
    if (writing()) {
      stuff(own());
    } else {
      take(own(), 65536);
    }
  }

  std::unique_ptr<pipe_pair> p_;
};

TEST_P(Pipe_Watching, ItIsReadyWhenTheOtherEndMadeItSo) {
  watcher w(how(), own(), writing());
  EXPECT_EQ(w.look(), 0);
  change(other(), writing());
  EXPECT_EQ(w.look(), 1);
  undo();
  EXPECT_EQ(w.look(), 0);
}

TEST_P(Pipe_Watching, ASleeperIsWokenByAThread) {
  watcher w(how(), own(), writing());
  for (int i = 0; i < 3; ++i) {
    {
      call sleeper([&] { return w.wait(); });
      sleeper.until_asleep();
      EXPECT_FALSE(sleeper.done());
      change(other(), writing());
      EXPECT_EQ(sleeper.result(), 1);
    }
    undo();
    EXPECT_EQ(w.look(), 0);
  }
}

TEST_P(Pipe_Watching, ASleeperIsWokenByAnotherProcess) {
  QUAY_NEEDS_THREADS_IN_CHILDREN();
  pipe_pair commands;
  child peer([&] {
    commands.close(1);
    p_->close(end());
    while (take(commands.reader(), 1) == 1) change(other(), writing());
    return 0;
  });
  p_->close(1 - end());
  watcher w(how(), own(), writing());
  for (int i = 0; i < 5; ++i) {
    {
      call sleeper([&] { return w.wait(); });
      sleeper.until_asleep();
      EXPECT_FALSE(sleeper.done()) << "round " << i;
      put(commands.writer(), 1);
      EXPECT_EQ(sleeper.result(), 1);
    }
    undo();
    EXPECT_EQ(w.look(), 0);
  }
  commands.close(1);
  EXPECT_EQ(peer.wait(), 0);
}

TEST_P(Pipe_Watching, ASleeperIsWokenByTheEndOfTheOtherProcess) {
  QUAY_NEEDS_THREADS_IN_CHILDREN();
  const ignored_signal no_sigpipe(SIGPIPE);
  child peer([&] {
    p_->close(end());
    pause();
    return 0;
  });
  p_->close(1 - end());
  watcher w(how(), own(), writing());
  call sleeper([&] { return w.wait(); });
  sleeper.until_asleep();
  EXPECT_FALSE(sleeper.done());
  peer.kill(SIGKILL);
  EXPECT_EQ(sleeper.result(), 1);
}

INSTANTIATE_TEST_SUITE_P(By, Pipe_Watching,
                         ::testing::Combine(::testing::Values(way::level, way::clear,
                                                              way::private_queue, way::poll,
                                                              way::port),
                                            ::testing::Values(0, 1), ::testing::Bool()),
                         [](const auto& info) {
                           return std::string(name_of(std::get<0>(info.param))) +
                                  (std::get<1>(info.param) == 0 ? "_reader" : "_writer") +
                                  (std::get<2>(info.param) ? "_room" : "_bytes");
                         });

// Both ends watched in different processes, and nothing to do: nobody keeps the other awake.
TEST(Pipe_WatchedOnBothSides, IdleWatchersSleep) {
  QUAY_NEEDS_THREADS_IN_CHILDREN();
  for (const way w : {way::clear, way::level, way::poll, way::port}) {
    pipe_pair p;
    child peer([&] {
      watcher there(w, p.writer(), false);
      return there.wait() == 1 ? 0 : 1;
    });
    watcher here(w, p.reader(), false);
    call sleeper([&] { return here.wait(); });
    sleeper.until_asleep();
    peer.until_asleep();
    sleeper.until_asleep();
    EXPECT_FALSE(sleeper.done());
    put(p.reader(), 1);
    EXPECT_EQ(peer.wait(), 0) << name_of(w);
    put(p.writer(), 1);
    EXPECT_EQ(sleeper.result(), 1) << name_of(w);
  }
}

}  // namespace
}  // namespace quay::test::pipes
