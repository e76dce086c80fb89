// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay::signal_fd, signals read from a descriptor; signal_set; and a guard that blocks a set in its thread.
// Contract: signalfd(3), illumos's rules: a waiting read takes the signals whether or not the thread blocks them; what
//           is to stay pending until it is read must be blocked.
// Ownership: the descriptor closes with the object.
#ifndef QUAY_SIGNAL_FD_HPP_
#define QUAY_SIGNAL_FD_HPP_

#include <signal.h>
#include <sys/signalfd.h>
#include <quay/descriptor.hpp>

#include <initializer_list>
#include <optional>
#include <span>

namespace quay {
inline namespace v0 {

class signal_set {
 public:
  signal_set(std::initializer_list<int> numbers) noexcept : signal_set() {
    for (const int n : numbers) sigaddset(&set_, n);
  }
  [[nodiscard]] static signal_set all() noexcept {
    signal_set full;
    sigfillset(&full.set_);
    return full;
  }
  [[nodiscard]] bool contains(int number) const noexcept { return sigismember(&set_, number) == 1; }
  [[nodiscard]] const sigset_t& native() const noexcept { return set_; }

 private:
  signal_set() noexcept { sigemptyset(&set_); }
  sigset_t set_;
};

// Blocks a set in the thread that made the guard, while the guard lives.
class blocked_signals {
 public:
  explicit blocked_signals(const signal_set& some) noexcept {
    ::pthread_sigmask(SIG_BLOCK, &some.native(), &before_);
  }
  blocked_signals(const blocked_signals&) = delete;
  blocked_signals& operator=(const blocked_signals&) = delete;
  ~blocked_signals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

// One signal that was taken.
class taken_signal {
 public:
  [[nodiscard]] int number() const noexcept { return static_cast<int>(info_.ssi_signo); }
  [[nodiscard]] pid_t sender() const noexcept { return static_cast<pid_t>(info_.ssi_pid); }
  [[nodiscard]] uid_t sender_user() const noexcept { return info_.ssi_uid; }
  [[nodiscard]] int value() const noexcept { return info_.ssi_int; }  // of sigqueue()
  [[nodiscard]] int code() const noexcept { return info_.ssi_code; }  // SI_USER, CLD_EXITED, ...
  [[nodiscard]] const signalfd_siginfo& native() const noexcept { return info_; }

 private:
  signalfd_siginfo info_{};
};
static_assert(sizeof(taken_signal) == 128);

class signal_fd {
 public:
  explicit signal_fd(const signal_set& some, bool nonblocking = false)
      : fd_(::quay_signalfd(-1, &some.native(), flags(nonblocking))) {
    detail::checked(fd_.get(), "signal_fd");
  }
  // The form that does not throw: without a descriptor when `error` is set.
  [[nodiscard]] static signal_fd open(const signal_set& some, bool nonblocking,
                                      std::error_code& error) noexcept {
    signal_fd made;
    made.fd_ =
        descriptor(detail::settled(::quay_signalfd(-1, &some.native(), flags(nonblocking)), error));
    return made;
  }

  explicit operator bool() const noexcept { return bool(fd_); }
  [[nodiscard]] int native_handle() const noexcept { return fd_.get(); }

  // Replaces the set, for all who hold the file.
  void assign(const signal_set& some) {
    detail::checked(::quay_signalfd(fd_.get(), &some.native(), 0), "signal_fd::assign");
  }

  // Takes pending signals, as many as there is room for; waits for the first unless nonblocking. The
  // part of `room` that was filled: empty when there is none, or a handler of another signal ran.
  std::span<const taken_signal> read(std::span<taken_signal> room) {
    std::error_code error;
    const auto taken = read(room, error);
    if (error && error != std::errc::interrupted &&
        error != std::errc::resource_unavailable_try_again) {
      detail::raise(error, "signal_fd::read");
    }
    return taken;
  }
  std::span<const taken_signal> read(std::span<taken_signal> room, std::error_code& error) {
    const ssize_t bytes = ::quay_read(fd_.get(), room.data(), room.size_bytes());
    if (bytes < 0) {
      error = detail::last_error();
      return {};
    }
    error.clear();
    return room.first(static_cast<std::size_t>(bytes) / sizeof(taken_signal));
  }
  [[nodiscard]] std::optional<taken_signal> read_one() {
    taken_signal one;
    if (read({&one, 1}).empty()) return std::nullopt;
    return one;
  }

 private:
  signal_fd() = default;
  static int flags(bool nonblocking) noexcept {
    return SFD_CLOEXEC | (nonblocking ? SFD_NONBLOCK : 0);
  }
  descriptor fd_;
};

}  // namespace v0
}  // namespace quay

#endif  // QUAY_SIGNAL_FD_HPP_
