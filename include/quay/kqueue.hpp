// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay::kqueue, one queue for everything a program waits for.
// Contract: kqueue(2), through kevent() and nothing beside it: a call here is one call there. The queue is private,
//           which makes user events and timers cheap, until native_handle() is asked for; from then on it can be polled
//           and watched by other queues. Any number of threads may use one queue. Waiting is a point of cancellation,
//           hence no waiting call is noexcept.
//
//   quay::kqueue q;
//   q.apply({quay::readable(0), quay::every(1s), quay::signal(SIGHUP)});
//   std::array<quay::event, 16> room;
//   for (const quay::event& e : q.wait(room)) {
//     e.visit([](const quay::readable_event& r) { ... r.bytes() ... },
//             [](const quay::timer_event& t) { ... },
//             [](const auto&) {});
//   }
// Ownership: the queue ends with the object. A child of fork() has no queue.
#ifndef QUAY_KQUEUE_HPP_
#define QUAY_KQUEUE_HPP_

#include <fcntl.h>
#include <quay/descriptor.hpp>
#include <quay/detail/interface.hpp>
#include <quay/events.hpp>
#include <quay/interests.hpp>

#include <initializer_list>
#include <span>

namespace quay {
inline namespace v0 {

// Whose kqueue it behaves like.
enum class dialect {
  freebsd = QUAY_DIALECT_FREEBSD,
  netbsd = QUAY_DIALECT_NETBSD,
  dragonfly = QUAY_DIALECT_DRAGONFLY,
  openbsd = QUAY_DIALECT_OPENBSD,
};

class kqueue {
 public:
  explicit kqueue(dialect rules = dialect::freebsd) : kqueue(make(rules)) {
    detail::checked(queue_.get(), "kqueue");
  }
  // The form that does not throw: without a queue when `error` is set.
  [[nodiscard]] static kqueue open(dialect rules, std::error_code& error) noexcept {
    kqueue made = make(rules);
    detail::settled(made.queue_.get(), error);
    return made;
  }
  // Takes over a queue that was made by kqueue() or its like.
  [[nodiscard]] static kqueue adopt(int queue) noexcept { return kqueue(descriptor(queue)); }

  explicit operator bool() const noexcept { return bool(queue_); }

  // The queue's descriptor; the queue is not private any more.
  [[nodiscard]] int native_handle() const noexcept {
    ::quay_expose(queue_.get());
    return queue_.get();
  }

  // Applies changes in order, up to the first that fails.
  void apply(std::span<const change> changes) { detail::checked(submit(changes), "kqueue::apply"); }
  void apply(std::initializer_list<change> changes) { apply(as_span(changes)); }
  void apply(std::span<const change> changes, std::error_code& error) noexcept {
    detail::settled(submit(changes), error);
  }
  void apply(std::initializer_list<change> changes, std::error_code& error) noexcept {
    apply(as_span(changes), error);
  }

  // One change: add(readable(fd)), remove(readable(fd)), trigger(id).
  void add(const change& interest) { apply({&interest, 1}); }
  void add(const change& interest, std::error_code& error) noexcept {
    apply({&interest, 1}, error);
  }
  template <class Self>
  void remove(const detail::interest<Self>& what) {
    add(removal(what));
  }
  template <class Self>
  void remove(const detail::interest<Self>& what, std::error_code& error) noexcept {
    add(removal(what), error);
  }
  template <class Self>
  void enable(const detail::interest<Self>& what) {
    add(enabling(what));
  }
  template <class Self>
  void enable(const detail::interest<Self>& what, std::error_code& error) noexcept {
    add(enabling(what), error);
  }
  template <class Self>
  void disable(const detail::interest<Self>& what) {
    add(disabling(what));
  }
  template <class Self>
  void disable(const detail::interest<Self>& what, std::error_code& error) noexcept {
    add(disabling(what), error);
  }
  void trigger(std::uintptr_t id, std::intptr_t value = 0) { add(quay::trigger(id, value)); }
  void trigger(std::uintptr_t id, std::intptr_t value, std::error_code& error) noexcept {
    add(quay::trigger(id, value), error);
  }

  // Waits until there are events and takes them, as many as there is room for: the part of `room`
  // that was filled. It is empty when the time is over, and when a signal handler ended the wait
  // (which is errc::interrupted to the form that does not throw).
  std::span<const event> wait(std::span<event> room) {
    return filled(room, call({}, room, nullptr));
  }
  template <class Rep, class Period>
  std::span<const event> wait(std::span<event> room, std::chrono::duration<Rep, Period> longest) {
    return exchange({}, room, longest);
  }
  std::span<const event> wait(std::span<event> room, std::error_code& error) {
    return filled(room, call({}, room, nullptr), error);
  }
  template <class Rep, class Period>
  std::span<const event> wait(std::span<event> room, std::chrono::duration<Rep, Period> longest,
                              std::error_code& error) {
    return exchange({}, room, longest, error);
  }
  // Takes what is there, without waiting.
  std::span<const event> poll(std::span<event> room) { return wait(room, std::chrono::seconds(0)); }
  std::span<const event> poll(std::span<event> room, std::error_code& error) {
    return wait(room, std::chrono::seconds(0), error);
  }

  // Applies changes, then waits, in one call. A change that fails is a failed_change among the
  // events; with one of those the call does not wait.
  template <class Rep, class Period>
  std::span<const event> exchange(std::span<const change> changes, std::span<event> room,
                                  std::chrono::duration<Rep, Period> longest) {
    const timespec time = detail::to_timespec(detail::to_nanoseconds(longest));
    return filled(room, call(changes, room, &time));
  }
  template <class Rep, class Period>
  std::span<const event> exchange(std::span<const change> changes, std::span<event> room,
                                  std::chrono::duration<Rep, Period> longest,
                                  std::error_code& error) {
    const timespec time = detail::to_timespec(detail::to_nanoseconds(longest));
    return filled(room, call(changes, room, &time), error);
  }

 private:
  explicit kqueue(descriptor queue) noexcept : queue_(std::move(queue)) {}
  static kqueue make(dialect rules) noexcept {
    return adopt(::quay_kqueue(static_cast<int>(rules), O_CLOEXEC | QUAY_PRIVATE));
  }
  static std::span<const change> as_span(std::initializer_list<change> changes) noexcept {
    return {changes.begin(), changes.size()};
  }
  int call(std::span<const change> changes, std::span<event> room, const timespec* longest) {
    return detail::quay_face_kevent(queue_.get(), changes.data(), static_cast<int>(changes.size()),
                                    room.data(), static_cast<int>(room.size()), longest);
  }
  int submit(std::span<const change> changes) { return call(changes, {}, nullptr); }
  static std::span<const event> filled(std::span<event> room, int count) {
    if (count < 0 && errno == EINTR) return {};
    return room.first(static_cast<std::size_t>(detail::checked(count, "kqueue::wait")));
  }
  static std::span<const event> filled(std::span<event> room, int count,
                                       std::error_code& error) noexcept {
    if (detail::settled(count, error) < 0) return {};
    return room.first(static_cast<std::size_t>(count));
  }

  descriptor queue_;
};

}  // namespace v0
}  // namespace quay

#endif  // QUAY_KQUEUE_HPP_
