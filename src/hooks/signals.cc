// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's calls that set and ask dispositions, that post to the program itself, and that take
//       pending signals, put in front of libc: for a signal that some queue watches libquay keeps the program's
//       disposition, for every other they are libc's.
// Contract: semantics/pipes-signalfd.md B8: queries answer what the program set; a signal that is
//           taken by sigwait() counts once, one that the program posts to itself and ignores counts
//           without disturbing other threads.
// Invariants: signal(), sigset() and their like are what POSIX and the libc manual say they are in
//             terms of sigaction().
#include <signal.h>

#include <atomic>
#include <cerrno>

#include "core/signals.hpp"
#include "faces/hook_points.hpp"
#include "hooks/original.hpp"

namespace {

namespace shared = quay::core::shared;
using quay::hooks::original;
using handler = void (*)(int);

constinit original<int(pid_t, int) noexcept> libc_kill{"kill"};
constinit original<int(int)> libc_raise{"raise"};
constinit original<int(pid_t, int, sigval)> libc_sigqueue{"sigqueue"};
constinit original<int(const sigset_t*, int*)> libc_sigwait{"sigwait"};
constinit original<int(const sigset_t*, siginfo_t*)> libc_sigwaitinfo{"sigwaitinfo"};
constinit original<int(const sigset_t*, siginfo_t*, const timespec*)> libc_sigtimedwait{
    "sigtimedwait"};

// Signals for which siginterrupt() asked that they interrupt: signal() heeds it.
std::atomic<std::uint64_t> g_interrupting{0};

std::uint64_t bit(int number) noexcept {
  return number >= 1 && number <= 64 ? std::uint64_t{1} << (number - 1) : 0;
}

// A sanitizer's runtime sets its dispositions through here before it is ready to look at our code:
// nothing on this way is instrumented.
QUAY_HANDLER_SAFE int libc_sigaction(int number, const struct sigaction* act,
                                     struct sigaction* old) noexcept {
  using function = int (*)(int, const struct sigaction*, struct sigaction*);
  static constinit function found = nullptr;
  function next = shared::load(found);
  if (next == nullptr) {
    next = reinterpret_cast<function>(dlsym(RTLD_NEXT, "sigaction"));
    shared::store(found, next);
  }
  return next(number, act, old);
}

[[gnu::constructor]] void look_up_originals() {
  libc_sigaction(SIGKILL, nullptr, nullptr);
  libc_kill.get();
  libc_raise.get();
  libc_sigqueue.get();
  libc_sigwait.get();
  libc_sigwaitinfo.get();
  libc_sigtimedwait.get();
}

QUAY_HANDLER_SAFE int change(int number, const struct sigaction* act,
                             struct sigaction* old) noexcept {
  if (!quay_hook_watches_signal(number)) {
    const int result = libc_sigaction(number, act, old);
    // Unless somebody began to watch it meanwhile, it was none of ours.
    if (result != 0 || act == nullptr || !quay_hook_watches_signal(number)) return result;
    return quay_hook_sigaction(number, act, nullptr);
  }
  return quay_hook_sigaction(number, act, old);
}

handler set(int number, handler h, int flags, bool blocks_itself) noexcept {
  if (h == SIG_ERR || bit(number) == 0) {
    errno = EINVAL;
    return SIG_ERR;
  }
  struct sigaction act {};
  struct sigaction old {};
  act.sa_handler = h;
  act.sa_flags = flags;
  if (blocks_itself) sigaddset(&act.sa_mask, number);
  return change(number, &act, &old) == 0 ? old.sa_handler : SIG_ERR;
}

}  // namespace

QUAY_HOOK QUAY_HANDLER_SAFE int sigaction(int number, const struct sigaction* act,
                                          struct sigaction* old) noexcept {
  return change(number, act, old);
}

QUAY_HOOK handler signal(int number, handler h) noexcept {
  const bool interrupts = (g_interrupting.load(std::memory_order_relaxed) & bit(number)) != 0;
  return set(number, h, interrupts ? 0 : SA_RESTART, true);
}
QUAY_HOOK handler bsd_signal(int number, handler h) noexcept { return signal(number, h); }
QUAY_HOOK handler ssignal(int number, handler h) noexcept { return signal(number, h); }

