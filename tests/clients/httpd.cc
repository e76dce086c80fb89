// SPDX-License-Identifier: BSD-2-Clause
//
// What: examples/bsd/kqueue_httpd.c, a program that knows nothing of quay, under requests as they
// come: in one piece, in many, several at once, too long, wrong, from clients that leave.
#include <gtest/gtest.h>
#include <stdio.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "program.hpp"

namespace quay::test {
namespace {

const std::string kGet = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

struct response {
  std::string header;
  std::string body;
  int status() const { return header.size() < 12 ? 0 : std::stoi(header.substr(9, 3)); }
  bool closes() const { return header.find("\r\nConnection: close") != std::string::npos; }
};

// A client of one connection. Reading gives up after kPatience.
class client {
 public:
  explicit client(int port, int receive_buffer = 0)
      : fd_(checked(::socket(AF_INET, SOCK_STREAM, 0), "socket")) {
    if (receive_buffer > 0)
      checked(::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer),
              "SO_RCVBUF");
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<uint16_t>(port));
    checked(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to), "connect");
  }

  void send(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t n =
          checked(static_cast<int>(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL)), "send");
      text.remove_prefix(static_cast<size_t>(n));
    }
  }

  response receive(bool with_body = true) {
    size_t end = 0;
    while ((end = text_.find("\r\n\r\n")) == std::string::npos) {
      if (!receive_more()) return {text_, {}};
    }
    response got{text_.substr(0, end), {}};
    const size_t length = got.header.find("\r\nContent-Length: ");
    const size_t size =
        length == std::string::npos || !with_body ? 0 : std::stoul(got.header.substr(length + 18));
    while (text_.size() < end + 4 + size && receive_more()) {
    }
    got.body = text_.substr(end + 4, size);
    text_.erase(0, end + 4 + size);
    return got;
  }

  // Whether the server closes, and without another byte.
  bool at_end() { return text_.empty() && !receive_more() && ended_; }

  void close() { fd_.close(); }

 private:
  bool receive_more() {
    pollfd wait = {fd_, POLLIN, 0};
    const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience);
    if (checked(::poll(&wait, 1, static_cast<int>(patience.count())), "poll") == 0) return false;
    std::array<char, 65536> data;
    const ssize_t n = ::recv(fd_, data.data(), data.size(), 0);
    ended_ = n == 0;
    if (n > 0) text_.append(data.data(), static_cast<size_t>(n));
    return n > 0;
  }

  unique_fd fd_;
  std::string text_;
  bool ended_ = false;
};

class Bsd_Httpd : public testing::Test {
 protected:
  void SetUp() override { QUAY_SKIP_UNLESS_BUILT(example("kqueue_httpd")); }

  void start(const std::vector<std::string>& options = {}) {
    std::vector<std::string> words = {example("kqueue_httpd"), "-p", "0"};
    words.insert(words.end(), options.begin(), options.end());
    server_.emplace(words);
    const std::string line = server_->read_line();
    ASSERT_EQ(::sscanf(line.c_str(), "listening on http://127.0.0.1:%d/", &port_), 1) << line;
  }

  // A folder of files for -d, gone with the test.
  std::string folder() {
    if (folder_.empty()) {
      std::string name = std::filesystem::temp_directory_path() / "quay-httpd-XXXXXX";
      if (::mkdtemp(name.data()) == nullptr)
        throw std::system_error(errno, std::generic_category(), "mkdtemp");
      folder_ = name;
    }
    return folder_;
  }
  void write_file(const std::string& name, const std::string& bytes) {
    std::ofstream(std::filesystem::path(folder()) / name, std::ios::binary) << bytes;
  }

