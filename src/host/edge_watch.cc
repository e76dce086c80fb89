// SPDX-License-Identifier: BSD-2-Clause
//
// What: the thread that tells of edges of sets: nothing else can, as epoll sends no signals.
// Contract: core/host.hpp. The thread exists from the first watch_edges() to the end of the process;
//           all signals are blocked in it.
// Ownership: one epoll descriptor, close-on-exec; a watched set leaves it when it is closed.
// Locking: none; whoever makes the descriptor first starts the thread.
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "host/errno_guard.hpp"
#include "host/linux_host.hpp"

namespace quay::host {
namespace {

std::atomic<int> g_watched{-1};
std::atomic<core::edge_listener*> g_listener{nullptr};

void* listen(void*) {
  const int watched = g_watched.load(std::memory_order_acquire);
  for (;;) {
    epoll_event edges[16];
    const int n = epoll_wait(watched, edges, 16, -1);
    if (n < 0 && errno != EINTR) return nullptr;  // the program closed our descriptor
    for (int k = 0; k < n; ++k) {
      g_listener.load(std::memory_order_relaxed)->edge(edges[k].data.u32);
    }
  }
}

int start_listening() noexcept {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int error = pthread_create(&thread, nullptr, listen, nullptr);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error == 0) pthread_detach(thread);
  return error;
}

}  // namespace

int linux_host::watch_edges(int set, core::edge_listener& listener, std::uint32_t cookie) noexcept {
  errno_guard keep;
  int watched = g_watched.load(std::memory_order_acquire);
  if (watched < 0) {
    const int made = epoll_create1(EPOLL_CLOEXEC);
    if (made < 0) return errno;
    g_listener.store(&listener, std::memory_order_relaxed);
    if (!g_watched.compare_exchange_strong(watched, made, std::memory_order_acq_rel)) {
      syscall(SYS_close, made);
    } else if (const int error = start_listening(); error != 0) {
      forget_edges();
      return error;
    }
    watched = g_watched.load(std::memory_order_acquire);
  }
  epoll_event e{};
  e.events = EPOLLIN | EPOLLET;
  e.data.u32 = cookie;
  const int error =
      error_of(static_cast<int>(syscall(SYS_epoll_ctl, watched, EPOLL_CTL_ADD, set, &e)));
  return error == EEXIST ? 0 : error;
}

void linux_host::forget_edges() noexcept {
  const int watched = g_watched.exchange(-1, std::memory_order_acq_rel);
  if (watched >= 0) discard(watched);
}

int linux_host::send_sigio(long owner, bool ask_only) noexcept {
  errno_guard keep;
  return error_of(kill(static_cast<pid_t>(owner), ask_only ? 0 : SIGIO));
}

}  // namespace quay::host