QUAY_HOOK handler __sysv_signal(int number, handler h) noexcept {
  return set(number, h, static_cast<int>(SA_RESETHAND) | SA_NODEFER, false);
}
QUAY_HOOK handler sysv_signal(int number, handler h) noexcept { return __sysv_signal(number, h); }

QUAY_HOOK int siginterrupt(int number, int interrupts) noexcept {
  struct sigaction act {};
  if (change(number, nullptr, &act) != 0) return -1;
  if (interrupts != 0) {
    g_interrupting.fetch_or(bit(number), std::memory_order_relaxed);
    act.sa_flags &= ~SA_RESTART;
  } else {
    g_interrupting.fetch_and(~bit(number), std::memory_order_relaxed);
    act.sa_flags |= SA_RESTART;
  }
  return change(number, &act, nullptr);
}

QUAY_HOOK int sigignore(int number) noexcept {
  struct sigaction act {};
  act.sa_handler = SIG_IGN;
  return change(number, &act, nullptr);
}

QUAY_HOOK handler sigset(int number, handler h) noexcept {
  const auto hold = reinterpret_cast<handler>(2);  // SIG_HOLD, which needs a feature macro
  sigset_t one;
  sigset_t before;
  sigemptyset(&one);
  if (sigaddset(&one, number) != 0) return SIG_ERR;
  struct sigaction old {};
  if (h == hold) {
    if (sigprocmask(SIG_BLOCK, &one, &before) != 0) return SIG_ERR;
    if (sigismember(&before, number) == 1) return hold;
    return change(number, nullptr, &old) == 0 ? old.sa_handler : SIG_ERR;
  }
  const handler former = set(number, h, 0, false);
  if (former == SIG_ERR || sigprocmask(SIG_UNBLOCK, &one, &before) != 0) return SIG_ERR;
  return sigismember(&before, number) == 1 ? hold : former;
}

// --- posting to oneself ---------------------------------------------------------------------------

namespace {

// To `process`, or to the calling thread (0). `post`: libc's call.
template <class F>
int post_watched(pid_t process, int number, F post) noexcept {
  const std::uint64_t before = quay_hook_before_post(number);
  const int result = post();
  if (result == 0) quay_hook_after_post(number, process, before);
  return result;
}

}  // namespace

QUAY_HOOK int kill(pid_t process, int number) noexcept {
  const auto post = [=] { return libc_kill.get()(process, number); };
  if (process <= 0 || !quay_hook_watches_signal(number)) return post();
  return quay_hook_posts_ignored(number, process) ? 0 : post_watched(process, number, post);
}

QUAY_HOOK int raise(int number) noexcept {
  const auto post = [=] { return libc_raise.get()(number); };
  if (!quay_hook_watches_signal(number)) return post();
  return quay_hook_posts_ignored(number, 0) ? 0 : post_watched(0, number, post);
}

QUAY_HOOK int sigqueue(pid_t process, int number, sigval value) noexcept {
  const auto post = [=] { return libc_sigqueue.get()(process, number, value); };
  if (process <= 0 || !quay_hook_watches_signal(number)) return post();
  return post_watched(process, number, post);
}

// --- taking what is pending -----------------------------------------------------------------------

QUAY_HOOK int sigwait(const sigset_t* set, int* number) {
  const int error = libc_sigwait.get()(set, number);
  if (error == 0) quay_hook_signal_taken(*number);
  return error;
}

QUAY_HOOK int sigwaitinfo(const sigset_t* set, siginfo_t* info) {
  const int number = libc_sigwaitinfo.get()(set, info);
  if (number > 0) quay_hook_signal_taken(number);
  return number;
}

QUAY_HOOK int sigtimedwait(const sigset_t* set, siginfo_t* info, const timespec* timeout) {
  const int number = libc_sigtimedwait.get()(set, info, timeout);
  if (number > 0) quay_hook_signal_taken(number);
  return number;
}
