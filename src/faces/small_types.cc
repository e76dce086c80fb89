// SPDX-License-Identifier: BSD-2-Clause
//
// What: the calls as 32-bit programs know them whose times, or offsets too, have 32 bits: each
//       translates its arguments and makes the call with the wide ones.
// Contract: glibc's choice, _TIME_BITS and _FILE_OFFSET_BITS; the headers give programs with wide
//           types calls of other names. This file alone is compiled with the narrow ones, so that
//           the structures here are those of such programs; elsewhere it is empty.
// Invariants: a pointer that cannot be read is handed on as it is: the wide call finds it bad.
#include <features.h>

#if defined(__TIMESIZE) && __TIMESIZE == 32 && __SIZEOF_POINTER__ == 4

#include <aio.h>
#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "faces/hook_points.hpp"
#include "faces/stat_layout.hpp"

#define QUAY_NARROW extern "C" __attribute__((visibility("default")))

namespace {

// As the rest of the library sees them.
struct wide_time {
  std::int64_t tv_sec;
  std::int32_t tv_nsec;
  std::int32_t pad;
};
struct wide_period {
  wide_time it_interval;
  wide_time it_value;
};
struct narrow_file {
  timespec fo_atime, fo_mtime, fo_ctime;
  std::uintptr_t fo_pad[3];
  char* fo_name;
};
struct wide_file {
  wide_time fo_atime, fo_mtime, fo_ctime;
  std::uintptr_t fo_pad[3];
  char* fo_name;
};

}  // namespace

extern "C" {
int kevent_time64(int, const void*, int, void*, int, const wide_time*);
int quay_kevent_ext_time64(int, const void*, int, void*, int, const wide_time*);
int port_get_time64(int, void*, const wide_time*);
int port_getn_time64(int, void*, unsigned, unsigned*, const wide_time*);
int quay_associate(int, int, std::uintptr_t, const wide_file*, int, void*);
int quay_timer_settime_time64(timer_t, int, const wide_period*, wide_period*);
int quay_timer_gettime_time64(timer_t, wide_period*);
int quay_aio_suspend_time64(const aiocb* const*, int, const wide_time*);
int quay_aio_read64(aiocb*);
int quay_aio_write64(aiocb*);
int quay_aio_readv64(aiocb*);
int quay_aio_writev64(aiocb*);
int quay_lio_listio64(int, aiocb* const*, int, sigevent*);
}

namespace {

template <class T>
bool readable(const T* p) noexcept {
  return p != nullptr && quay_readable(p, sizeof *p) == sizeof *p;
}

wide_time widened(const timespec& t) noexcept { return {t.tv_sec, t.tv_nsec, 0}; }

// A time that the program's type cannot hold is the last one that it can.
timespec narrowed(const wide_time& t) noexcept {
  constexpr std::int64_t kLast = std::numeric_limits<decltype(timespec::tv_sec)>::max();
  return {static_cast<decltype(timespec::tv_sec)>(t.tv_sec < kLast ? t.tv_sec : kLast), t.tv_nsec};
}

// The program's time in the library's layout, or its own pointer if it is none.
class time_argument {
 public:
  explicit time_argument(const timespec* t) noexcept : given_(t) {
    if (readable(t)) value_ = widened(*t);
  }
  const wide_time* get() const noexcept {
    return readable(given_) ? &value_ : reinterpret_cast<const wide_time*>(given_);
  }

 private:
  const timespec* given_;
  wide_time value_{};
};

// Of a request with a small offset glibc keeps the place of the high half free.
aiocb* widen_offset(aiocb* block) noexcept {
  if (readable(block)) {
    const std::int64_t offset = block->aio_offset;
    std::memcpy(&block->aio_offset, &offset, sizeof offset);
  }
  return block;
}

// EOVERFLOW where the member is too small, as stat(2) answers.
template <class Stat>
int status(int fd, Stat* out) noexcept {
  struct statx found {};
  int result = quay_hook_stat(fd, &found);
  if (result == QUAY_HOOK_PASS) {
    if constexpr (std::is_same_v<Stat, struct stat>) {
      return ::fstat(fd, out);
    } else {
      return ::fstat64(fd, out);
    }
  }
  if (result == 0 && (out == nullptr || quay_hook_writable(out, sizeof *out) < sizeof *out)) {
    result = -EFAULT;
  }
  if (result == 0 && !quay::faces::lay_out(found, *out)) result = -EOVERFLOW;
  if (result == 0) return 0;
  errno = -result;
  return -1;
}

}  // namespace

