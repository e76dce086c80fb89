// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay::port, an event port of illumos, with what can be associated with it and what comes out of it.
// Contract: port_create(3) and its family; a call here is one call there. An association is for one event: associate
//           again for the next. A port is shared with the children of fork(), and with whom it was sent to. It is
//           private, which makes sending cheap, until native_handle() is asked for.
// Ownership: the port ends with its last object in any process. A watched_file must outlive its association.
#ifndef QUAY_PORT_HPP_
#define QUAY_PORT_HPP_

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <quay/descriptor.hpp>
#include <quay/detail/interface.hpp>
#include <quay/events.hpp>

#include <algorithm>
#include <span>
#include <string>

namespace quay {
inline namespace v0 {

// What a descriptor may be ready for; combined with |. Errors and hang-ups come unasked.
enum class readiness : int {
  none = 0,
  in = POLLIN,
  out = POLLOUT,
  urgent = POLLPRI,
  error = POLLERR,
  hangup = POLLHUP,
};
constexpr readiness operator|(readiness a, readiness b) noexcept {
  return static_cast<readiness>(static_cast<int>(a) | static_cast<int>(b));
}
constexpr readiness operator&(readiness a, readiness b) noexcept {
  return static_cast<readiness>(static_cast<int>(a) & static_cast<int>(b));
}
constexpr bool any(readiness some) noexcept { return some != readiness::none; }

// What may happen to a file's name; combined with |. Those from `removed` on come unasked and end the
// association.
enum class path_change : int {
  none = 0,
  accessed = 0x1,
  modified = 0x2,
  attributes = 0x4,
  truncated = 0x100000,
  no_follow = 0x10000000,  // the name's link itself, not what it points to
  removed = 0x10,
  renamed_over = 0x20,  // another file was renamed to this name
  renamed = 0x40,
  unmounted = 0x20000000,
};
constexpr path_change operator|(path_change a, path_change b) noexcept {
  return static_cast<path_change>(static_cast<int>(a) | static_cast<int>(b));
}
constexpr path_change operator&(path_change a, path_change b) noexcept {
  return static_cast<path_change>(static_cast<int>(a) & static_cast<int>(b));
}
constexpr bool any(path_change some) noexcept { return some != path_change::none; }

// A file by its name. Its address is what the association is known by: it does not move.
class watched_file {
 public:
  explicit watched_file(std::string path) : path_(std::move(path)) { object_.name = path_.data(); }
  // What happened after `last` was taken fires at once.
  watched_file(std::string path, const struct stat& last) : watched_file(std::move(path)) {
    seen(last);
  }
  watched_file(const watched_file&) = delete;
  watched_file& operator=(const watched_file&) = delete;

  void seen(const struct stat& last) noexcept {
    object_.accessed = last.st_atim;
    object_.modified = last.st_mtim;
    object_.changed = last.st_ctim;
  }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::uintptr_t object() const noexcept {
    return reinterpret_cast<std::uintptr_t>(&object_);
  }

 private:
  std::string path_;
  detail::file_object object_;
};

class port_event {
 public:
  port_event() = default;
  explicit port_event(const detail::port_record& native) noexcept : record_(native) {}

  // What was given with the association, the timer or the event.
  [[nodiscard]] void* user() const noexcept { return record_.user; }
  template <class T>
  [[nodiscard]] T* user() const noexcept {
    return static_cast<T*>(record_.user);
  }
  [[nodiscard]] const detail::port_record& native() const noexcept { return record_; }

  // As event::visit().
  template <class... Handlers>
  decltype(auto) visit(Handlers&&... handlers) const;

 private:
  detail::port_record record_;
};

class port_fd_event : public port_event {
 public:
  using port_event::port_event;
  [[nodiscard]] int fd() const noexcept { return static_cast<int>(native().object); }
  [[nodiscard]] readiness ready() const noexcept { return static_cast<readiness>(native().events); }
  [[nodiscard]] bool ready(readiness one_of) const noexcept { return any(ready() & one_of); }
};

class port_file_event : public port_event {
 public:
  using port_event::port_event;
  [[nodiscard]] bool of(const watched_file& file) const noexcept {
    return native().object == file.object();
  }
  [[nodiscard]] path_change changes() const noexcept {
    return static_cast<path_change>(native().events);
  }
  [[nodiscard]] bool has(path_change one_of) const noexcept { return any(changes() & one_of); }
};

class port_user_event : public port_event {  // of port::send()
 public:
  using port_event::port_event;
  [[nodiscard]] int events() const noexcept { return native().events; }
};

class port_timer_event : public port_event {
 public:
  using port_event::port_event;
  [[nodiscard]] int expirations() const noexcept { return native().events; }
};

class port_alert_event : public port_event {
 public:
  using port_event::port_event;
  [[nodiscard]] int events() const noexcept { return native().events; }
};

class port_message_event : public port_event {  // of mq_notify()
 public:
  using port_event::port_event;
};

class port_transfer_event : public port_event {  // of asynchronous I/O
 public:
  using port_event::port_event;
  [[nodiscard]] aiocb* request() const noexcept {
    return reinterpret_cast<aiocb*>(native().object);
  }
};

template <class... Handlers>
decltype(auto) port_event::visit(Handlers&&... handlers) const {
  const detail::overloaded handle{std::forward<Handlers>(handlers)...};
  switch (record_.source) {
    case detail::kSourceFd:
      return handle(port_fd_event(record_));
    case detail::kSourceFile:
      return handle(port_file_event(record_));
    case detail::kSourceTimer:
      return handle(port_timer_event(record_));
    case detail::kSourceAlert:
      return handle(port_alert_event(record_));
    case detail::kSourceMq:
      return handle(port_message_event(record_));
    case detail::kSourceAio:
      return handle(port_transfer_event(record_));
    default:
      return handle(port_user_event(record_));
  }
}

class port {
 public:
  port() : port(make()) { detail::checked(port_.get(), "port"); }
  // The form that does not throw: without a port when `error` is set.
  [[nodiscard]] static port open(std::error_code& error) noexcept {
    port made = make();
    detail::settled(made.port_.get(), error);
    return made;
  }
  [[nodiscard]] static port adopt(int number) noexcept { return port(descriptor(number)); }
  // Between processes, over a connected unix socket; both have the same port then.
  [[nodiscard]] static port receive(int socket) {
    return adopt(detail::checked(::quay_port_receive(socket), "port::receive"));
  }
  void send_to(int socket) const {
    detail::checked(::quay_port_send(socket, port_.get()), "port::send_to");
  }

  explicit operator bool() const noexcept { return bool(port_); }
  // The port's descriptor; the port is not private any more.
  [[nodiscard]] int native_handle() const noexcept {
    ::quay_expose(port_.get());
    return port_.get();
  }

  void associate(int fd, readiness wanted, void* user = nullptr) {
    detail::checked(join(detail::kSourceFd, object(fd), static_cast<int>(wanted), user),
                    "port::associate");
  }
  void associate(int fd, readiness wanted, void* user, std::error_code& error) noexcept {
    detail::settled(join(detail::kSourceFd, object(fd), static_cast<int>(wanted), user), error);
  }
  void associate(const watched_file& file, path_change wanted, void* user = nullptr) {
    detail::checked(join(detail::kSourceFile, file.object(), static_cast<int>(wanted), user),
                    "port::associate");
  }
  void associate(const watched_file& file, path_change wanted, void* user,
                 std::error_code& error) noexcept {
    detail::settled(join(detail::kSourceFile, file.object(), static_cast<int>(wanted), user),
                    error);
  }
  // False: there was no association, or its event has been taken.
  bool dissociate(int fd) { return part(detail::kSourceFd, object(fd)); }
  bool dissociate(const watched_file& file) { return part(detail::kSourceFile, file.object()); }

  // An event of the program's own, from any thread and from signal handlers.
  void send(int events, void* user = nullptr) {
    detail::checked(detail::quay_face_port_send(port_.get(), events, user), "port::send");
  }
  void send(int events, void* user, std::error_code& error) noexcept {
    detail::settled(detail::quay_face_port_send(port_.get(), events, user), error);
  }

  // While a port is alerted every wait returns the alert, and events stay where they are. One that is
  // on is replaced.
  void alert(int events, void* user = nullptr) {
    detail::checked(detail::quay_face_port_alert(port_.get(), detail::kAlertSet, events, user),
                    "port::alert");
  }
  void clear_alert() { alert(0); }

  // Waits until `at_least` events are there and takes as many as there is room for: the part of
  // `room` that was filled. Fewer come when the time is over, none when a signal handler ended the
  // wait (which is errc::interrupted to the form that does not throw).
  std::span<const port_event> wait(std::span<port_event> room, unsigned at_least = 1) {
    return take(room, at_least, nullptr);
  }
  template <class Rep, class Period>
  std::span<const port_event> wait(std::span<port_event> room,
                                   std::chrono::duration<Rep, Period> longest,
                                   unsigned at_least = 1) {
    timespec time = detail::to_timespec(detail::to_nanoseconds(longest));
    return take(room, at_least, &time);
  }
  template <class Rep, class Period>
  std::span<const port_event> wait(std::span<port_event> room,
                                   std::chrono::duration<Rep, Period> longest, unsigned at_least,
                                   std::error_code& error) {
    timespec time = detail::to_timespec(detail::to_nanoseconds(longest));
    return take(room, at_least, &time, error);
  }
  // Takes what is there, without waiting.
  std::span<const port_event> poll(std::span<port_event> room) {
    return wait(room, std::chrono::seconds(0));
  }
  // How many events are queued.
  [[nodiscard]] unsigned queued() {
    unsigned count = 0;
    detail::checked(detail::quay_face_port_getn(port_.get(), nullptr, 0, &count, nullptr),
                    "port::queued");
    return count;
  }

 private:
  friend class port_timer;
  explicit port(descriptor number) noexcept : port_(std::move(number)) {}
  static port make() noexcept {
    return adopt(detail::quay_face_port_create(O_CLOEXEC | QUAY_PRIVATE));
  }
  static std::uintptr_t object(int fd) noexcept { return static_cast<unsigned>(fd); }
  int join(int source, std::uintptr_t what, int events, void* user) noexcept {
    return detail::quay_face_port_associate(port_.get(), source, what, events, user);
  }
  bool part(int source, std::uintptr_t what) {
    const int result = detail::quay_face_port_dissociate(port_.get(), source, what);
    if (result < 0 && errno == ENOENT) return false;
    detail::checked(result, "port::dissociate");
    return true;
  }
  std::span<const port_event> take(std::span<port_event> room, unsigned at_least, timespec* time,
                                   std::error_code& error) {
    unsigned count = at_least;
    const int result = detail::quay_face_port_getn(
        port_.get(), room.data(), static_cast<unsigned>(room.size()), &count, time);
    detail::settled(result, error);
    if (error == std::errc::stream_timeout) error.clear();  // ETIME: these were there
    return error ? std::span<port_event>() : room.first(count);
  }
  std::span<const port_event> take(std::span<port_event> room, unsigned at_least, timespec* time) {
    std::error_code error;
    const std::span<const port_event> taken = take(room, at_least, time, error);
    if (error && error != std::errc::interrupted) detail::raise(error, "port::wait");
    return taken;
  }

  descriptor port_;
};

// A timer whose expirations go to a port.
class port_timer {
 public:
  explicit port_timer(const port& target, void* user = nullptr, clockid_t clock = CLOCK_MONOTONIC) {
    detail::port_notify notify{target.port_.get(), user};
    sigevent how{};
    how.sigev_notify = detail::kSigevPort;
    how.sigev_value.sival_ptr = &notify;
    detail::checked(detail::quay_face_timer_create(clock, &how, &timer_), "port_timer");
    made_ = true;
  }
  port_timer(port_timer&& other) noexcept
      : timer_(other.timer_), made_(std::exchange(other.made_, false)) {}
  port_timer& operator=(port_timer&& other) noexcept {
    std::swap(timer_, other.timer_);
    std::swap(made_, other.made_);
    return *this;
  }
  ~port_timer() {
    if (made_) detail::quay_face_timer_delete(timer_);
  }

  template <class Rep, class Period>
  void expire_after(std::chrono::duration<Rep, Period> delay) {
    set(delay, std::chrono::nanoseconds(0));
  }
  template <class Rep, class Period>
  void expire_every(std::chrono::duration<Rep, Period> period) {
    set(period, period);
  }
  void stop() { arm({}); }

 private:
  template <class Delay, class Period>
  void set(Delay delay, Period period) {
    // An itimerspec of zero stops a timer: at once is one nanosecond.
    const auto first = std::max(detail::to_nanoseconds(delay), std::chrono::nanoseconds(1));
    arm({detail::to_timespec(detail::to_nanoseconds(period)), detail::to_timespec(first)});
  }
  void arm(const itimerspec& value) {
    detail::checked(detail::quay_face_timer_settime(timer_, 0, &value, nullptr), "port_timer::set");
  }

  timer_t timer_{};
  bool made_ = false;
};

}  // namespace v0
}  // namespace quay

#endif  // QUAY_PORT_HPP_
