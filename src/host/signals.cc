// SPDX-License-Identifier: BSD-2-Clause
//
// What: the engine behind signals.hpp: who watches what, what the program's dispositions are, and
//       what is pending.
#include "host/signals.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

#include "core/mutex.hpp"
#include "host/errno_guard.hpp"
#include "host/linux_host.hpp"
#include "host/shared_mutex.hpp"
#include "host/signal_board.hpp"
#include "host/signal_files.hpp"

// The lock's own steps are hidden from the thread sanitizer, because handlers take them too.
#if defined(__SANITIZE_THREAD__)
#define QUAY_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define QUAY_THREAD_SANITIZER 1
#endif
#endif
#if QUAY_THREAD_SANITIZER
extern "C" void __tsan_acquire(void*);
extern "C" void __tsan_release(void*);
#endif

extern "C" int __sigaction(int, const struct sigaction*, struct sigaction*) noexcept;

namespace quay::host {

namespace shared = core::shared;
using core::signal_bit;

namespace {

class board_section {
 public:
  board_section() noexcept {
    lock_board(mask_);
#if QUAY_THREAD_SANITIZER
    __tsan_acquire(&g_board.word);
#endif
  }
  ~board_section() {
#if QUAY_THREAD_SANITIZER
    __tsan_release(&g_board.word);
#endif
    unlock_board(mask_);
  }
  board_section(const board_section&) = delete;
  board_section& operator=(const board_section&) = delete;

