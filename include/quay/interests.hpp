// SPDX-License-Identifier: BSD-2-Clause
//
// What: what a queue can be asked to wait for, one type for each kind, and what can be done with it, a `change`.
// Contract: kqueue(2). Each type offers what its filter knows and no more: a timer has no low-water mark, a process no
//           edges, and a file cannot be watched in the way that reports for ever. An interest is a value; calls such as
//           once() give a changed copy. Queue, kind and identifier name a registration: to remove, enable or disable
//           it, give the queue an equal interest again.
#ifndef QUAY_INTERESTS_HPP_
#define QUAY_INTERESTS_HPP_

#include <quay/descriptor.hpp>
#include <quay/detail/interface.hpp>

#include <atomic>
#include <cstddef>

namespace quay {
inline namespace v0 {

// One entry of a list of changes; what kqueue::apply takes. Made of an interest, by itself or by
// removal(), enabling() and disabling(), or by trigger().
class change {
 public:
  explicit constexpr change(const detail::record& native) noexcept : record_(native) {}
  [[nodiscard]] constexpr const detail::record& native() const noexcept { return record_; }

 private:
  detail::record record_;
};

// What may happen to a file; combined with |.
enum class file_change : unsigned {
  none = 0,
  removed = 0x001,     // a name of it, or another file was renamed over it
  written = 0x002,     // a directory: an entry was made, removed or renamed
  extended = 0x004,    // it grew
  attributes = 0x008,  // mode, owner, times
  linked = 0x010,      // a name was added, or one of several removed
  renamed = 0x020,
  revoked = 0x040,  // its file system was unmounted
  opened = 0x080,
  closed = 0x100,  // by a descriptor that could not write
  closed_after_write = 0x200,
  read = 0x400,
};
constexpr file_change operator|(file_change a, file_change b) noexcept {
  return static_cast<file_change>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr file_change operator&(file_change a, file_change b) noexcept {
  return static_cast<file_change>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
constexpr bool any(file_change some) noexcept { return some != file_change::none; }

namespace detail {

template <class Self>
class interest {
 public:
  // Comes back with the events, as event::tag().
  [[nodiscard]] constexpr Self tag(void* mine) const noexcept {
    Self copy = self();
    copy.record_.udata = mine;
    return copy;
  }
  // The registration ends with its first event.
  [[nodiscard]] constexpr Self once() const noexcept { return with(kOneshot); }
  // It is disabled by each event, until it is enabled again: of several threads one has it.
  [[nodiscard]] constexpr Self dispatched() const noexcept { return with(kDispatch); }
  // It begins disabled.
  [[nodiscard]] constexpr Self disabled() const noexcept { return with(kDisable); }

  // NOLINTNEXTLINE(google-explicit-constructor): to register is what an interest is for.
  constexpr operator change() const noexcept {
    record r = record_;
    r.flags = static_cast<unsigned short>(r.flags | kAdd);
    return change(r);
  }
  [[nodiscard]] constexpr change with_action(flag action) const noexcept {
    record r = record_;
    r.flags = action;
    return change(r);
  }

 protected:
  constexpr interest(std::uintptr_t ident, filter kind, unsigned fflags, unsigned flags = 0)
      : record_{ident, kind, static_cast<unsigned short>(flags), fflags, 0, nullptr} {}
  constexpr Self with(unsigned flags) const noexcept {
    Self copy = self();
    copy.record_.flags = static_cast<unsigned short>(copy.record_.flags | flags);
    return copy;
  }
  constexpr Self noting(unsigned fflags) const noexcept {
    Self copy = self();
    copy.record_.fflags |= fflags;
    return copy;
  }
  constexpr const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  record record_;
};

template <class Self>
class stream_interest : public interest<Self> {
 public:
  // One event for each arrival, instead of one as long as the object is ready.
  [[nodiscard]] constexpr Self edge() const noexcept { return this->with(kClear); }
  // Events carry the number of bytes, found out when they are taken: a system call for each. Without
  // it the event asks when it is asked.
  [[nodiscard]] constexpr Self counted() const noexcept {
    Self copy = this->self();
    copy.record_.fflags &= ~unsigned{kNoData};
    return copy;
  }
  // Ready from so many bytes on.
  [[nodiscard]] constexpr Self at_least(std::size_t bytes) const noexcept {
    Self copy = counted().noting(kLowWater);
    copy.record_.data = static_cast<std::intptr_t>(bytes);
    return copy;
  }

 protected:
  friend Self;
  friend interest<Self>;
  constexpr stream_interest(int fd, filter kind)
      : interest<Self>(static_cast<std::uintptr_t>(fd), kind, kNoData) {}
};

template <class Self>
class timer_interest : public interest<Self> {
 public:
  [[nodiscard]] constexpr std::uintptr_t id() const noexcept { return this->record_.ident; }

 protected:
  constexpr timer_interest(std::uintptr_t id, std::chrono::nanoseconds time, unsigned fflags,
                           unsigned flags)
      : interest<Self>(id, kTimer, fflags, flags) {
    constexpr std::int64_t kMost = std::numeric_limits<std::intptr_t>::max();
    constexpr std::int64_t kMillisecond = 1'000'000;
    constexpr std::int64_t kSecond = 1'000'000'000;
    const std::int64_t count = time.count();
    if (count % kMillisecond == 0 && count / kMillisecond <= kMost) {
      // The unit that every system's timers have, wherever it is exact.
      set(count / kMillisecond, kMilliseconds);
    } else if (count <= kMost) {
      set(count, kNanoseconds);
    } else if (count / kMillisecond < kMost) {
      // On 32-bit machines `data` is no wider than a pointer: later rather than early.
      set(count / kMillisecond + 1, kMilliseconds);
    } else {
      set(count / kSecond < kMost ? count / kSecond + 1 : kMost, kSeconds);
    }
  }

 private:
  constexpr void set(std::int64_t data, unsigned unit) {
    this->record_.fflags |= unit;
    this->record_.data = static_cast<std::intptr_t>(data);
  }
};

// Timers without an id of the program's get one that no other has.
inline std::uintptr_t fresh_id() noexcept {
  static std::atomic<std::uintptr_t> next{std::numeric_limits<std::uintptr_t>::max() / 2};
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace detail

// Something can be read from a descriptor, a connection accepted, or its end is reached.
class readable : public detail::stream_interest<readable> {
 public:
  explicit constexpr readable(int fd) : stream_interest(fd, detail::kRead) {}
  explicit readable(const waitable auto& object) : readable(object.native_handle()) {}
  // A regular file is always ready, also at its end.
  [[nodiscard]] constexpr readable always_for_files() const noexcept {
    return noting(detail::kFilePoll);
  }
};

// There is room to write, or nobody reads any more.
class writable : public detail::stream_interest<writable> {
 public:
  explicit constexpr writable(int fd) : stream_interest(fd, detail::kWrite) {}
  explicit writable(const waitable auto& object) : writable(object.native_handle()) {}
};

// Everything that was written to a socket has left it. Not in the DragonFly and OpenBSD dialects.
class drained : public detail::interest<drained> {
 public:
  explicit constexpr drained(int socket)
      : interest(static_cast<std::uintptr_t>(socket), detail::kEmpty, 0) {}
};

// A socket has out-of-band data. In the DragonFly and OpenBSD dialects.
class urgent : public detail::interest<urgent> {
 public:
  explicit constexpr urgent(int socket)
      : interest(static_cast<std::uintptr_t>(socket), detail::kExcept, detail::kOutOfBand) {}
};

// One of `changes` happened to the file of a descriptor, which may be O_PATH.
class file : public detail::interest<file> {
 public:
  constexpr file(int fd, file_change changes)
      : interest(static_cast<std::uintptr_t>(fd), detail::kVnode, static_cast<unsigned>(changes),
                 detail::kClear) {}
};

// A process, one's child or another, has ended; if asked, also that it forked or runs a new program.
class child : public detail::interest<child> {
 public:
  explicit constexpr child(pid_t pid)
      : interest(static_cast<std::uintptr_t>(pid), detail::kProc, detail::kExit) {}
  [[nodiscard]] constexpr child forks() const noexcept { return noting(detail::kFork); }
  [[nodiscard]] constexpr child execs() const noexcept { return noting(detail::kExec); }
  // Its children are registered as it is, and theirs.
  [[nodiscard]] constexpr child and_descendants() const noexcept { return noting(detail::kTrack); }
};

// The process of a pidfd has ended. FreeBSD's dialect.
class child_of : public detail::interest<child_of> {
 public:
  explicit constexpr child_of(int pidfd)
      : interest(static_cast<std::uintptr_t>(pidfd), detail::kProcdesc, detail::kExit) {}
};

// A signal was posted to this process; counted whatever the program does with it.
class signal : public detail::interest<signal> {
 public:
  explicit constexpr signal(int number)
      : interest(static_cast<std::uintptr_t>(number), detail::kSignal, 0) {}
};

// A file system was mounted or unmounted. Not in OpenBSD's dialect.
class mounts : public detail::interest<mounts> {
 public:
  constexpr mounts() : interest(0, detail::kFs, 0) {}
};

// The program's own event, made ready by trigger() of the same id from any thread. One event tells
// of all triggers since the last.
class user : public detail::interest<user> {
 public:
  explicit constexpr user(std::uintptr_t id) : interest(id, detail::kUser, 0, detail::kClear) {}
  // Stays ready from the first trigger on, for every call and every thread.
  [[nodiscard]] constexpr user latched() const noexcept {
    user copy = *this;
    copy.record_.flags = static_cast<unsigned short>(copy.record_.flags & ~detail::kClear);
    return copy;
  }
};

// Expires once, so long after its registration.
class after : public detail::timer_interest<after> {
 public:
  template <class Rep, class Period>
  explicit after(std::chrono::duration<Rep, Period> delay) : after(delay, detail::fresh_id()) {}
  template <class Rep, class Period>
  constexpr after(std::chrono::duration<Rep, Period> delay, std::uintptr_t id)
      : timer_interest(id, detail::to_nanoseconds(delay), 0, detail::kOneshot) {}
};

// Expires again and again; a late expiration does not delay the next.
class every : public detail::timer_interest<every> {
 public:
  template <class Rep, class Period>
  explicit every(std::chrono::duration<Rep, Period> period) : every(period, detail::fresh_id()) {}
  template <class Rep, class Period>
  constexpr every(std::chrono::duration<Rep, Period> period, std::uintptr_t id)
      : timer_interest(id, detail::to_nanoseconds(period), 0, 0) {}
};

// Expires once, at a time of the wall clock, also when that is set anew. Not in DragonFly's dialect.
class at : public detail::timer_interest<at> {
 public:
  template <class Duration>
  explicit at(std::chrono::time_point<std::chrono::system_clock, Duration> time)
      : at(time, detail::fresh_id()) {}
  template <class Duration>
  constexpr at(std::chrono::time_point<std::chrono::system_clock, Duration> time, std::uintptr_t id)
      : timer_interest(id, detail::to_nanoseconds(time.time_since_epoch()), detail::kAbsolute,
                       detail::kOneshot) {}
};

template <class Self>
constexpr change removal(const detail::interest<Self>& what) noexcept {
  return what.with_action(detail::kDelete);
}
template <class Self>
constexpr change enabling(const detail::interest<Self>& what) noexcept {
  return what.with_action(detail::kEnable);
}
template <class Self>
constexpr change disabling(const detail::interest<Self>& what) noexcept {
  return what.with_action(detail::kDisable);
}
// Makes user(id) ready; its event carries the last value. The tag stays in FreeBSD's dialect; the
// others take a trigger's.
constexpr change trigger(std::uintptr_t id, std::intptr_t value = 0, void* tag = nullptr) noexcept {
  const unsigned short keep = tag == nullptr ? detail::kKeepTag : 0;
  return change({id, detail::kUser, keep, detail::kTrigger, value, tag});
}

}  // namespace v0
}  // namespace quay

#endif  // QUAY_INTERESTS_HPP_