QUAY_NARROW int kevent(int kq, const void* changes, int nchanges, void* events, int nevents,
                       const timespec* timeout) {
  return kevent_time64(kq, changes, nchanges, events, nevents, time_argument(timeout).get());
}

QUAY_NARROW int quay_kevent_ext(int kq, const void* changes, int nchanges, void* events,
                                int nevents, const timespec* timeout) {
  return quay_kevent_ext_time64(kq, changes, nchanges, events, nevents,
                                time_argument(timeout).get());
}

QUAY_NARROW int port_get(int port, void* event, const timespec* timeout) {
  return port_get_time64(port, event, time_argument(timeout).get());
}

QUAY_NARROW int port_getn(int port, void* list, unsigned most, unsigned* count,
                          const timespec* timeout) {
  return port_getn_time64(port, list, most, count, time_argument(timeout).get());
}

QUAY_NARROW int port_associate(int port, int source, std::uintptr_t object, int events,
                               void* user) {
  constexpr int kFiles = 7;  // PORT_SOURCE_FILE
  const auto* file = reinterpret_cast<const narrow_file*>(object);
  if (source != kFiles || !readable(file)) {
    return quay_associate(port, source, object, nullptr, events, user);
  }
  const wide_file wide{
      widened(file->fo_atime), widened(file->fo_mtime), widened(file->fo_ctime), {}, file->fo_name};
  return quay_associate(port, source, object, &wide, events, user);
}

QUAY_NARROW int quay_timer_settime(timer_t timer, int flags, const itimerspec* value,
                                   itimerspec* old) {
  wide_period now{};
  wide_period before{};
  const auto* set = reinterpret_cast<const wide_period*>(value);
  if (readable(value)) {
    now = {widened(value->it_interval), widened(value->it_value)};
    set = &now;
  }
  if (old != nullptr && quay_hook_writable(old, sizeof *old) < sizeof *old) {
    errno = EFAULT;
    return -1;
  }
  const int result =
      quay_timer_settime_time64(timer, flags, set, old != nullptr ? &before : nullptr);
  if (result == 0 && old != nullptr) {
    *old = {narrowed(before.it_interval), narrowed(before.it_value)};
  }
  return result;
}

QUAY_NARROW int quay_timer_gettime(timer_t timer, itimerspec* value) {
  wide_period now{};
  if (value == nullptr || quay_hook_writable(value, sizeof *value) < sizeof *value) {
    errno = EFAULT;
    return -1;
  }
  const int result = quay_timer_gettime_time64(timer, &now);
  if (result == 0) *value = {narrowed(now.it_interval), narrowed(now.it_value)};
  return result;
}

QUAY_NARROW int quay_fstat(int fd, struct stat* out) { return status(fd, out); }
QUAY_NARROW int quay_fstat64(int fd, struct stat64* out) { return status(fd, out); }

QUAY_NARROW int quay_aio_read(aiocb* block) { return quay_aio_read64(widen_offset(block)); }
QUAY_NARROW int quay_aio_write(aiocb* block) { return quay_aio_write64(widen_offset(block)); }
QUAY_NARROW int quay_aio_readv(aiocb* block) { return quay_aio_readv64(widen_offset(block)); }
QUAY_NARROW int quay_aio_writev(aiocb* block) { return quay_aio_writev64(widen_offset(block)); }

QUAY_NARROW int quay_aio_suspend(const aiocb* const blocks[], int count, const timespec* timeout) {
  return quay_aio_suspend_time64(blocks, count, time_argument(timeout).get());
}

QUAY_NARROW int quay_lio_listio(int mode, aiocb* const blocks[], int count, sigevent* event) {
  for (int i = 0; i < count; ++i) widen_offset(blocks[i]);
  return quay_lio_listio64(mode, blocks, count, event);
}

#endif
