// SPDX-License-Identifier: BSD-2-Clause
//
// What: the handler that stands in front of the program's for watched signals: counts, wakes the
//       queues that listen, then does what the program asked for.
// Contract: semantics/pipes-signalfd.md B8, rules 2-6. The program's handler runs with the mask,
//           flags, stack, siginfo and context that the kernel would have given it, and may leave by
//           a jump: nothing is undone after it. A handler whose thread is inside the library waits
//           until it leaves (core::enter_library), so that it may call the library itself.
// Invariants: everything here is async-signal-safe, and nothing of it is instrumented: a
//             sanitizer's runtime may be what was interrupted.
// Locking: none to count and wake; the board's lock for what changes a disposition.
#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>

#include "core/host.hpp"
#include "core/mutex.hpp"
#include "host/linux_host.hpp"
#include "host/signal_board.hpp"

extern "C" int __sigaction(int, const struct sigaction*, struct sigaction*) noexcept;

namespace quay::host {

namespace shared = core::shared;
using core::detail::this_thread_mark;

constinit signal_board g_board;

namespace {

constexpr std::uintptr_t kDefault = 0;
constexpr std::uintptr_t kIgnore = 1;
static_assert(sizeof(sigset_t) >= 8);

using action = void (*)(int, siginfo_t*, void*);

QUAY_HANDLER_SAFE void change_mask(int how, std::uint64_t set, std::uint64_t* old) noexcept {
  syscall(SYS_rt_sigprocmask, how, &set, old, sizeof set);
}

QUAY_HANDLER_SAFE void send_to_this_thread(int number, siginfo_t* info) noexcept {
  const long pid = syscall(SYS_getpid);
  const long tid = syscall(SYS_gettid);
  if (syscall(SYS_rt_tgsigqueueinfo, pid, tid, number, info) != 0) {
    syscall(SYS_tgkill, pid, tid, number);  // no memory for the details
  }
}

// Raised by the instruction that was interrupted, which would run again.
QUAY_HANDLER_SAFE bool is_fault(int number, const siginfo_t* info) noexcept {
  switch (number) {
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGSYS:
      return info->si_code > 0;
    default:
      return false;
  }
}

// As core::holds_mutex() and core::owe_work(), for where nothing may be instrumented: the thread may have
// been interrupted inside a sanitizer, under its locks.
QUAY_HANDLER_SAFE bool in_library() noexcept { return this_thread_mark.held != 0; }
QUAY_HANDLER_SAFE void owe() noexcept { this_thread_mark.owes = true; }

// The signal comes again, with all that came with it, when the thread leaves the library.
QUAY_HANDLER_SAFE void defer(int number, siginfo_t* info, void* context) noexcept {
  const std::uint64_t bit = core::signal_bit(number);
  change_mask(SIG_BLOCK, bit, nullptr);  // SA_NODEFER may have left it open
  send_to_this_thread(number, info);
  *reinterpret_cast<std::uint64_t*>(&static_cast<ucontext_t*>(context)->uc_sigmask) |= bit;
  this_thread_mark.deferred |= bit;
  owe();
}

// One posting, seen at its delivery.
QUAY_HANDLER_SAFE void count(int number, bool ignored) noexcept {
  signal_board::entry& e = g_board.of[number];
  for (;;) {
    const std::uint64_t was = shared::load(e.count);
    const bool fresh = (was & kCounted) == 0;
    if (!shared::replace(e.count, was, after_delivery(number, was, fresh && !ignored))) continue;
    if (!fresh) return;
    break;
  }
  if (ignored) shared::add(e.ignored, 1u);
  shared::add(g_board.tally, std::uint64_t{1});
  ring_bells(core::signal_bit(number));
}

// The ways that need the lock: a handler for one time, and defaults that are more than nothing.
QUAY_HANDLER_SAFE void act_slowly(int number, siginfo_t* info, void* context, bool owner) noexcept {
  signal_board::entry& e = g_board.of[number];
  std::uint64_t mask = 0;
  lock_board(mask);
  struct sigaction wanted = e.wanted;
  const auto handler = reinterpret_cast<std::uintptr_t>(wanted.sa_handler);
  if (handler > kIgnore) {
    if ((wanted.sa_flags & static_cast<int>(SA_RESETHAND)) != 0) {
      wanted.sa_handler = SIG_DFL;
      if (owner) {
        e.wanted = wanted;
        publish_locked(number);
        install_locked(number);
      } else {
        set_action(number, kDefault, wanted);
      }
    }
    unlock_board(mask);
    reinterpret_cast<action>(handler)(number, info, context);
    return;
  }
  const bool fault = is_fault(number, info);
  const bool nothing = !fault && (handler == kIgnore || usual_action(number) == usual::ignore);
  if (!nothing) {
    wanted.sa_handler = SIG_DFL;
    set_action(number, kDefault, wanted);
    if (owner) e.installed = kDefault;
  }
  unlock_board(mask);
  if (nothing || fault) return;  // a fault happens again, and then the default does its work

  send_to_this_thread(number, info);
  change_mask(SIG_UNBLOCK, core::signal_bit(number), nullptr);
  // The process was stopped and goes on.
  lock_board(mask);
  if (owner) install_locked(number);
  unlock_board(mask);
}

}  // namespace

QUAY_HANDLER_SAFE bool in_owner() noexcept {
  return syscall(SYS_getpid) == shared::load(g_board.owner);
}

QUAY_HANDLER_SAFE usual usual_action(int number) noexcept {
  switch (number) {
    case SIGCHLD:
    case SIGURG:
    case SIGWINCH:
    case SIGCONT:
      return usual::ignore;
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
      return usual::stop;
    default:
      return usual::terminate;
  }
}

QUAY_HANDLER_SAFE void lock_board(std::uint64_t& mask) noexcept {
  change_mask(SIG_BLOCK, ~std::uint64_t{0}, &mask);
  // Held for a few system calls at most, by a thread that nothing interrupts.
  while (shared::exchange(g_board.word, 1u) != 0) sched_yield();
}

QUAY_HANDLER_SAFE void unlock_board(std::uint64_t mask) noexcept {
  shared::store(g_board.word, 0u);
  change_mask(SIG_SETMASK, mask, nullptr);
}

QUAY_HANDLER_SAFE void set_action(int number, std::uintptr_t handler,
                                  const struct sigaction& like) noexcept {
  struct sigaction act = like;
  act.sa_sigaction = reinterpret_cast<action>(handler);
  __sigaction(number, &act, nullptr);
}

QUAY_HANDLER_SAFE void publish_locked(int number) noexcept {
  signal_board::entry& e = g_board.of[number];
  const auto handler = reinterpret_cast<std::uintptr_t>(e.wanted.sa_handler);
  const bool once = (e.wanted.sa_flags & static_cast<int>(SA_RESETHAND)) != 0;
  shared::store(e.action, handler > kIgnore && once ? signal_board::kAsk : handler);
}

QUAY_HANDLER_SAFE void install_locked(int number) noexcept {
  signal_board::entry& e = g_board.of[number];
  const auto handler = reinterpret_cast<std::uintptr_t>(e.wanted.sa_handler);
  bool ours = e.watchers != 0;
  if (handler == kIgnore && e.want_ignored == 0) ours = false;
  // Dying of a signal needs no record, and is done best by the kernel.
  if (handler == kDefault && usual_action(number) == usual::terminate) ours = false;
  struct sigaction act = e.wanted;
  if (!ours) {
    __sigaction(number, &act, nullptr);
    e.installed = handler;
    return;
  }
  // What was pending when a signal became ignored is gone; only the real thing does that.
  const bool drops =
      handler == kIgnore || (handler == kDefault && usual_action(number) == usual::ignore);
  if (drops && e.installed != our_handler()) set_action(number, handler, e.wanted);
  act.sa_sigaction = on_signal;
  act.sa_flags &= ~static_cast<int>(SA_RESETHAND);
  act.sa_flags |= SA_SIGINFO;
  if (handler <= kIgnore) {
    // Nobody expects to be interrupted by what is not handled.
    act.sa_flags |= SA_RESTART | SA_ONSTACK;
    sigemptyset(&act.sa_mask);
    if (number == SIGCHLD && handler == kIgnore) act.sa_flags |= SA_NOCLDWAIT;
  }
  __sigaction(number, &act, nullptr);
  e.installed = our_handler();
}

QUAY_HANDLER_SAFE void ring_bells(std::uint64_t signals) noexcept {
  for (core::bell* b = shared::load(g_board.bells); b != nullptr; b = b->next) {
    if ((shared::load(b->signals) & signals) == 0) continue;
    if (!shared::load(b->pollable) && shared::load(b->sleepers) == 0) continue;
    if (shared::exchange(b->rung, true)) continue;
    const int set = shared::load(b->set);
    epoll_event e;
    e.events = EPOLLIN | static_cast<std::uint32_t>(EPOLLET);
    e.data.u64 = core::kBell;
    const int clapper = shared::load(g_board.clapper);
    if (syscall(SYS_epoll_ctl, set, EPOLL_CTL_MOD, clapper, &e) == 0) continue;
    if (errno == ENOENT && syscall(SYS_fcntl, clapper, F_GETSIG) == linux_host::kClapperStamp &&
        syscall(SYS_epoll_ctl, set, EPOLL_CTL_ADD, clapper, &e) == 0) {
      continue;
    }
    linux_host::instance().ring(set, false);  // the program closed our eventfd
  }
}

QUAY_HANDLER_SAFE void on_signal(int number, siginfo_t* info, void* context) noexcept {
  const std::uintptr_t wanted = shared::load(g_board.of[number].action);
  const bool calls = wanted > kIgnore;
  const int saved = errno;
  if (calls && in_library() && !is_fault(number, info)) {
    defer(number, info, context);
    errno = saved;
    return;
  }
  const bool owner = in_owner();
  if (owner) count(number, wanted == kIgnore);
  if (wanted > signal_board::kAsk) {
    errno = saved;
    reinterpret_cast<action>(wanted)(number, info, context);
    return;
  }
  ++this_thread_mark.quiet;
  const bool nothing = wanted == kIgnore || (!calls && usual_action(number) == usual::ignore);
  if (!nothing || is_fault(number, info)) {
    if (calls) --this_thread_mark.quiet;
    errno = saved;
    act_slowly(number, info, context, owner);
  }
  errno = saved;
}

}  // namespace quay::host

namespace quay::core {

void run_deferred_handlers() noexcept {
  const int saved = errno;
  std::uint64_t waiting = detail::this_thread_mark.deferred;
  detail::this_thread_mark.deferred = 0;
  syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &waiting, nullptr, sizeof waiting);
  errno = saved;
}

}  // namespace quay::core
