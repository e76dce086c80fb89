// SPDX-License-Identifier: BSD-2-Clause
//
// What: <quay/port_source.h>: the sources of programs.
// Contract: include/quay/port_source.h; argument checks and errno only, the rest is
//           port::program_source's. A port_kevent_t is an event record, a port_source_t a
//           registration, under names that C knows.
#include <quay/port_source.h>

#include <cerrno>
#include <climits>

#include "faces/process_system.hpp"
#include "host/linux_host.hpp"

namespace {

using quay::faces::process_ports;
using quay::port::program_source;
using record = program_source::event_record;

int finish(int error) noexcept {
  if (error == 0) return 0;
  errno = error;
  return -1;
}

program_source& programs() noexcept { return process_ports().programs(); }
record* record_of(port_kevent_t* event) noexcept { return reinterpret_cast<record*>(event); }

bool is_number_of_program(int source) noexcept {
  return source >= program_source::kFirst && source <= USHRT_MAX;
}

// One of PORT_ALLOC_*, and perhaps PORT_KEV_NOSHARE.
bool read_flags(int flags, bool& kept, bool& own) noexcept {
  own = (flags & PORT_KEV_NOSHARE) != 0;
  const int kind = flags & ~PORT_KEV_NOSHARE;
  kept = kind != PORT_ALLOC_DEFAULT;
  return !kept || kind == PORT_ALLOC_PRIVATE || kind == PORT_ALLOC_CACHED ||
         kind == PORT_ALLOC_SCACHED;
}

int allocate(int port, int flags, int source, port_kevent_t** event, bool wait) noexcept {
  quay::port::port* p = process_ports().find_or_adopt(port);
  if (p == nullptr) return finish(process_ports().why_not(port));
  bool kept = false;
  bool own = false;
  if (event == nullptr || !is_number_of_program(source) || !read_flags(flags, kept, own)) {
    return finish(EINVAL);
  }
  record* made = nullptr;
  const int error = programs().reserve(*p, source, kept, own, wait, made);
  if (error == 0) *event = program_source::handle_of(*made);
  return finish(error);
}

}  // namespace

int port_associate_ksource(int port, int source, port_source_t** handle,
                           void (*close_fn)(void*, int, pid_t, int), void* arg) {
  quay::port::port* p = process_ports().find_or_adopt(port);
  if (p == nullptr) return finish(process_ports().why_not(port));
  if (handle == nullptr || !is_number_of_program(source)) return finish(EINVAL);
  program_source::registration* made = nullptr;
  const int error = programs().enter(*p, source, close_fn, arg, made);
  if (error == 0) *handle = reinterpret_cast<port_source_t*>(made);
  return finish(error);
}

int port_dissociate_ksource(int port, int source, port_source_t* handle) {
  quay::port::port* p = process_ports().find_or_adopt(port);
  if (p == nullptr) return finish(process_ports().why_not(port));
  return finish(
      programs().leave(*p, source, reinterpret_cast<program_source::registration*>(handle)));
}

int port_alloc_event(int port, int flags, int source, port_kevent_t** event) {
  return allocate(port, flags, source, event, false);
}

int port_alloc_event_block(int port, int flags, int source, port_kevent_t** event) {
  return allocate(port, flags, source, event, true);
}

int port_dup_event(port_kevent_t* event, port_kevent_t** copy, int flags) {
  bool kept = false;
  bool own = false;
  if (event == nullptr || copy == nullptr || !read_flags(flags, kept, own)) return finish(EINVAL);
  record* made = nullptr;
  const int error = programs().duplicate(*record_of(event), kept, own, made);
  if (error == 0) *copy = program_source::handle_of(*made);
  return finish(error);
}

int port_init_event(port_kevent_t* event, uintptr_t object, void* user,
                    int (*callback)(void*, int*, pid_t, int, port_kevent_t*), void* arg) {
  if (event == nullptr) return finish(EINVAL);
  return finish(programs().describe(*record_of(event), object, user, callback, arg));
}

int port_set_event(port_kevent_t* event, int events) {
  return finish(event != nullptr ? programs().set_events(*record_of(event), events) : EINVAL);
}

int port_send_event(port_kevent_t* event) {
  return finish(event != nullptr ? programs().send(*record_of(event)) : EINVAL);
}

int port_remove_done_event(port_kevent_t* event) {
  return finish(event != nullptr ? programs().take_back(*record_of(event)) : EINVAL);
}

void port_free_event(port_kevent_t* event) {
  if (event != nullptr) programs().give_back(*record_of(event));
}
