// SPDX-License-Identifier: BSD-2-Clause
//
// What: threads that send, wait, associate, dissociate, close and alert on one port at random.
// Contract: each user event is received exactly once, whatever else happens; nothing hangs.
// QUAY_STRESS_SECONDS: how long (5).
#include <poll.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "support/length.hpp"
#include "support/port.hpp"

namespace quay::test {
namespace {

class mixed_load {
 public:
  explicit mixed_load(int flags) : port_(flags) {}

  void run(std::chrono::milliseconds time) {
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 2; ++t) {
      threads.emplace_back([this, t] { produce(t); });
      threads.emplace_back([this, t] { consume(t); });
      threads.emplace_back([this, t] { disturb(t); });
    }
    std::this_thread::sleep_for(time);
    stop_ = true;
    for (std::thread& t : threads) t.join();
    ::port_alert(port_, 0, 0, nullptr);
    for (std::vector<port_event_t> rest; !(rest = taken(port_)).empty();) count(rest);
    EXPECT_EQ(received_.load(), sent_.load());
    EXPECT_EQ(sum_received_.load(), sum_sent_.load());
  }

 private:
  void produce(unsigned seed) {
    std::minstd_rand random(seed + 1);
    while (!stop_) {
      const int n = static_cast<int>(random() % 1000);
      if (::port_send(port_, n, nullptr) != 0) continue;
      ++sent_;
      sum_sent_ += n;
    }
  }
  void count(const std::vector<port_event_t>& events) {
    for (const port_event_t& e : events) {
      if (e.portev_source != PORT_SOURCE_USER) continue;
      ++received_;
      sum_received_ += e.portev_events;
    }
  }
  void consume(unsigned seed) {
    std::minstd_rand random(seed + 11);
    while (!stop_) {
      const uint_t want = 1 + static_cast<uint_t>(random() % 3);
      count(getn_for(port_, want + static_cast<uint_t>(random() % 40), want, 0, 200000).events);
    }
  }
  void disturb(unsigned seed) {
    std::minstd_rand random(seed + 21);
    while (!stop_) {
      pipe_ends pipe = make_pipe();
      associate(port_, pipe.reader, POLLIN, 1);
      static_cast<void>(!::write(pipe.writer, "x", 1));
      switch (random() % 4) {
        case 0:
          dissociate(port_, pipe.reader);
          break;
        case 1:
          associate(port_, pipe.reader, POLLIN | POLLOUT, 2);
          break;
        case 2:
          ::port_alert(port_, PORT_ALERT_SET, 1, nullptr);
          ::port_alert(port_, PORT_ALERT_SET, 0, nullptr);
          break;
        default:
          break;
      }
      ::quay_close(pipe.reader.release());
    }
  }

  test_port port_;
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> sent_{0};
  std::atomic<int64_t> received_{0};
  std::atomic<int64_t> sum_sent_{0};
  std::atomic<int64_t> sum_received_{0};
};

TEST(Port_Threads, EveryEventOnceOnAPollablePort) { mixed_load(O_CLOEXEC).run(stress_time() / 2); }
TEST(Port_Threads, EveryEventOnceOnAPrivatePort) {
  mixed_load(O_CLOEXEC | QUAY_PRIVATE).run(stress_time() / 2);
}

}  // namespace
}  // namespace quay::test
