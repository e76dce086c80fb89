// SPDX-License-Identifier: BSD-2-Clause
//
// What: what the C++ face calls: the library's C functions under names of their own, and the numbers of <sys/event.h>
//       and <port.h>.
// Contract: values and layouts are those of the C headers (tests/contract/kqueue_face.cc compares them). They are
//           written down again so that a C++ program gets neither the macros of those headers nor their folders on
//           its path, and can still use libevent's or Linux's headers beside this one.
#ifndef QUAY_DETAIL_INTERFACE_HPP_
#define QUAY_DETAIL_INTERFACE_HPP_

#include <cstdint>
#include <ctime>

namespace quay {
inline namespace v0 {

class change;
class event;
class port_event;

namespace detail {

enum filter : short {
  kRead = -1,
  kWrite = -2,
  kAio = -3,
  kVnode = -4,
  kProc = -5,
  kSignal = -6,
  kTimer = -7,
  kProcdesc = -8,
  kFs = -9,
  kUser = -11,
  kEmpty = -13,
  kExcept = -15,
};

enum flag : unsigned short {
  kAdd = 0x0001,
  kDelete = 0x0002,
  kEnable = 0x0004,
  kDisable = 0x0008,
  kOneshot = 0x0010,
  kClear = 0x0020,
  kDispatch = 0x0080,
  kKeepTag = 0x0200,
  kError = 0x4000,
  kEof = 0x8000,
};

enum note : unsigned {
  kLowWater = 0x1,
  kFilePoll = 0x2,
  kOutOfBand = 0x4,
  kNoData = 0x00010000,
  kExit = 0x80000000,
  kFork = 0x40000000,
  kExec = 0x20000000,
  kTrack = 0x1,
  kTrackError = 0x2,
  kChild = 0x4,
  kSeconds = 0x1,
  kMilliseconds = 0x2,
  kNanoseconds = 0x8,
  kAbsolute = 0x10,
  kTrigger = 0x01000000,
  kCopyFlags = 0xc0000000,
  kUserFlags = 0x00ffffff,
  kMount = 0x8,
  kUnmount = 0x10,
};

// struct kevent, 32 bytes.
struct record {
  std::uintptr_t ident = 0;
  short filter = 0;
  unsigned short flags = 0;
  unsigned fflags = 0;
  std::intptr_t data = 0;
  void* udata = nullptr;
};

enum port_source : unsigned short {
  kSourceAio = 1,
  kSourceTimer = 2,
  kSourceUser = 3,
  kSourceFd = 4,
  kSourceAlert = 5,
  kSourceMq = 6,
  kSourceFile = 7,
};

// port_event_t
struct port_record {
  int events = 0;
  unsigned short source = 0;
  unsigned short pad = 0;
  std::uintptr_t object = 0;
  void* user = nullptr;
};

// file_obj_t
struct file_object {
  timespec accessed{};
  timespec modified{};
  timespec changed{};
  std::uintptr_t pad[3] = {};
  char* name = nullptr;
};

// port_notify_t
struct port_notify {
  int port;
  void* user;
};
inline constexpr int kSigevPort = 0x51;
inline constexpr int kAlertSet = 1;

// The names that <sys/event.h> and <port.h> give these calls where struct timespec has two sizes.
#if defined(__USE_TIME_BITS64) && defined(__TIMESIZE) && __TIMESIZE == 32
#define QUAY_WIDE_NAME_(name) __asm__(name "_time64")
#else
#define QUAY_WIDE_NAME_(name) __asm__(name)
#endif
extern "C" {
int quay_face_kevent(int queue, const change* changes, int change_count, event* room,
                     int room_count, const timespec* timeout) QUAY_WIDE_NAME_("kevent");
int quay_face_port_create(int flags) __asm__("port_create1");
int quay_face_port_associate(int port, int source, std::uintptr_t object, int events, void* user)
    QUAY_WIDE_NAME_("port_associate");
int quay_face_port_dissociate(int port, int source,
                              std::uintptr_t object) __asm__("port_dissociate");
int quay_face_port_send(int port, int events, void* user) __asm__("port_send");
int quay_face_port_getn(int port, port_event* room, unsigned most, unsigned* count,
                        timespec* timeout) QUAY_WIDE_NAME_("port_getn");
int quay_face_port_alert(int port, int flags, int events, void* user) __asm__("port_alert");
int quay_face_timer_create(clockid_t clock, struct sigevent* event,
                           timer_t* timer) __asm__("quay_timer_create");
int quay_face_timer_settime(timer_t timer, int flags, const itimerspec* value, itimerspec* old)
    QUAY_WIDE_NAME_("quay_timer_settime");
int quay_face_timer_delete(timer_t timer) __asm__("quay_timer_delete");
}  // extern "C"
#undef QUAY_WIDE_NAME_

}  // namespace detail
}  // namespace v0
}  // namespace quay

#endif  // QUAY_DETAIL_INTERFACE_HPP_
