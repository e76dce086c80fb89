// SPDX-License-Identifier: BSD-2-Clause
//
// What: the calls of event ports, put in front of the library's.
#define QUAY_KEEP_LIBC_TIMERS 1
#include <fcntl.h>
#include <port.h>
#include <quay/port_source.h>

#include <algorithm>

#include "traced.hpp"

namespace {

using quay::trace::call;
using quay::trace::fetch;
using quay::trace::line;
using quay::trace::original;
using quay::trace::traced;

constexpr const char* kSources[] = {"0", "AIO", "TIMER", "USER", "FD", "ALERT", "MQ", "FILE"};
constexpr quay::tool::bit kPollBits[] = {{POLLIN, "POLLIN"},   {POLLPRI, "POLLPRI"},
                                         {POLLOUT, "POLLOUT"}, {POLLERR, "POLLERR"},
                                         {POLLHUP, "POLLHUP"}, {POLLNVAL, "POLLNVAL"}};
constexpr quay::tool::bit kFileBits[] = {
    {FILE_ACCESS, "FILE_ACCESS"},       {FILE_MODIFIED, "FILE_MODIFIED"},
    {FILE_ATTRIB, "FILE_ATTRIB"},       {FILE_TRUNC, "FILE_TRUNC"},
    {FILE_NOFOLLOW, "FILE_NOFOLLOW"},   {FILE_DELETE, "FILE_DELETE"},
    {FILE_RENAME_TO, "FILE_RENAME_TO"}, {FILE_RENAME_FROM, "FILE_RENAME_FROM"},
    {UNMOUNTED, "UNMOUNTED"},           {MOUNTEDOVER, "MOUNTEDOVER"}};

void show_source(line& out, int source) {
  if (source > 0 && source < static_cast<int>(std::size(kSources))) {
    out << "PORT_SOURCE_" << kSources[source];
  } else {
    out << source;
  }
}

void show_what(line& out, int source, uintptr_t object, int events) {
  const auto bits = static_cast<unsigned>(events);
  if (source == PORT_SOURCE_FD) {
    (out << object << ", ").bits(kPollBits, bits);
  } else if (source == PORT_SOURCE_FILE) {
    (out.hex(object) << ", ").bits(kFileBits, bits);
  } else {
    out.hex(object) << ", " << events;
  }
}

void show_events(line& out, const port_event_t* list, unsigned count) {
  constexpr unsigned kMostShown = 8;
  port_event_t copied[kMostShown];
  const unsigned shown = std::min(count, kMostShown);
  if (!fetch(copied, list, sizeof *list * shown)) return;
  out << " {";
  for (unsigned i = 0; i < shown; ++i) {
    const port_event_t& e = copied[i];
    out << (i == 0 ? "" : ", ");
    show_source(out, e.portev_source);
    show_what(out << " ", e.portev_source, e.portev_object, e.portev_events);
    (out << " ").address(e.portev_user);
  }
  out << (shown < count ? ", ...}" : "}");
}

void show_time(line& out, const timespec* timeout) {
  timespec copied{};
  if (timeout == nullptr || !fetch(&copied, timeout, sizeof copied)) {
    out.address(timeout);
  } else {
    out << "{" << copied.tv_sec << ", " << copied.tv_nsec << "}";
  }
}

void nothing(line&, int) {}

}  // namespace

int port_create() {
  return traced(
      call::port_create, [](line&) {}, [] { return original<int()>(call::port_create)(); },
      nothing);
}

int port_create1(int flags) {
  constexpr quay::tool::bit kBits[] = {{O_CLOEXEC, "O_CLOEXEC"}, {QUAY_PRIVATE, "QUAY_PRIVATE"}};
  return traced(
      call::port_create1, [&](line& out) { out.bits(kBits, static_cast<unsigned>(flags)); },
      [&] { return original<int(int)>(call::port_create1)(flags); }, nothing);
}

int port_associate(int port, int source, uintptr_t object, int events, void* user) {
  return traced(
      call::port_associate,
      [&](line& out) {
        show_source(out << port << ", ", source);
        show_what(out << ", ", source, object, events);
        (out << ", ").address(user);
      },
      [&] {
        return original<decltype(port_associate)>(call::port_associate)(port, source, object,
                                                                        events, user);
      },
      nothing);
}

int port_dissociate(int port, int source, uintptr_t object) {
  return traced(
      call::port_dissociate,
      [&](line& out) {
        show_source(out << port << ", ", source);
        out << ", ";
        source == PORT_SOURCE_FD ? out << object : out.hex(object);
      },
      [&] {
        return original<decltype(port_dissociate)>(call::port_dissociate)(port, source, object);
      },
      nothing);
}

int port_send(int port, int events, void* user) {
  return traced(
      call::port_send, [&](line& out) { (out << port << ", " << events << ", ").address(user); },
      [&] { return original<decltype(port_send)>(call::port_send)(port, events, user); }, nothing);
}

int port_sendn(int ports[], int errors[], uint_t count, int events, void* user) {
  return traced(
      call::port_sendn,
      [&](line& out) { (out << count << " ports, " << events << ", ").address(user); },
      [&] {
        return original<decltype(port_sendn)>(call::port_sendn)(ports, errors, count, events, user);
      },
      nothing);
}

int port_get(int port, port_event_t* event, struct timespec* timeout) {
  return traced(
      call::port_get, [&](line& out) { show_time(out << port << ", ", timeout); },
      [&] { return original<decltype(port_get)>(call::port_get)(port, event, timeout); },
      [&](line& out, int result) {
        if (result == 0) show_events(out, event, 1);
      });
}

int port_getn(int port, port_event_t list[], uint_t most, uint_t* count, struct timespec* timeout) {
  return traced(
      call::port_getn,
      [&](line& out) {
        uint_t wanted = 0;
        fetch(&wanted, count, sizeof wanted);
        show_time(out << port << ", " << most << ", " << wanted << ", ", timeout);
      },
      [&] {
        return original<decltype(port_getn)>(call::port_getn)(port, list, most, count, timeout);
      },
      [&](line& out, int) {
        uint_t got = 0;
        if (fetch(&got, count, sizeof got) && got > 0 && most > 0) show_events(out, list, got);
      });
}

int port_alert(int port, int flags, int events, void* user) {
  constexpr quay::tool::bit kBits[] = {{PORT_ALERT_SET, "PORT_ALERT_SET"},
                                       {PORT_ALERT_UPDATE, "PORT_ALERT_UPDATE"}};
  return traced(
      call::port_alert,
      [&](line& out) {
        (out << port << ", ").bits(kBits, static_cast<unsigned>(flags));
        (out << ", " << events << ", ").address(user);
      },
      [&] { return original<decltype(port_alert)>(call::port_alert)(port, flags, events, user); },
      nothing);
}

int port_dispatch(int port, int flags, int source, int events, uintptr_t object, void* user) {
  return traced(
      call::port_dispatch,
      [&](line& out) {
        show_source(out << port << ", " << flags << ", ", source);
        (out << ", " << events << ", ").hex(object) << ", ";
        out.address(user);
      },
      [&] {
        return original<decltype(port_dispatch)>(call::port_dispatch)(port, flags, source, events,
                                                                      object, user);
      },
      nothing);
}
