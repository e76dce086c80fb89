// SPDX-License-Identifier: BSD-2-Clause
//
// What: see crew.hpp.
#include "crew.hpp"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <utility>

namespace quay::traces {
namespace {

thread_local volatile sig_atomic_t t_broken_pipes;

void ignore_it(int) {}
void count_it(int) { t_broken_pipes = t_broken_pipes + 1; }

constexpr std::chrono::milliseconds kQuiet{2};

std::string text_of(int fd) {
  char text[512];
  const ssize_t n = pread(fd, text, sizeof text, 0);
  return n > 0 ? std::string(text, static_cast<size_t>(n)) : std::string();
}

}  // namespace

hand::hand() : thread_([this] { run(); }) {
  while (id_.load() == 0) std::this_thread::yield();
  const std::string task = "/proc/self/task/" + std::to_string(id_.load());
  stat_ = ::open((task + "/stat").c_str(), O_RDONLY | O_CLOEXEC);
  counted_ = ::open((task + "/schedstat").c_str(), O_RDONLY | O_CLOEXEC);
}

hand::~hand() {
  {
    const std::lock_guard hold(lock_);
    quit_ = true;
  }
  news_.notify_all();
  thread_.join();
  ::close(stat_);
  ::close(counted_);
}

void hand::run() {
  id_ = static_cast<pid_t>(syscall(SYS_gettid));
  std::unique_lock hold(lock_);
  for (;;) {
    news_.wait(hold, [this] { return quit_ || call_ != nullptr; });
    if (call_ == nullptr) return;
    const auto call = std::exchange(call_, nullptr);
    hold.unlock();
    const auto before = t_broken_pipes;
    errno = 0;
    outcome now;
    now.value = call();
    now.error = now.value < 0 ? errno : 0;
    now.sigpipe = t_broken_pipes != before;
    hold.lock();
    last_ = now;
    fresh_ = true;
    busy_ = false;
  }
}

void hand::begin(std::function<long()> call) {
  {
    const std::lock_guard hold(lock_);
    call_ = std::move(call);
    busy_ = true;
  }
  news_.notify_all();
}

std::optional<outcome> hand::take() {
  const std::lock_guard hold(lock_);
  if (!fresh_) return std::nullopt;
  fresh_ = false;
  return last_;
}

std::string hand::rest() const {
  const std::string stat = text_of(stat_);
  const std::string counted = text_of(counted_);
  const auto name_end = stat.rfind(')');
  const bool sleeps = name_end != std::string::npos && stat.compare(name_end, 3, ") S") == 0;
  return sleeps ? counted : std::string();
}

void settle(const std::vector<hand*>& hands) {
  const auto look = [&] {
    std::string all;
    for (const hand* h : hands) {
      if (!h->busy()) continue;
      const std::string one = h->rest();
      if (one.empty() && h->busy()) return std::string("moving");
      all += one + ";";
    }
    return all;
  };
  std::string before = look();
  while (!before.empty()) {
    std::this_thread::sleep_for(kQuiet);
    std::string now = look();
    if (now == before && now != "moving") return;
    before = std::move(now);
  }
}

void install_handlers() {
  struct sigaction act {};
  act.sa_handler = ignore_it;
  sigaction(SIGUSR1, &act, nullptr);
  act.sa_flags = SA_RESTART;
  sigaction(SIGUSR2, &act, nullptr);
  act.sa_handler = count_it;
  sigaction(SIGPIPE, &act, nullptr);
}

}  // namespace quay::traces
