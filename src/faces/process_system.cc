// SPDX-License-Identifier: BSD-2-Clause
//
// What: the process's one kqueue system on the real host: made at first use, told of forks,
//       configured by QUAY_TUNABLES.
// Invariants: a child of fork has forgotten its parent's state before it uses any: fork() runs the
//             handlers; a fork that does not is noticed by the first call or close that follows.
#include "faces/process_system.hpp"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <new>

#include "faces/first_use.hpp"
#include "host/barriers.hpp"
#include "host/linux_host.hpp"
#include "host/signals.hpp"

namespace quay::faces {
namespace {

using kqueue::system;

struct name_of_tunable {
  const char* name;
  std::atomic<long> core::tunables::*member;
  long least = 0;
  long most = LONG_MAX;
};
constexpr name_of_tunable kTunables[] = {
    {"kq_calloutmax", &core::tunables::kq_calloutmax},
    {"kq_checkloop", &core::tunables::kq_checkloop},
    {"aio_backend", &core::tunables::aio_backend},
    {"so_error_in_fflags", &core::tunables::so_error_in_fflags},
    {"spin_us", &core::tunables::spin_us, 0, 1'000'000},
    {"pipe_buf", &core::tunables::pipe_buf, 1, 4096},
    {"small_pipe_size", &core::tunables::small_pipe_size, 4096, pipe::kRing},
    {"pipe_size", &core::tunables::pipe_size, 4096, pipe::kRing},
    {"big_pipe_size", &core::tunables::big_pipe_size, 4096, pipe::kRing},
    {"pipe_mindirect", &core::tunables::pipe_mindirect},
    {"piperesizeallowed", &core::tunables::piperesizeallowed},
    {"maxpipekva", &core::tunables::maxpipekva},
    {"port_max_events", &core::tunables::port_max_events},
    {"port_max_ids", &core::tunables::port_max_ids},
    {"port_max_list", &core::tunables::port_max_list},
};

constexpr const char* kPipeMemory = "pipekva";  // what all rings take now: to look at only

// A direct write may not be so small that it would have to be atomic.
bool acceptable(const core::tunables& all, const name_of_tunable& t, long value) noexcept {
  if (value < t.least || value > t.most) return false;
  return t.member != &core::tunables::pipe_mindirect ||
         value > all.pipe_buf.load(std::memory_order_relaxed);
}

constinit first_use<system> g_system;
constinit first_use<port::system> g_ports;
constinit first_use<pipe::system> g_pipes;
constinit first_use<pipe::named> g_fifos;

constinit core::mutex g_making{core::rank::making};
std::atomic<const void*> g_maker{nullptr};  // the thread that holds it
int g_making_depth = 0;                     // the maker's

std::atomic<int> g_pid{0};  // 0: nothing of ours is in the process

constinit core::descriptor_table g_descriptors;
constinit core::catalogue g_catalogue;

void show_tunables(const core::tunables& all) noexcept {
  core::catalogue::description d("tunables", &all);
  for (const name_of_tunable& t : kTunables) d.add(t.name, all.*t.member);
  g_catalogue.show(d);
}

void before_fork() QUAY_NO_ANALYSIS {
  core::ranks_wait_for_fork(true);
  g_making.lock();  // nobody enrolls meanwhile
  for (int n = 0; n < g_descriptors.enrolled(); ++n) g_descriptors.owner(n).before_fork();
  host::signal_engine::instance().before_fork();
}

void after_in_parent() QUAY_NO_ANALYSIS {
  host::signal_engine::instance().after_fork_in_parent();
  for (int n = g_descriptors.enrolled(); n > 0; --n) {
    g_descriptors.owner(n - 1).after_fork_in_parent();
  }
  g_making.unlock();
  core::ranks_wait_for_fork(false);
}

void after_in_child() {
  core::holds_nothing();
  host::forget_thread_identity();
  host::forget_barriers();
  leave_making_in_child();
  if (g_pid.load(std::memory_order_relaxed) != 0) {
    g_pid.store(static_cast<int>(syscall(SYS_getpid)), std::memory_order_relaxed);
    g_descriptors.unwatch_all();  // before the owners: what they copy is watched again
  }
  host::signal_engine::instance().after_fork_in_child();
  for (int n = g_descriptors.enrolled(); n > 0; --n) {
    g_descriptors.owner(n - 1).after_fork_in_child();
  }
  if (g_pid.load(std::memory_order_relaxed) != 0) host::mark_process();
  core::ranks_wait_for_fork(false);
  if (core::detail::this_thread_mark.deferred != 0) core::run_deferred_handlers();
}

// From the time the library is there, so that the first use of all is covered.
[[gnu::constructor]] void watch_forks() {
  host::linux_host::instance();
  pthread_atfork(before_fork, after_in_parent, after_in_child);
}

void apply_environment(system& sys) noexcept {
  const char* at = std::getenv("QUAY_TUNABLES");
  while (at != nullptr && *at != '\0') {
    const std::size_t length = std::strcspn(at, ",");
    const auto* equals = static_cast<const char*>(std::memchr(at, '=', length));
    if (equals != nullptr) {
      for (const name_of_tunable& t : kTunables) {
        const auto n = static_cast<std::size_t>(equals - at);
        if (std::strlen(t.name) != n || std::memcmp(t.name, at, n) != 0) continue;
        char* end = nullptr;
        const long value = std::strtol(equals + 1, &end, 10);
        // What quay_tunable_set() would refuse changes nothing.
        if (end == equals + 1 || end != at + length || !acceptable(sys.tune(), t, value)) continue;
        (sys.tune().*t.member).store(value);
      }
    }
    at += length + (at[length] == ',' ? 1 : 0);
  }
}

system* make(void* storage) noexcept {
  g_pid.store(getpid(), std::memory_order_relaxed);
  host::mark_process();
  const bool hooked = host::hooks_are_present();
  host::mappings_are_announced(hooked);
  auto* sys = ::new (storage) system(host::linux_host::instance(), g_descriptors, hooked);
  apply_environment(*sys);
  g_catalogue.open();
  show_tunables(sys->tune());
  sys->show(g_catalogue);
  return sys;
}

}  // namespace

making::making() noexcept QUAY_NO_ANALYSIS {
  if (g_maker.load(std::memory_order_relaxed) != core::this_thread()) {
    g_making.lock();
    g_maker.store(core::this_thread(), std::memory_order_relaxed);
  }
  ++g_making_depth;
}
making::~making() QUAY_NO_ANALYSIS {
  if (--g_making_depth != 0) return;
  g_maker.store(nullptr, std::memory_order_relaxed);
  g_making.unlock();
}
void leave_making_in_child() noexcept {
  g_making.reset_after_fork();
  g_maker.store(nullptr, std::memory_order_relaxed);
  g_making_depth = 0;
}

system& process_system() noexcept {
  system& sys = g_system.get(make);
  notice_fork();
  return sys;
}

system* existing_system() noexcept {
  notice_fork();
  return g_system.existing();
}

port::system& process_ports() noexcept {
  return g_ports.get([](void* storage) {
    system& sys = process_system();
    auto* ports = ::new (storage)
        port::system(sys.os(), g_descriptors, sys.tune(), sys.count(), sys.hooked());
    ports->show_in(g_catalogue);
    return ports;
  });
}

port::system* existing_ports() noexcept {
  notice_fork();
  return g_ports.existing();
}

pipe::system& process_pipes() noexcept {
  process_system();
  return g_pipes.get([](void* storage) {
    system& queues = process_system();
    auto* pipes =
        ::new (storage) pipe::system(host::linux_host::instance(), g_descriptors, queues.tune());
    pipes->show(g_catalogue);
    return pipes;
  });
}

pipe::named& process_fifos() noexcept {
  process_system();
  return g_fifos.get([](void* storage) { return ::new (storage) pipe::named(g_descriptors); });
}

void notice_fork() noexcept {
  if (!host::process_is_marked()) after_in_child();
}

core::descriptor_table& descriptors() noexcept { return g_descriptors; }

core::catalogue& catalogue() noexcept { return g_catalogue; }

int system_pid() noexcept { return g_pid.load(std::memory_order_relaxed); }

int set_tunable(const char* name, long value) noexcept {
  for (const name_of_tunable& t : kTunables) {
    if (std::strcmp(t.name, name) != 0) continue;
    core::tunables& all = process_system().tune();
    if (!acceptable(all, t, value)) return EINVAL;
    (all.*t.member).store(value, std::memory_order_relaxed);
    return 0;
  }
  return std::strcmp(name, kPipeMemory) == 0 ? EPERM : ENOENT;
}

long get_tunable(const char* name) noexcept {
  process_pipes();  // knows the budget that this machine's memory allows
  for (const name_of_tunable& t : kTunables) {
    if (std::strcmp(t.name, name) == 0) {
      return (process_system().tune().*t.member).load(std::memory_order_relaxed);
    }
  }
  return std::strcmp(name, kPipeMemory) == 0 ? process_pipes().sizes().used() : -1;
}

}  // namespace quay::faces
