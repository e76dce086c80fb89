// SPDX-License-Identifier: BSD-2-Clause
//
// What: what a queue delivers: `event`, and behind visit() one type for each kind of event.
// Contract: kqueue(2). An event is a value of 32 bytes and owns nothing. visit() calls the handler that takes the
//           event's type; a type without a handler does not compile, and [](const auto&) {} handles the rest.
#ifndef QUAY_EVENTS_HPP_
#define QUAY_EVENTS_HPP_

#include <sys/ioctl.h>
#include <sys/wait.h>
#include <quay/descriptor.hpp>
#include <quay/detail/interface.hpp>
#include <quay/interests.hpp>

#include <cstddef>

struct aiocb;

namespace quay {
inline namespace v0 {

class event {
 public:
  event() = default;
  explicit event(const detail::record& native) noexcept : record_(native) {}

  // What the interest was tagged with.
  [[nodiscard]] void* tag() const noexcept { return record_.udata; }
  template <class T>
  [[nodiscard]] T* tag() const noexcept {
    return static_cast<T*>(record_.udata);
  }
  [[nodiscard]] const detail::record& native() const noexcept { return record_; }

  // Calls one handler; all must return the same type.
  template <class... Handlers>
  decltype(auto) visit(Handlers&&... handlers) const;

 protected:
  bool has(unsigned flag) const noexcept { return (record_.flags & flag) != 0; }
  bool notes(unsigned note) const noexcept { return (record_.fflags & note) != 0; }
  int number() const noexcept { return static_cast<int>(record_.ident); }

 private:
  detail::record record_;
};

// A change that failed, or a timer whose new time was bad.
class failed_change : public event {
 public:
  using event::event;
  [[nodiscard]] std::error_code error() const noexcept {
    return {static_cast<int>(native().data), std::system_category()};
  }
  [[nodiscard]] std::uintptr_t ident() const noexcept { return native().ident; }
};

class readable_event : public event {
 public:
  using event::event;
  [[nodiscard]] int fd() const noexcept { return number(); }
  // The other side will send no more; what is buffered can still be read.
  [[nodiscard]] bool eof() const noexcept { return has(detail::kEof); }
  // How many bytes can be read: as counted() found, or asked now. Of a listening socket only counted()
  // knows the connections.
  [[nodiscard]] std::size_t bytes(std::error_code& error) const noexcept {
    error.clear();
    int found = static_cast<int>(native().data);
    if (found == 0) detail::settled(::quay_ioctl(fd(), FIONREAD, &found), error);
    return found > 0 && !error ? static_cast<std::size_t>(found) : 0;
  }
  [[nodiscard]] std::size_t bytes() const {
    std::error_code error;
    const std::size_t found = bytes(error);
    if (error) detail::raise(error, "readable_event::bytes");
    return found;
  }
};

class writable_event : public event {
 public:
  using event::event;
  [[nodiscard]] int fd() const noexcept { return number(); }
  // Nobody will read any more.
  [[nodiscard]] bool eof() const noexcept { return has(detail::kEof); }
  // The room, if counted() or at_least() asked for it; else 0.
  [[nodiscard]] std::size_t room() const noexcept {
    return static_cast<std::size_t>(native().data);
  }
};

class drained_event : public event {
 public:
  using event::event;
  [[nodiscard]] int fd() const noexcept { return number(); }
};

class urgent_event : public event {
 public:
  using event::event;
  [[nodiscard]] int fd() const noexcept { return number(); }
};

class file_event : public event {
 public:
  using event::event;
  [[nodiscard]] int fd() const noexcept { return number(); }
  [[nodiscard]] file_change changes() const noexcept {
    return static_cast<file_change>(native().fflags);
  }
  [[nodiscard]] bool has(file_change one_of) const noexcept { return any(changes() & one_of); }
};

// Of child() and child_of().
class child_event : public event {
 public:
  using event::event;
  [[nodiscard]] pid_t pid() const noexcept { return number(); }  // child_of(): the pidfd
  [[nodiscard]] bool ended() const noexcept { return notes(detail::kExit); }
  [[nodiscard]] bool forked() const noexcept { return notes(detail::kFork); }
  [[nodiscard]] bool executed() const noexcept { return notes(detail::kExec); }
  // The first event of a descendant, whose parent() is known; or one could not be followed.
  [[nodiscard]] bool is_descendant() const noexcept { return notes(detail::kChild); }
  [[nodiscard]] pid_t parent() const noexcept { return static_cast<pid_t>(native().data); }
  [[nodiscard]] bool lost_descendant() const noexcept { return notes(detail::kTrackError); }
  // At the end. The status is waitpid(2)'s; waiting for the child stays the program's.
  [[nodiscard]] int status() const noexcept { return static_cast<int>(native().data); }
  [[nodiscard]] bool exited() const noexcept { return ended() && WIFEXITED(status()); }
  [[nodiscard]] int exit_code() const noexcept { return WEXITSTATUS(status()); }
  [[nodiscard]] bool killed() const noexcept { return ended() && WIFSIGNALED(status()); }
  [[nodiscard]] int killed_by() const noexcept { return WTERMSIG(status()); }
};

class signal_event : public event {
 public:
  using event::event;
  [[nodiscard]] int signal_number() const noexcept { return number(); }
  [[nodiscard]] std::uintptr_t count() const noexcept {  // since the last event
    return static_cast<std::uintptr_t>(native().data);
  }
};

class timer_event : public event {
 public:
  using event::event;
  [[nodiscard]] std::uintptr_t id() const noexcept { return native().ident; }
  [[nodiscard]] std::uintptr_t expirations() const noexcept {  // since the last event
    return static_cast<std::uintptr_t>(native().data);
  }
};

class mount_event : public event {
 public:
  using event::event;
  [[nodiscard]] bool mounted() const noexcept { return notes(detail::kMount); }
  [[nodiscard]] bool unmounted() const noexcept { return notes(detail::kUnmount); }
};

class user_event : public event {
 public:
  using event::event;
  [[nodiscard]] std::uintptr_t id() const noexcept { return native().ident; }
  [[nodiscard]] std::intptr_t value() const noexcept { return native().data; }
};

// A request of <quay/aio.h> with SIGEV_KEVENT has ended.
class transfer_event : public event {
 public:
  using event::event;
  [[nodiscard]] aiocb* request() const noexcept { return reinterpret_cast<aiocb*>(native().ident); }
};

// Of a filter that has no type here: a list of requests, or one that the program registered.
class other_event : public event {
 public:
  using event::event;
  [[nodiscard]] int filter() const noexcept { return native().filter; }
};

namespace detail {
template <class... Handlers>
struct overloaded : Handlers... {
  using Handlers::operator()...;
};
template <class... Handlers>
overloaded(Handlers...) -> overloaded<Handlers...>;
}  // namespace detail

template <class... Handlers>
decltype(auto) event::visit(Handlers&&... handlers) const {
  const detail::overloaded handle{std::forward<Handlers>(handlers)...};
  if (has(detail::kError)) [[unlikely]]
    return handle(failed_change(record_));
  switch (record_.filter) {
    case detail::kRead:
      return handle(readable_event(record_));
    case detail::kWrite:
      return handle(writable_event(record_));
    case detail::kEmpty:
      return handle(drained_event(record_));
    case detail::kExcept:
      return handle(urgent_event(record_));
    case detail::kVnode:
      return handle(file_event(record_));
    case detail::kProc:
    case detail::kProcdesc:
      return handle(child_event(record_));
    case detail::kSignal:
      return handle(signal_event(record_));
    case detail::kTimer:
      return handle(timer_event(record_));
    case detail::kFs:
      return handle(mount_event(record_));
    case detail::kUser:
      return handle(user_event(record_));
    case detail::kAio:
      return handle(transfer_event(record_));
    default:
      return handle(other_event(record_));
  }
}

}  // namespace v0
}  // namespace quay

#endif  // QUAY_EVENTS_HPP_
