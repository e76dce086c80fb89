// SPDX-License-Identifier: BSD-2-Clause
//
// What: an echo server and its clients as coroutines, on one queue, in two threads.
// Shows: scheduler, task, co_await q.readable(), writable(), after(), child(), within().
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <quay/scheduler.hpp>

#include <array>
#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

using namespace std::chrono_literals;

namespace {

quay::task<std::string> read_some(quay::scheduler& q, int fd) {
  if (!co_await q.readable(fd).within(1min)) throw std::runtime_error("the other side is gone");
  std::array<char, 256> data;
  const ssize_t n = ::read(fd, data.data(), data.size());
  co_return std::string(data.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
}

quay::task<> write_all(quay::scheduler& q, int fd, std::string_view text) {
  while (!text.empty()) {
    co_await q.writable(fd);
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0) throw std::system_error(errno, std::system_category(), "write");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

quay::task<> serve(quay::scheduler& q, quay::descriptor connection) {
  for (;;) {
    const std::string text = co_await read_some(q, connection.get());
    if (text.empty()) co_return;
    co_await write_all(q, connection.get(), text);
  }
}

quay::task<> listen(quay::scheduler& q, int listener, int connections) {
  for (int n = 0; n < connections; ++n) {
    co_await q.readable(listener);
    q.spawn(serve(
        q, quay::descriptor(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC))));
  }
}

quay::task<> client(quay::scheduler& q, sockaddr_in where, int number, std::atomic<int>& right) {
  const quay::descriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0 &&
      errno != EINPROGRESS) {
    throw std::system_error(errno, std::system_category(), "connect");
  }
  const std::string text = "client " + std::to_string(number);
  co_await q.after(std::chrono::milliseconds(number % 5));
  co_await write_all(q, fd.get(), text);
  std::string answer;
  while (answer.size() < text.size()) answer += co_await read_some(q, fd.get());
  if (answer == text) ++right;
}

quay::task<> command(quay::scheduler& q, int& code) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(5);
  code = (co_await q.child(pid)).exit_code();
  ::waitpid(pid, nullptr, 0);
}

}  // namespace

int main() {
  constexpr int kClients = 50;
  const quay::descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof where;
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&where), length) != 0 ||
      ::listen(listener.get(), kClients) != 0 ||
      ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&where), &length) != 0) {
    return 1;
  }

  quay::scheduler q;
  std::atomic<int> right{0};
  int code = -1;
  q.spawn(command(q, code));
  q.spawn(listen(q, listener.get(), kClients));
  for (int n = 0; n < kClients; ++n) q.spawn(client(q, where, n, right));
  {
    const std::jthread second([&q] { q.run(); });
    q.run();
  }
  std::printf("%d of %d answers right, the command's code is %d\n", right.load(), kClients, code);
  return 0;
}