  void TearDown() override {
    server_.reset();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  std::optional<program> server_;
  int port_ = 0;

 private:
  std::filesystem::path folder_;
};

std::string random_bytes(size_t size) {
  std::mt19937_64 random(size);
  std::string bytes(size, '\0');
  for (char& each : bytes) each = static_cast<char>(random());
  return bytes;
}

TEST_F(Bsd_Httpd, KeepsAConnectionAliveFromRequestToRequest) {
  start();
  client one(port_);
  std::string first;
  for (int i = 0; i < 100; ++i) {
    one.send(kGet);
    const response got = one.receive();
    ASSERT_EQ(got.status(), 200);
    ASSERT_FALSE(got.closes());
    ASSERT_NE(got.body, "");
    if (i == 0) first = got.body;
    ASSERT_EQ(got.body, first);
  }
}

TEST_F(Bsd_Httpd, AnswersPipelinedRequestsInTheirOrder) {
  std::string all;
  constexpr int kRequests = 60;
  for (int i = 0; i < kRequests; ++i) {
    write_file(std::to_string(i),
               std::string(static_cast<size_t>(i) * 997, static_cast<char>('a' + i % 26)));
    all += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: test\r\n\r\n";
  }
  start({"-d", folder()});
  client one(port_);
  one.send(all);
  for (int i = 0; i < kRequests; ++i) {
    const response got = one.receive();
    ASSERT_EQ(got.status(), 200) << i;
    ASSERT_EQ(got.body, std::string(static_cast<size_t>(i) * 997, static_cast<char>('a' + i % 26)))
        << i;
  }
}

TEST_F(Bsd_Httpd, TakesARequestThatComesByteByByte) {
  start();
  client one(port_);
  for (const char each : kGet) one.send(std::string_view(&each, 1));
  EXPECT_EQ(one.receive().status(), 200);
}

TEST_F(Bsd_Httpd, SendsALargeFileWholeToAClientWithLittleRoom) {
  const std::string bytes = random_bytes(3'000'000);
  write_file("large", bytes);
  start({"-d", folder()});
  client one(port_, 4096);
  for (int i = 0; i < 2; ++i) one.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_TRUE(one.receive().body == bytes);
  EXPECT_TRUE(one.receive().body == bytes);
}

TEST_F(Bsd_Httpd, OneSlowClientHoldsUpNobody) {
  write_file("large", random_bytes(3'000'000));
  start({"-d", folder()});
  client slow(port_, 4096);
  slow.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
  for (int i = 0; i < 20; ++i) {
    client quick(port_);
    quick.send("GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n");
    ASSERT_EQ(quick.receive().status(), 404);
  }
}

TEST_F(Bsd_Httpd, HeadHasNoBody) {
  start();
  client one(port_);
  one.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n" + kGet);
  EXPECT_EQ(one.receive(false).status(), 200);
  EXPECT_NE(one.receive().body, "");
}

TEST_F(Bsd_Httpd, ClosesWhenAskedTo) {
  start();
  for (const std::string request :
       {"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"}) {
    client one(port_);
    one.send(request);
    const response got = one.receive();
    EXPECT_EQ(got.status(), 200) << request;
    EXPECT_TRUE(got.closes()) << request;
    EXPECT_TRUE(one.at_end()) << request;
  }
}

TEST_F(Bsd_Httpd, RefusesWhatIsNoRequest) {
  start({"-d", folder()});
  for (const std::string& request :
       {std::string("HELLO\r\n\r\n"), std::string("GET / HTTP/2.0\r\nHost: test\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\n\r\n"), std::string("GET / HTTP/1.1\r\nHost test\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 29),
        std::string("GET nothing HTTP/1.1\r\nHost: test\r\n\r\n"),
        std::string("GET /../etc/passwd HTTP/1.1\r\nHost: test\r\n\r\n"),
        std::string("GET /.. HTTP/1.1\r\nHost: test\r\n\r\n")}) {
    client one(port_);
    one.send(request);
    const response got = one.receive();
    EXPECT_EQ(got.status(), 400) << request;
    EXPECT_TRUE(one.at_end()) << request;
  }
}

TEST_F(Bsd_Httpd, RefusesAHeaderWithoutEnd) {
  start();
  client one(port_);
  one.send("GET / HTTP/1.1\r\nHost: test\r\nLong: " + std::string(20'000, 'x'));
  EXPECT_EQ(one.receive().status(), 431);
  EXPECT_TRUE(one.at_end());
}

TEST_F(Bsd_Httpd, RefusesOtherMethodsAndForgetsTheirBodies) {
  start();
  client one(port_);
  one.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(one.receive().status(), 501);
  EXPECT_TRUE(one.at_end());
}

TEST_F(Bsd_Httpd, SurvivesClientsThatLeaveEarly) {
  write_file("large", random_bytes(3'000'000));
  start({"-d", folder()});
  for (int i = 0; i < 30; ++i) {
    client rude(port_);
    rude.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\nGET /la");
    if (i % 2 == 0) rude.receive(false);
    rude.close();
  }
  client last(port_);
  last.send("GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_EQ(last.receive().status(), 404);
}

TEST_F(Bsd_Httpd, ClosesAnIdleConnection) {
  start({"-t", "30"});
  client one(port_);
  one.send(kGet);
  EXPECT_EQ(one.receive().status(), 200);
  EXPECT_TRUE(one.at_end());
  client silent(port_);
  EXPECT_TRUE(silent.at_end());
  server_->send_signal(SIGTERM);
  EXPECT_EQ(server_->read_line(), "served 1 requests on 2 connections, closed 2 idle ones");
}

TEST_F(Bsd_Httpd, EndsByRequestAndClosesWhatIsOpen) {
  start();
  client idle(port_);
  idle.send(kGet);
  EXPECT_EQ(idle.receive().status(), 200);
  client one(port_);
  one.send("GET /shutdown HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_EQ(one.receive().body, "bye\n");
  EXPECT_TRUE(one.at_end());
  EXPECT_TRUE(idle.at_end());
  EXPECT_EQ(server_->read_line(), "served 2 requests on 2 connections, closed 0 idle ones");
  EXPECT_EQ(server_->exit_status(), 0);
}

TEST_F(Bsd_Httpd, EndsBySignal) {
  for (const int number : {SIGTERM, SIGINT}) {
    start();
    server_->send_signal(number);
    EXPECT_EQ(server_->exit_status(), 0);
  }
}

TEST_F(Bsd_Httpd, ExitStatusTellsWrongUsageFromRefusal) {
  const std::string httpd = example("kqueue_httpd");
  EXPECT_EQ(program({httpd, "-x"}).exit_status(), 2);
  EXPECT_EQ(program({httpd, "-p", "70000"}).exit_status(), 2);
  EXPECT_EQ(program({httpd, "word"}).exit_status(), 2);
  EXPECT_EQ(program({httpd, "-d", "/nowhere"}).exit_status(), 1);
  start();
  EXPECT_EQ(program({httpd, "-p", std::to_string(port_)}).exit_status(), 1);
  program help({httpd, "-h"});
  EXPECT_NE(help.read_all().find("usage:"), std::string::npos);
  EXPECT_EQ(help.exit_status(), 0);
}

}  // namespace
}  // namespace quay::test
