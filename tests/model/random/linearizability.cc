// SPDX-License-Identifier: BSD-2-Clause
//
// What: user events, port sends and the bytes of pipes by several threads: what they get, one thread could have got in
//       some order.
#include <gtest/gtest.h>
#include <quay/quay.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <deque>

#include "dialects.hpp"
#include "exploration.hpp"
#include "history.hpp"
#include "port.hpp"

namespace {

using quay::model::crew;
using quay::model::linearizer;
using quay::model::timed;

int rounds_wanted() { return static_cast<int>(quay::test::model_rounds()); }

// --- the checker ----------------------------------------------------------------------------------

struct flag_call {
  bool sets = false;
  bool found = false;  // of a look: the flag was up
};

struct flag {
  bool up = false;
  bool apply(const flag_call& c) {
    if (c.sets) return up = true;
    const bool was = std::exchange(up, false);
    return was == c.found;
  }
  std::string key() const { return up ? "1" : "0"; }
};

using flag_history = std::vector<timed<flag_call>>;

TEST(Linearizer, AcceptsWhatOverlappingCallsMaySee) {
  const flag_history history{
      {{.sets = true}, 0, 5}, {{.found = false}, 1, 2}, {{.found = true}, 3, 4}};
  EXPECT_TRUE((linearizer<flag_call, flag>(history).possible({})));
}

TEST(Linearizer, RefusesALookThatMissesAFinishedSet) {
  const flag_history history{{{.sets = true}, 0, 1}, {{.found = false}, 2, 3}};
  EXPECT_FALSE((linearizer<flag_call, flag>(history).possible({})));
}

TEST(Linearizer, RefusesOneSetSeenTwice) {
  const flag_history history{
      {{.sets = true}, 0, 5}, {{.found = true}, 1, 2}, {{.found = true}, 3, 4}};
  EXPECT_FALSE((linearizer<flag_call, flag>(history).possible({})));
}

// --- user events ----------------------------------------------------------------------------------

// One EV_CLEAR user event: half of the threads OR a bit of theirs in and trigger, half fetch.
struct user_call {
  bool triggers = false;
  unsigned bits = 0;  // put in, or found
  bool came = false;
};

struct user_event {
  bool wipes = false;  // a delivery empties the bits
  bool triggered = false;
  unsigned bits = 0;
  bool apply(const user_call& c) {
    if (c.triggers) {
      triggered = true;
      bits |= c.bits;
      return true;
    }
    if (!c.came) return !triggered;
    if (!triggered || c.bits != bits) return false;
    triggered = false;
    if (wipes) bits = 0;
    return true;
  }
  std::string key() const { return std::to_string(bits * 2 + triggered); }
};

class Linearizable_User : public testing::TestWithParam<int> {};

void check_user_events(int dialect, int flags) {
  constexpr int kThreads = 4;
  constexpr int kCalls = 5;
  const quay::test::queue kq = quay::test::make_queue(dialect, flags);
  quay::test::alter(kq, {quay::test::add(1, EVFILT_USER, EV_CLEAR)});
  user_event state{.wipes = dialect == QUAY_DIALECT_DRAGONFLY || dialect == QUAY_DIALECT_OPENBSD};
  crew<user_call> threads(kThreads, kCalls);
  int checked = 0;
  threads.run(
      rounds_wanted(),
      [&](int, int thread, int index) {
        user_call c;
        struct kevent e;
        if (thread % 2 == 0) {
          c.triggers = true;
          c.bits = 1u << (thread / 2 * kCalls + index);
          EV_SET(&e, 1, EVFILT_USER, 0, NOTE_TRIGGER | NOTE_FFOR | c.bits, 0, nullptr);
          ::kevent(kq, &e, 1, nullptr, 0, nullptr);
          return c;
        }
        const timespec now{};
        c.came = ::kevent(kq, nullptr, 0, &e, 1, &now) == 1;
        if (c.came) c.bits = e.fflags;
        return c;
      },
      [&](const std::vector<timed<user_call>>& history) {
        const bool possible = linearizer<user_call, user_event>(history).possible(state);
        EXPECT_TRUE(possible) << "round " << checked;
        if (!possible) {
          for (const auto& h : history) {
            ADD_FAILURE() << h.begin << "-" << h.end
                          << (h.call.triggers ? " triggers " : " fetches ")
                          << (h.call.triggers || h.call.came ? std::to_string(h.call.bits)
                                                             : "nothing");
          }
        }
        ++checked;
        // The next round starts from what is left, which is known when it has been fetched.
        struct kevent e;
        EV_SET(&e, 1, EVFILT_USER, EV_DELETE, 0, 0, nullptr);
        ::kevent(kq, &e, 1, nullptr, 0, nullptr);
        quay::test::alter(kq, {quay::test::add(1, EVFILT_USER, EV_CLEAR)});
        return possible;
      });
  EXPECT_EQ(checked, rounds_wanted());
}

TEST_P(Linearizable_User, TriggersAndFetchesHaveAnOrder) { check_user_events(GetParam(), 0); }
TEST_P(Linearizable_User, TriggersAndFetchesOfAPrivateQueueHaveAnOrder) {
  check_user_events(GetParam(), QUAY_PRIVATE);
}

QUAY_IN_ALL_DIALECTS(Linearizable_User);

// --- port sends -----------------------------------------------------------------------------------

struct port_call {
  bool sends = false;
  int value = 0;  // sent or fetched; 0: nothing there
};

struct fifo {
  std::deque<int> queue;
  bool apply(const port_call& c) {
    if (c.sends) {
      queue.push_back(c.value);
      return true;
    }
    if (queue.empty()) return c.value == 0;
    if (queue.front() != c.value) return false;
    queue.pop_front();
    return true;
  }
  std::string key() const {
    std::string out;
    for (const int v : queue) out += std::to_string(v) + ",";
    return out;
  }
};

void check_port(int flags) {
  constexpr int kThreads = 4;
  constexpr int kCalls = 5;
  const quay::test::test_port port(flags | O_CLOEXEC);
  crew<port_call> threads(kThreads, kCalls);
  int checked = 0;
  threads.run(
      rounds_wanted(),
      [&](int, int thread, int index) {
        port_call c;
        c.sends = (thread + index) % 2 == 0;
        if (c.sends) {
          c.value = 1 + thread * kCalls + index;
          ::port_send(port, c.value, nullptr);
          return c;
        }
        port_event_t e;
        timespec now{};
        if (::port_get(port, &e, &now) == 0) c.value = e.portev_events;
        return c;
      },
      [&](const std::vector<timed<port_call>>& history) {
        const bool possible = linearizer<port_call, fifo>(history).possible({});
        EXPECT_TRUE(possible) << "round " << checked;
        ++checked;
        quay::test::taken(port);
        return possible;
      });
  EXPECT_EQ(checked, rounds_wanted());
}

// --- bytes of a pipe ------------------------------------------------------------------------------

struct pipe_call {
  bool writes = false;
  std::size_t most = 0;  // of a read: the room it had
  std::string bytes;     // written, or read; "" of a read: none there
};

struct byte_queue {
  std::string held;
  bool apply(const pipe_call& c) {
    if (c.writes) {
      held += c.bytes;
      return true;
    }
    const std::size_t n = std::min(c.most, held.size());
    if (c.bytes != held.substr(0, n)) return false;
    held.erase(0, n);
    return true;
  }
  const std::string& key() const { return held; }
};

TEST(Linearizable_Pipe, ARefusedHistoryIsOneWithBytesOutOfOrder) {
  using history = std::vector<timed<pipe_call>>;
  const history torn{{{true, 0, "ab"}, 0, 1}, {{true, 0, "cd"}, 2, 3}, {{false, 4, "abc"}, 4, 5}};
  EXPECT_FALSE((linearizer<pipe_call, byte_queue>(torn).possible({})));
  const history mixed{{{true, 0, "ab"}, 0, 3}, {{true, 0, "cd"}, 1, 2}, {{false, 4, "acbd"}, 4, 5}};
  EXPECT_FALSE((linearizer<pipe_call, byte_queue>(mixed).possible({})));
}

// Small writes are atomic; a read takes all there is, or as much as it has room for.
void check_pipe(bool both_ways, bool shared) {
  constexpr int kThreads = 4;
  constexpr int kCalls = 5;
  int ends[2];
  ASSERT_EQ(quay_pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  // What another process may have goes by the rules of several: a child that does nothing.
  pid_t child = -1;
  if (shared) {
    child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::pause();
      ::_exit(0);
    }
  }
  const int writing = both_ways ? ends[0] : ends[1];
  const int reading = both_ways ? ends[1] : ends[0];
  crew<pipe_call> threads(kThreads, kCalls);
  int checked = 0;
  threads.run(
      rounds_wanted(),
      [&](int round, int thread, int index) {
        pipe_call c;
        c.writes = (thread + index + round) % 2 == 0;
        char bytes[64];
        if (c.writes) {
          // Which bytes tells who wrote them; two of a kind differ in their order.
          const auto size = static_cast<std::size_t>(1 + (thread * 7 + index * 3 + round) % 9);
          for (std::size_t i = 0; i < size; ++i) {
            c.bytes += static_cast<char>((thread * kCalls + index) * 9 + static_cast<int>(i) + 1);
          }
          const ssize_t n = quay_write(writing, c.bytes.data(), c.bytes.size());
          c.bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
          return c;
        }
        c.most = static_cast<std::size_t>(1 + (thread * 5 + index * 11 + round) % 20);
        const ssize_t n = quay_read(reading, bytes, c.most);
        if (n > 0) c.bytes.assign(bytes, static_cast<std::size_t>(n));
        return c;
      },
      [&](const std::vector<timed<pipe_call>>& history) {
        const bool possible = linearizer<pipe_call, byte_queue>(history).possible({});
        EXPECT_TRUE(possible) << "round " << checked;
        if (!possible) {
          for (const auto& h : history) {
            std::string text = std::to_string(h.begin) + "-" + std::to_string(h.end) +
                               (h.call.writes ? " writes" : " reads");
            for (const char byte : h.call.bytes) {
              text += ' ' + std::to_string(static_cast<unsigned char>(byte));
            }
            ADD_FAILURE() << text;
          }
        }
        ++checked;
        char rest[4096];
        while (quay_read(reading, rest, sizeof rest) > 0) {
        }
        return possible;
      });
  EXPECT_EQ(checked, rounds_wanted());
  if (child > 0) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  quay_close(ends[0]);
  quay_close(ends[1]);
}

TEST(Linearizable_Pipe, WritesAndReadsHaveAnOrder) { check_pipe(false, false); }
TEST(Linearizable_Pipe, WritesAndReadsOfTheBackwardDirectionHaveAnOrder) {
  check_pipe(true, false);
}
TEST(Linearizable_Pipe, WritesAndReadsOfASharedPipeHaveAnOrder) { check_pipe(false, true); }

TEST(Linearizable_Port, SendsAndGetsHaveAnOrder) { check_port(0); }
TEST(Linearizable_Port, SendsAndGetsOfAPrivatePortHaveAnOrder) { check_port(QUAY_PRIVATE); }

}  // namespace
