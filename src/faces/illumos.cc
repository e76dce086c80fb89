// SPDX-License-Identifier: BSD-2-Clause
//
// What: <port.h>: the calls on event ports.
// Contract: semantics/ports.md section 2; *nget is written on every return that knew a port, with
//           the number of events stored.
#pragma GCC visibility push(default)
#define QUAY_KEEP_LIBC_TIMERS 1
#include <port.h>
#pragma GCC visibility pop

#include <fcntl.h>
#include <pthread.h>
#include <quay/port_source.h>
#include <quay/quay.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "faces/process_system.hpp"
#include "host/linux_host.hpp"
#include "port/sources/file.hpp"

// port_associate() of a file_obj_t whose contents were copied from another layout (small_types.cc).
extern "C" int quay_associate(int port, int source, uintptr_t object, const file_obj_t* file,
                              int events, void* user);

namespace {

using quay::faces::process_ports;

int finish(int error) noexcept {
  if (error == 0) return 0;
  errno = error;
  return -1;
}

[[gnu::cold]] quay::port::port* adopt(int fd, int& error) noexcept {
  quay::port::system& ports = process_ports();
  quay::port::port* p = ports.adopt(fd);
  error = p == nullptr ? ports.why_not(fd) : 0;
  return p;
}
// The port behind a number; null, and why, when there is none.
[[gnu::always_inline]] inline quay::port::port* find(int fd, int& error) noexcept {
  quay::port::system* existing = quay::faces::existing_ports();
  quay::port::port* p = existing != nullptr ? existing->at(fd) : nullptr;
  return p != nullptr ? p : adopt(fd, error);
}

}  // namespace

int port_create1(int flags) {
  if ((flags & ~(O_CLOEXEC | QUAY_PRIVATE)) != 0) return finish(EINVAL);
  const int fd = process_ports().open((flags & O_CLOEXEC) != 0, (flags & QUAY_PRIVATE) != 0);
  return fd >= 0 ? fd : finish(-fd);
}

int port_create(void) { return port_create1(0); }

int port_associate(int port, int source, uintptr_t object, int events, void* user) {
  return quay_associate(port, source, object, reinterpret_cast<const file_obj_t*>(object), events,
                        user);
}

int quay_associate(int port, int source, uintptr_t object, const file_obj_t* file, int events,
                   void* user) {
  int error = 0;
  quay::port::port* p = find(port, error);
  if (p == nullptr) return finish(error);
  switch (source) {
    case PORT_SOURCE_FD:
      return finish(object > INT_MAX ? EBADFD
                                     : p->associate(static_cast<int>(object), events, user));
    case PORT_SOURCE_FILE: {
      quay::port::file_source* files = quay::port::file_source::of(*p, true, error);
      return finish(files != nullptr ? files->associate(*p, object, file, events, user) : error);
    }
    default:
      return finish(EINVAL);
  }
}

int port_dissociate(int port, int source, uintptr_t object) {
  int error = 0;
  quay::port::port* p = find(port, error);
  if (p == nullptr) return finish(error);
  switch (source) {
    case PORT_SOURCE_FD:
      return finish(object > INT_MAX ? EBADFD : p->dissociate(static_cast<int>(object)));
    case PORT_SOURCE_FILE: {
      quay::port::file_source* files = quay::port::file_source::of(*p, false, error);
      return finish(files != nullptr ? files->dissociate(*p, object) : error);
    }
    default:
      return finish(EINVAL);
  }
}

int port_send(int port, int events, void* user) {
  int error = 0;
  quay::port::port* p = find(port, error);
  return finish(p != nullptr ? p->send(events, user) : error);
}

int port_sendn(int ports[], int errors[], uint_t nent, int events, void* user) {
  if (nent == 0) return finish(EINVAL);
  quay::core::host& os = quay::host::linux_host::instance();
  const std::size_t bytes = sizeof(int) * std::size_t{nent};
  if (ports == nullptr || os.readable_prefix(ports, bytes) < bytes) return finish(EFAULT);
  uint_t sent = 0;
  bool written = false;
  for (uint_t i = 0; i < nent; ++i) {
    int error = 0;
    quay::port::port* p = find(ports[i], error);
    if (p != nullptr) error = p->send(events, user);
    sent += error == 0;
    if (error == 0 && !written) continue;
    if (!written) {
      // Only a failure is worth the list: until then nothing was written.
      if (errors == nullptr || os.writable_prefix(errors, bytes) < bytes) {
        for (++i; i < nent; ++i) {
          p = find(ports[i], error);
          if (p != nullptr) p->send(events, user);
        }
        return finish(EFAULT);
      }
      std::fill_n(errors, i, 0);
      written = true;
    }
    errors[i] = error;
  }
  return static_cast<int>(sent);
}

int port_get(int port, port_event_t* pe, struct timespec* timeout) {
  pthread_testcancel();
  int error = 0;
  quay::port::port* p = find(port, error);
  if (p == nullptr) return finish(error);
  return finish(p->get_one(pe, timeout).error);
}

int port_getn(int port, port_event_t list[], uint_t max, uint_t* nget, struct timespec* timeout) {
  pthread_testcancel();
  if (nget == nullptr) return finish(EINVAL);
  int error = 0;
  quay::port::port* p = find(port, error);
  if (p == nullptr) return finish(error);
  quay::core::host& os = quay::host::linux_host::instance();
  if (os.writable_prefix(nget, sizeof *nget) < sizeof *nget) return finish(EFAULT);
  const uint_t want = *nget;
  quay::port::outcome r{EINVAL, 0};
  if (max == 0 || want <= max) r = p->get(list, max, want, timeout);
  *nget = r.stored;
  return finish(r.error);
}

int port_alert(int port, int flags, int events, void* user) {
  int error = 0;
  quay::port::port* p = find(port, error);
  return finish(p != nullptr ? p->alert(flags, events, user) : error);
}

int port_dispatch(int port, int flags, int source, int events, uintptr_t object, void* user) {
  int error = 0;
  quay::port::port* p = find(port, error);
  if (p == nullptr) return finish(error);
  if (source != PORT_SOURCE_AIO && source != PORT_SOURCE_MQ) return finish(EINVAL);
  const std::uint8_t traits = (flags & PORT_SHARE_EVENT) != 0 ? 0 : quay::port::kOwnerOnly;
  return finish(p->post_waiting(source, events, object, user, traits));
}

int quay_port_send(int sock, int port) {
  int error = 0;
  if (find(port, error) == nullptr) return finish(error);
  return finish(process_ports().send_port(sock, port));
}

int quay_port_receive(int sock) {
  const int fd = process_ports().receive_port(sock);
  return fd >= 0 ? fd : finish(-fd);
}
