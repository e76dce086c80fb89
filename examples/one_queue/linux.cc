// SPDX-License-Identifier: BSD-2-Clause
//
// What: one_queue/quay.cc once more, by what Linux has for it: epoll, timerfd, signalfd, pidfd and inotify.
// Contract: that of quay.cc; both print the same for the same.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <system_error>

namespace {

int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::system_category(), what);
  return result;
}

class steward {
 public:
  explicit steward(const char* path) {
    sigset_t orders;
    sigemptyset(&orders);
    sigaddset(&orders, SIGHUP);
    sigaddset(&orders, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &orders, nullptr);
    epoll_ = checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    signals_ = checked(::signalfd(-1, &orders, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
    files_ = checked(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK), "inotify_init1");
    checked(::inotify_add_watch(files_, path, IN_MODIFY | IN_DELETE_SELF), "inotify_add_watch");
    watch(STDIN_FILENO, source::input);
    watch(signals_, source::signal);
    watch(files_, source::file);
    std::puts("ready");
  }
  steward(const steward&) = delete;
  steward& operator=(const steward&) = delete;
  ~steward() {
    for (const auto& [fd, child] : children_) ::close(fd);
    for (const auto& [fd, ms] : timers_) ::close(fd);
    for (const int fd : {files_, signals_, epoll_}) ::close(fd);
  }

  void run() {
    std::array<epoll_event, 16> room;
    while (!ended_ && (input_open_ || !children_.empty())) {
      const int n = ::epoll_wait(epoll_, room.data(), static_cast<int>(room.size()), -1);
      if (n < 0 && errno == EINTR) continue;
      checked(n, "epoll_wait");
      for (int i = 0; i < n; ++i) handle(room[static_cast<std::size_t>(i)].data.u64);
    }
  }

 private:
  enum class source : std::uint32_t { input, timer, child, file, signal };

  void watch(int fd, source kind) {
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.u64 = static_cast<std::uint64_t>(kind) << 32 | static_cast<std::uint32_t>(fd);
    checked(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &e), "epoll_ctl");
  }
  void unwatch(int fd) { checked(::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr), "epoll_ctl"); }

  void handle(std::uint64_t name) {
    const int fd = static_cast<int>(name & 0xffffffff);
    switch (static_cast<source>(name >> 32)) {
      case source::input:
        return read_orders();
      case source::timer:
        return timer_expired(fd);
      case source::child:
        return child_ended(fd);
      case source::file:
        return file_changed();
      case source::signal:
        return signal_came();
    }
  }

  void read_orders() {
    std::array<char, 512> data;
    const ssize_t n = ::read(STDIN_FILENO, data.data(), data.size());
    if (n <= 0) {
      std::puts("input: end");
      unwatch(STDIN_FILENO);
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
      start_timer(std::strtoul(order.c_str() + 6, nullptr, 10));
    } else {
      std::printf("input: %s\n", order.c_str());
    }
  }

  void start_timer(unsigned long ms) {
    itimerspec when{};
    when.it_value.tv_sec = static_cast<time_t>(ms / 1000);
    when.it_value.tv_nsec = static_cast<long>(ms % 1000) * 1000000;
    if (ms == 0) when.it_value.tv_nsec = 1;  // zero would disarm it
    const int fd =
        checked(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd_create");
    checked(::timerfd_settime(fd, 0, &when, nullptr), "timerfd_settime");
    timers_[fd] = ms;
    watch(fd, source::timer);
  }

  void timer_expired(int fd) {
    std::printf("timer: %lu ms\n", timers_[fd]);
    timers_.erase(fd);
    ::close(fd);
  }

  void start(const char* command) {
    const std::array<const char*, 4> words = {"/bin/sh", "-c", command, nullptr};
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_t attributes;  // the command must not inherit what we block
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    pid_t pid = -1;
    const int error = ::posix_spawn(&pid, words[0], nullptr, &attributes,
                                    const_cast<char**>(words.data()), environ);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) return;
    const int fd = checked(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)), "pidfd_open");
    children_[fd] = pid;
    watch(fd, source::child);
  }

  void child_ended(int fd) {
    int status = 0;
    ::waitpid(children_[fd], &status, 0);
    children_.erase(fd);
    ::close(fd);
    std::printf("child: code %d\n",
                WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }

  void file_changed() {
    alignas(inotify_event) std::array<char, 4096> data;
    std::uint32_t happened = 0;
    for (ssize_t n; (n = ::read(files_, data.data(), data.size())) > 0;) {
      for (const char* at = data.data(); at < data.data() + n;) {
        const auto* const e = reinterpret_cast<const inotify_event*>(at);
        happened |= e->mask;
        at += sizeof *e + e->len;
      }
    }
    if ((happened & (IN_MODIFY | IN_DELETE_SELF)) == 0) return;
    std::printf("file: %s\n", (happened & IN_DELETE_SELF) != 0 ? "removed" : "written");
  }

  void signal_came() {
    signalfd_siginfo info;
    while (::read(signals_, &info, sizeof info) == sizeof info) {
      ended_ = ended_ || info.ssi_signo == SIGTERM;
      std::printf("signal: %s\n", ended_ ? "end" : "reload");
    }
  }

  int epoll_ = -1;
  int signals_ = -1;
  int files_ = -1;
  std::map<int, pid_t> children_;        // by pidfd
  std::map<int, unsigned long> timers_;  // milliseconds, by timerfd
  std::string text_;
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
