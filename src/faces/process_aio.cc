// SPDX-License-Identifier: BSD-2-Clause
//
// What: the process's one aio engine, and the kinds of notification: libc's, and those of the
//       systems that take completions.
#include "faces/process_aio.hpp"

#define QUAY_KEEP_LIBC_TIMERS 1
#include <port.h>
#include <sys/event.h>

#include <cerrno>
#include <new>

#include "faces/first_use.hpp"
#include "faces/port_notify.hpp"
#include "faces/process_system.hpp"
#include "kqueue/completions.hpp"
#include "port/completions.hpp"

namespace quay::faces {
namespace {

// A kind of sigevent that a system answers for. A further one is a line in kRoutes.
struct route {
  int notify;
  core::completion_target& (*target)() noexcept;
  int (*read)(const sigevent& from, core::completion_order& to);  // an errno
};

core::completion_target& kqueue_target() noexcept {
  static constinit first_use<kqueue::completions> only;
  return only.get([](void* at) { return ::new (at) kqueue::completions(process_system()); });
}

int read_kevent(const sigevent& from, core::completion_order& to) {
  to.descriptor = from.sigev_notify_kqueue;
  to.flags = static_cast<std::uint32_t>(from.sigev_notify_kevent_flags);
  to.user = from.sigev_value.sival_ptr;
  return 0;
}

core::completion_target& port_target() noexcept {
  static constinit first_use<port::completions> only;
  return only.get([](void* at) { return ::new (at) port::completions(process_ports()); });
}

int read_port(const sigevent& from, core::completion_order& to) {
  port_notify_t notify{};
  const int error = read_port_notify(from, notify);
  to.descriptor = notify.portnfy_port;
  to.user = notify.portnfy_user;
  to.object = reinterpret_cast<std::uintptr_t>(&from);  // by which a list is told
  return error;
}

constexpr route kRoutes[] = {
    {SIGEV_KEVENT, kqueue_target, read_kevent},
    {SIGEV_PORT, port_target, read_port},
};
static_assert(std::size(kRoutes) <= aio::engine::kMostTargets);

constinit first_use<aio::engine> g_engine;

// Targets are enrolled in the order of the routes: a route's number is its place, from 1. They are
// made before the engine, whose lock comes below those of their systems at a fork.
aio::engine* make(void* storage) noexcept {
  kqueue::system& sys = process_system();
  for (const route& r : kRoutes) r.target();
  auto* engine = ::new (storage) aio::engine(descriptors(), sys.tune(), sys.hooked());
  for (const route& r : kRoutes) engine->enroll(r.target());
  engine->show(catalogue());
  return engine;
}

}  // namespace

aio::engine& process_aio() noexcept { return g_engine.get(make); }

int read_sigevent(const sigevent* from, aio::notification& to) noexcept {
  using way = aio::notification::way;
  if (from == nullptr || from->sigev_notify == SIGEV_NONE) return 0;
  to.value = from->sigev_value;
  switch (from->sigev_notify) {
    case SIGEV_SIGNAL:
    case SIGEV_THREAD_ID:
      // glibc's zeroed block says SIGEV_SIGNAL with signal 0: no signal is meant.
      if (from->sigev_signo < 0 || from->sigev_signo > SIGRTMAX) return EINVAL;
      if (from->sigev_signo == 0) return 0;
      to.how = way::signal;
      to.signal = from->sigev_signo;
      to.thread = from->sigev_notify == SIGEV_THREAD_ID ? from->_sigev_un._tid : 0;
      return 0;
    case SIGEV_THREAD:
      if (from->sigev_notify_function == nullptr) return EINVAL;
      to.how = way::thread;
      to.function = from->sigev_notify_function;
      to.attributes = from->sigev_notify_attributes;
      return 0;
    default:
      break;
  }
  for (const route& r : kRoutes) {
    if (r.notify != from->sigev_notify) continue;
    to.how = way::target;
    to.target = static_cast<std::uint8_t>(&r - kRoutes + 1);
    return r.read(*from, to.order);
  }
  return EINVAL;
}

}  // namespace quay::faces
