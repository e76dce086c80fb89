// SPDX-License-Identifier: BSD-2-Clause
//
// What: a small steward that waits for everything in one place: orders on standard input, timers, commands it has
//       started, a file, signals. one_queue/linux.cc is the same program by epoll and five kinds of descriptors.
// Contract: one_queue FILE. A line "run COMMAND" starts a command, "timer MS" a timer, any other is repeated. SIGHUP is
//           told; SIGTERM, or the end of the input when no command runs, ends it.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <quay/kqueue.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

class steward {
 public:
  explicit steward(const char* path) : file_(::open(path, O_PATH | O_CLOEXEC)) {
    ::signal(SIGHUP, SIG_IGN);  // a queue counts what is ignored, too
    ::signal(SIGTERM, SIG_IGN);
    queue_.apply(
        {quay::readable(STDIN_FILENO), quay::signal(SIGHUP), quay::signal(SIGTERM),
         quay::file(file_.get(), quay::file_change::written | quay::file_change::removed)});
    std::puts("ready");
  }

  void run() {
    std::array<quay::event, 16> room;
    while (!ended_ && (input_open_ || children_ > 0)) {
      for (const quay::event& e : queue_.wait(room)) {
        e.visit([this](const quay::readable_event&) { read_orders(); },
                [](const quay::timer_event& t) {
                  std::printf("timer: %lu ms\n", static_cast<unsigned long>(t.id()));
                },
                [this](const quay::child_event& c) { child_ended(c); },
                [](const quay::file_event& f) {
                  const bool removed = f.has(quay::file_change::removed);
                  std::printf("file: %s\n", removed ? "removed" : "written");
                },
                [this](const quay::signal_event& s) {
                  ended_ = ended_ || s.signal_number() == SIGTERM;
                  std::printf("signal: %s\n", ended_ ? "end" : "reload");
                },
                [](const auto&) {});
      }
    }
  }

 private:
  void read_orders() {
    std::array<char, 512> data;
    const ssize_t n = ::read(STDIN_FILENO, data.data(), data.size());
    if (n <= 0) {
      std::puts("input: end");
      queue_.remove(quay::readable(STDIN_FILENO));
      input_open_ = false;
      return;
    }
    text_.append(data.data(), static_cast<std::size_t>(n));
    for (std::size_t end; (end = text_.find('\n')) != std::string::npos; text_.erase(0, end + 1)) {
      obey(text_.substr(0, end));
    }
  }

  void obey(const std::string& order) {
    if (order.starts_with("run ")) {
      start(order.c_str() + 4);
    } else if (order.starts_with("timer ")) {
      const unsigned long ms = std::strtoul(order.c_str() + 6, nullptr, 10);
      queue_.add(quay::after(std::chrono::milliseconds(ms), ms));
    } else {
      std::printf("input: %s\n", order.c_str());
    }
  }

  void start(const char* command) {
    const std::array<const char*, 4> words = {"/bin/sh", "-c", command, nullptr};
    pid_t pid = -1;
    if (::posix_spawn(&pid, words[0], nullptr, nullptr, const_cast<char**>(words.data()),
                      environ) != 0) {
      return;
    }
    queue_.add(quay::child(pid));
    ++children_;
  }

  void child_ended(const quay::child_event& c) {
    ::waitpid(c.pid(), nullptr, 0);
    --children_;
    std::printf("child: code %d\n", c.exited() ? c.exit_code() : 128 + c.killed_by());
  }

  quay::kqueue queue_;
  quay::descriptor file_;
  std::string text_;
  int children_ = 0;
  bool input_open_ = true;
  bool ended_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: one_queue FILE\n");
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  try {
    steward(argv[1]).run();
  } catch (const std::system_error& error) {
    std::fprintf(stderr, "one_queue: %s\n", error.what());
    return 1;
  }
  return 0;
}
