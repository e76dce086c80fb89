// SPDX-License-Identifier: BSD-2-Clause
//
// What: Asio's own kqueue reactor, compiled unchanged against <sys/event.h>; its epoll and eventfd
// backends are switched off by its own macros. It registers READ and WRITE with EV_CLEAR, leaves
// removal to close(), deletes WRITE when idle.
#define ASIO_STANDALONE
#define ASIO_DISABLE_EPOLL
#define ASIO_DISABLE_EVENTFD
#define ASIO_HAS_KQUEUE 1

#include <gtest/gtest.h>

#include <asio.hpp>
#include <atomic>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "echo_traffic.hpp"

namespace quay::test {
namespace {

static_assert(std::is_same_v<asio::detail::reactor, asio::detail::kqueue_reactor>);

using asio::ip::tcp;
using error_code = std::error_code;

tcp::endpoint anywhere() { return {asio::ip::address_v4::loopback(), 0}; }

class echo_session : public std::enable_shared_from_this<echo_session> {
 public:
  echo_session(tcp::socket socket, std::atomic<uint64_t>& echoed)
      : socket_(std::move(socket)), echoed_(echoed) {}

  void read() {
    socket_.async_read_some(asio::buffer(data_),
                            [self = shared_from_this()](error_code error, size_t n) {
                              if (!error) self->write(n);
                            });
  }

 private:
  void write(size_t n) {
    asio::async_write(socket_, asio::buffer(data_, n),
                      [self = shared_from_this()](error_code error, size_t written) {
                        self->echoed_ += written;
                        if (!error) self->read();
                      });
  }

  tcp::socket socket_;
  std::atomic<uint64_t>& echoed_;
  std::array<char, 4096> data_;
};

class echo_server {
 public:
  explicit echo_server(int threads) : acceptor_(context_, anywhere()) {
    const auto at = acceptor_.local_endpoint();
    std::memcpy(&where_.address, at.data(), at.size());
    where_.length = static_cast<socklen_t>(at.size());
    accept();
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { context_.run(); });
  }
  ~echo_server() {
    context_.stop();
    for (std::thread& each : threads_) each.join();
  }

  const endpoint& where() const { return where_; }
  uint64_t echoed() const { return echoed_; }
  size_t accepted() const { return accepted_; }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (error) return;
      ++accepted_;
      std::make_shared<echo_session>(std::move(socket), echoed_)->read();
      accept();
    });
  }

  asio::io_context context_;
  tcp::acceptor acceptor_;
  endpoint where_;
  std::atomic<uint64_t> echoed_ = 0;
  std::atomic<size_t> accepted_ = 0;
  std::vector<std::thread> threads_;
};

class Asio_Kqueue_Echo : public testing::TestWithParam<int> {};