 private:
  errno_guard keep_;
  std::uint64_t mask_ = 0;
};

template <class F>
void each_signal(std::uint64_t signals, F f) noexcept {
  for (; signals != 0; signals &= signals - 1) f(std::countr_zero(signals) + 1);
}

std::uintptr_t handler_of(const struct sigaction& a) noexcept {
  return reinterpret_cast<std::uintptr_t>(a.sa_handler);
}

// The kernels drop what the program ignores when it is posted, even where it is blocked. Linux keeps it for as
// long as it is blocked, perhaps for ever, and what comes next would merge with it and not be seen.
bool is_dropped(int number) noexcept {
  const std::uintptr_t action = shared::load(g_board.of[number].action);
  const bool ignored = action == 1 || (action == 0 && usual_action(number) == usual::ignore);
  return ignored && number != SIGCONT;
}

// One posting that is pending; false: there is none.
bool take_pending(int number) noexcept {
  const std::uint64_t only = signal_bit(number);
  const timespec at_once{};
  return syscall(SYS_rt_sigtimedwait, &only, nullptr, &at_once, sizeof only) == number;
}

bool is_countable(int number) noexcept {
  // Two are nobody's to handle, the next two are the thread library's.
  return signal_bit(number) != 0 && number != SIGKILL && number != SIGSTOP &&
         (number < 32 || number >= SIGRTMIN);
}

}  // namespace

core::signal_counter* linux_host::signals() noexcept { return &signal_engine::instance(); }

signal_engine& signal_engine::instance() noexcept {
  static constinit signal_engine only;
  return only;
}

// --- watching -------------------------------------------------------------------------------------

void signal_engine::watch(int number, bool ignored_too) noexcept {
  if (!is_countable(number)) return;
  const std::uint64_t bit = signal_bit(number);
  {
    const board_section locked;
    signal_board::entry& e = g_board.of[number];
    shared::store(g_board.clapper, linux_host::instance().clapper_number());
    shared::store(g_board.owner, static_cast<int>(syscall(SYS_getpid)));
    const bool first = e.watchers++ == 0;
    const bool asks = ignored_too && e.want_ignored++ == 0;
    if (first) {
      // A sigaction() that did not see this bit is over for the kernel before we ask it.
      shared::store(g_board.watched, g_board.watched | bit);
      __sigaction(number, nullptr, &e.wanted);
      e.installed = handler_of(e.wanted);
      publish_locked(number);
      show_watched_locked();
    }
    if (first || (asks && handler_of(e.wanted) == 1)) install_locked(number);
    if (first) {
      // What is pending already was posted before anybody asked.
      while (is_dropped(number) && take_pending(number)) {
      }
      const std::uint64_t counted = (pending_signals() & bit) != 0 ? 1 : 0;
      shared::store(e.count, (e.count & ~kCounted) | counted);
    }
  }
  look(bit);  // what was posted until now is not news for the caller
}

void signal_engine::forget(int number, bool ignored_too) noexcept {
  if (!is_countable(number)) return;
  const board_section locked;
  signal_board::entry& e = g_board.of[number];
  --e.watchers;
  if (ignored_too) --e.want_ignored;
  if (e.watchers == 0) {
    // Without hooks the program may have set another disposition since: then that one stays.
    struct sigaction real {};
    __sigaction(number, nullptr, &real);
    if (handler_of(real) == e.installed) install_locked(number);
    shared::store(g_board.watched, g_board.watched & ~signal_bit(number));
    show_watched_locked();
  } else if (ignored_too && e.want_ignored == 0 && handler_of(e.wanted) == 1) {
    install_locked(number);
  }
}

core::postings signal_engine::posted(int number) noexcept {
  if (!is_countable(number)) return {0, 0};
  const signal_board::entry& e = g_board.of[number];
  return {static_cast<std::uint32_t>(shared::load(e.count) >> 32), shared::load(e.ignored)};
}

std::uint64_t signal_engine::tally() noexcept { return shared::load(g_board.tally); }

// --- what is pending ------------------------------------------------------------------------------

void signal_engine::look(std::uint64_t signals) noexcept {
  errno_guard keep;
  std::uint64_t before[core::kSignals + 1];
  each_signal(signals, [&](int n) { before[n] = shared::load(g_board.of[n].count); });
  // What waits for this thread to leave the library counts when it is delivered.
  const std::uint64_t pending = pending_signals() & ~core::detail::this_thread_mark.deferred;
  std::uint64_t fresh = 0;
  each_signal(signals, [&](int n) {
    signal_board::entry& e = g_board.of[n];
    const std::uint64_t was = before[n];
    const bool is_pending = (pending & signal_bit(n)) != 0;
    if (is_pending == ((was & kCounted) != 0)) return;
    if (!is_pending) {  // somebody took it
      shared::replace(e.count, was, was & ~kCounted);
      return;
    }
    const bool ignored = shared::load(e.action) == 1;
    if (!shared::replace(e.count, was, was + 1 + (ignored ? 0 : kOne))) return;
    if (ignored) shared::add(e.ignored, 1u);
    fresh |= signal_bit(n);
    shared::add(g_board.tally, std::uint64_t{1});
  });
  if (fresh != 0) ring_bells(fresh);
  each_signal(signals & pending, [&](int n) {
    if (!is_dropped(n) || !in_owner()) return;
    while (take_pending(n)) consumed(n);
  });
}

bool signal_engine::worth_a_look(std::uint64_t signals) noexcept {
  bool any = false;
  each_signal(signals,
              [&](int n) { any = any || (shared::load(g_board.of[n].count) & kCounted) != 0; });
  return any;
}

void signal_engine::consumed(int number) noexcept {
  if (!watches(number) || !in_owner()) return;
  signal_board::entry& e = g_board.of[number];
  const bool ignored = shared::load(e.action) == 1;
  for (;;) {
    const std::uint64_t was = shared::load(e.count);
    const bool counted = (was & kCounted) != 0;
    if (!shared::replace(e.count, was, after_delivery(number, was, !counted && !ignored))) continue;
    if (counted) return;
    break;
  }
  if (ignored) shared::add(e.ignored, 1u);
  shared::add(g_board.tally, std::uint64_t{1});
  ring_bells(signal_bit(number));
}

bool signal_engine::post_ignored(int number, pid_t process) noexcept {
  signal_board::entry& e = g_board.of[number];
  // Stopping and continuing signals undo each other even when they are ignored.
  if (shared::load(e.action) != 1 || number == SIGCONT || usual_action(number) == usual::stop) {
    return false;
  }
  // Of a signal to the process the kernel asks whether the main thread blocks it: then it stays.
  if (process != 0 && process != static_cast<pid_t>(thread_number())) return false;
  if (!in_owner()) return false;
  errno_guard keep;
  std::uint64_t blocked = 0;
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, nullptr, &blocked, sizeof blocked);
  if ((blocked & signal_bit(number)) != 0) return false;
  shared::add(e.ignored, 1u);
  shared::add(g_board.tally, std::uint64_t{1});
  ring_bells(signal_bit(number));
  return true;
}

std::uint64_t signal_engine::before_post(int number) noexcept {
  return shared::load(g_board.of[number].count);
}

void signal_engine::after_post(int number, pid_t process, std::uint64_t before) noexcept {
  if (process != 0 && process != shared::load(g_board.owner)) return;
  signal_board::entry& e = g_board.of[number];
  if (generation_of(shared::load(e.count)) != generation_of(before)) return;  // it was delivered
  if (!in_owner()) return;
  // It waits: as the first, which is seen as pending, or behind one that was counted.
  if ((before & kCounted) == 0) return look(signal_bit(number));
  const bool ignored = shared::load(e.action) == 1;
  for (;;) {
    const std::uint64_t was = shared::load(e.count);
    const std::uint64_t counted = was & kCounted;
    if (counted == 0) return;  // the others were taken meanwhile: this one is seen by itself
    if (queues(number) && counted == kCounted) return;  // at its delivery
    const std::uint64_t now = was + (ignored ? 0 : kOne) + (queues(number) ? 1 : 0);
    if (shared::replace(e.count, was, now)) break;
  }
  if (ignored) shared::add(e.ignored, 1u);
  shared::add(g_board.tally, std::uint64_t{1});
  ring_bells(signal_bit(number));
}