TEST_P(Asio_Kqueue_Echo, EveryByteOnAThousandConnections) {
  constexpr size_t kConnections = 1000;
  if (!allow_descriptors(kConnections))
    GTEST_SKIP() << "RLIMIT_NOFILE is too low for 2 x " << kConnections;
  echo_server server(GetParam());
  echo_traffic traffic(kConnections, 20'000, 20260 + static_cast<uint64_t>(GetParam()));
  traffic.connect_all(server.where());
  const echo_result result = traffic.run();
  EXPECT_EQ(result.problem, "");
  EXPECT_EQ(result.complete, kConnections);
  EXPECT_EQ(result.wrong_bytes, 0U);
  EXPECT_EQ(result.received, result.sent);
  EXPECT_EQ(server.echoed(), result.sent);
  EXPECT_EQ(server.accepted(), kConnections);
}

TEST_P(Asio_Kqueue_Echo, NumbersOfClosedConnectionsAreUsedAgain) {
  echo_server server(GetParam());
  for (uint64_t round = 0; round < 50; ++round) {
    echo_traffic traffic(8, 3'000, round);
    traffic.connect_all(server.where());
    const echo_result result = traffic.run();
    ASSERT_EQ(result.problem, "") << "round " << round;
    ASSERT_EQ(result.complete, 8U) << "round " << round;
    ASSERT_EQ(result.wrong_bytes, 0U) << "round " << round;
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, Asio_Kqueue_Echo, testing::Values(1, 2),
                         testing::PrintToStringParamName());

TEST(Asio_Kqueue, PostFromAnotherThreadWakesTheReactor) {
  asio::io_context context;
  auto work = asio::make_work_guard(context);
  std::atomic<int> ran = 0;
  std::thread reactor([&] { context.run(); });
  for (int i = 0; i < 200; ++i) {
    std::promise<void> done;
    asio::post(context, [&] {
      ++ran;
      done.set_value();
    });
    ASSERT_EQ(done.get_future().wait_for(kPatience), std::future_status::ready) << "post " << i;
  }
  work.reset();
  reactor.join();
  EXPECT_EQ(ran, 200);
}

TEST(Asio_Kqueue, TimersFireBesideAnIdleSocket) {
  asio::io_context context;
  asio::ip::udp::socket idle(context, asio::ip::udp::endpoint(asio::ip::address_v4::loopback(), 0));
  char byte;
  error_code read_error;
  idle.async_receive(asio::buffer(&byte, 1), [&](error_code error, size_t) { read_error = error; });
  std::vector<int> order;
  asio::steady_timer later(context, std::chrono::milliseconds(20));
  asio::steady_timer sooner(context, std::chrono::milliseconds(5));
  asio::steady_timer never(context, std::chrono::hours(1));
  error_code never_error;
  later.async_wait([&](error_code) {
    order.push_back(2);
    never.cancel();
    idle.cancel();
  });
  sooner.async_wait([&](error_code) { order.push_back(1); });
  never.async_wait([&](error_code error) { never_error = error; });
  context.run();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_EQ(never_error, asio::error::operation_aborted);
  EXPECT_EQ(read_error, asio::error::operation_aborted);
}

TEST(Asio_Kqueue, DatagramsArriveWhole) {
  using asio::ip::udp;
  asio::io_context context;
  udp::socket receiver(context, udp::endpoint(asio::ip::address_v4::loopback(), 0));
  udp::socket sender(context, udp::endpoint(asio::ip::address_v4::loopback(), 0));
  std::vector<std::string> got;
  std::array<char, 2000> data;
  std::function<void()> receive = [&] {
    receiver.async_receive(asio::buffer(data), [&](error_code error, size_t n) {
      ASSERT_FALSE(error) << error.message();
      got.emplace_back(data.data(), n);
      if (got.size() < 3) receive();
    });
  };
  receive();
  const std::vector<std::string> sent = {"one", std::string(1500, 'x'), "three"};
  for (const auto& each : sent) sender.send_to(asio::buffer(each), receiver.local_endpoint());
  context.run();
  EXPECT_EQ(got, sent);
}

TEST(Asio_Kqueue, ARefusedConnectionIsReported) {
  asio::io_context context;
  tcp::acceptor gone(context, anywhere());
  const tcp::endpoint nobody = gone.local_endpoint();
  gone.close();
  tcp::socket socket(context);
  error_code got;
  socket.async_connect(nobody, [&](error_code error) { got = error; });
  context.run();
  EXPECT_EQ(got, asio::error::connection_refused);
}

TEST(Asio_Kqueue, ClosingASocketCancelsWhatWaitsOnIt) {
  asio::io_context context;
  tcp::acceptor acceptor(context, anywhere());
  tcp::socket here(context);
  here.connect(acceptor.local_endpoint());
  tcp::socket there = acceptor.accept();
  char byte;
  error_code got;
  here.async_read_some(asio::buffer(&byte, 1), [&](error_code error, size_t) { got = error; });
  asio::post(context, [&] { here.close(); });
  context.run();
  EXPECT_EQ(got, asio::error::operation_aborted);
}

}  // namespace
}  // namespace quay::test