int signal_engine::descriptor() noexcept {
  const board_section locked;
  if (shown_ < 0) show_watched_locked();
  return shown_;
}

void signal_engine::show_watched_locked() noexcept {
  std::uint64_t mask = g_board.watched;
  constexpr int kFlags = 02000000 | 04000;  // SFD_CLOEXEC, SFD_NONBLOCK
  if (shown_ >= 0 && syscall(SYS_signalfd4, shown_, &mask, sizeof mask, kFlags) == shown_) return;
  // None yet, or the program has closed it.
  shown_ = static_cast<int>(syscall(SYS_signalfd4, -1, &mask, sizeof mask, kFlags));
}

void signal_engine::enlist(core::bell& b) noexcept {
  const board_section locked;
  if (b.enlisted) return;
  b.enlisted = true;
  b.next = g_board.bells;
  shared::store(g_board.bells, &b);
}

// --- the program's dispositions -------------------------------------------------------------------

QUAY_HANDLER_SAFE bool signal_engine::watches(int number) noexcept {
  return (shared::load(g_board.watched) & signal_bit(number)) != 0;
}

int signal_engine::change(int number, const struct sigaction* act, struct sigaction* old) noexcept {
  // Read and write the caller's memory where a bad pointer is its own fault, not under the lock.
  struct sigaction fresh {};
  struct sigaction former {};
  if (act != nullptr) fresh = *act;
  int result = 0;
  int error = 0;
  {
    const board_section locked;
    signal_board::entry& e = g_board.of[number];
    if (in_owner() && e.watchers != 0) {
      former = e.wanted;
      if (act != nullptr) {
        e.wanted = fresh;
        publish_locked(number);
        if (handler_of(fresh) <= 1) e.installed = 0;  // pending ones are dropped anew each time
        install_locked(number);
      }
    } else {
      result = __sigaction(number, act != nullptr ? &fresh : nullptr, &former);
      error = error_of(result);
      if (handler_of(former) == our_handler()) former = e.wanted;  // a child of vfork
    }
  }
  if (error != 0) errno = error;
  if (result == 0 && old != nullptr) *old = former;
  return result;
}

void signal_engine::recheck(std::uint64_t signals) noexcept {
  const board_section locked;
  each_signal(signals, [&](int n) {
    if (!is_countable(n)) return;
    signal_board::entry& e = g_board.of[n];
    struct sigaction real {};
    __sigaction(n, nullptr, &real);
    if (handler_of(real) == e.installed) return;
    if (handler_of(real) == our_handler()) {  // put back from what a query had answered
      e.installed = our_handler();
      return;
    }
    e.wanted = real;
    e.installed = handler_of(real);
    publish_locked(n);
    install_locked(n);
  });
}

void signal_engine::before_exec() noexcept {
  errno_guard keep;
  each_signal(shared::load(g_board.watched), [](int n) {
    const signal_board::entry& e = g_board.of[n];
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    if (shared::load(e.action) == 1) __sigaction(n, &ignore, nullptr);
  });
}

void signal_engine::after_exec() noexcept {
  if (shared::load(g_board.watched) == 0) return;
  const board_section locked;
  const bool owner = in_owner();
  each_signal(g_board.watched, [owner](int n) {
    signal_board::entry& e = g_board.of[n];
    if (handler_of(e.wanted) != 1) return;
    if (owner) e.installed = 1;
    if (owner) install_locked(n);
  });
}

// --- fork -----------------------------------------------------------------------------------------

void signal_engine::before_fork() noexcept {
  std::uint64_t mask = 0;
  lock_board(mask);
  fork_mask_ = mask;
  // The child may end while its parent is still in fork(). A SIGCHLD that nobody handles is dropped
  // when it is sent, unless the forking thread blocks it: then another thread is woken to drop it,
  // and its sleep ends with EINTR. No handler can run for it, so it need not be blocked.
  struct sigaction child {};
  __sigaction(SIGCHLD, nullptr, &child);
  const std::uint64_t bit = signal_bit(SIGCHLD);
  if (handler_of(child) == 0 && (mask & bit) == 0) {
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &bit, nullptr, sizeof bit);
  }
}

void signal_engine::after_fork_in_parent() noexcept { unlock_board(fork_mask_); }

void signal_engine::after_fork_in_child() noexcept {
  // The queues of the child are about to go, and with them what they watched. A descriptor's mask
  // is shared with the parent: the child makes its own.
  if (shown_ >= 0) linux_host::instance().discard(shown_);
  shown_ = -1;
  shared::store(g_board.owner, static_cast<int>(syscall(SYS_getpid)));
  for (signal_board::entry& e : g_board.of) e.count &= ~kCounted;  // nothing is pending in a child
  unlock_board(fork_mask_);
}

}  // namespace quay::host
