// SPDX-License-Identifier: BSD-2-Clause
//
// What: what a coroutine waits with on a scheduler's queue: for one event, or for one event or a time.
// Contract: a wait is made of one-shot registrations whose tag is an `expectant`; each is told of its event by whatever
//           thread takes it from the queue.
// Invariants: 1. A coroutine is resumed once for each wait: by its event, or by the time if the event's registration was
//                still there to be removed. An event that somebody has already taken from the queue comes before the time,
//                also where that time was seen first.
//             2. After its registration nothing of a suspended coroutine's frame is touched: another thread may have
//                resumed it.
// Ownership: a `wait_or_time` outlives its coroutine's wait by as long as the other registration's event is on its way; it is
//            counted by the coroutine and by each registration that is yet to be heard of or removed.
// Locking: wait_or_time::mutex_ makes the two registrations, and each one's arrival, indivisible. kevent() is called under
//          it, nothing is resumed.
#ifndef QUAY_DETAIL_AWAITERS_HPP_
#define QUAY_DETAIL_AWAITERS_HPP_

#include <quay/kqueue.hpp>

#include <atomic>
#include <coroutine>
#include <mutex>
#include <optional>

namespace quay {
inline namespace v0 {
namespace detail {

class expectant {
 public:
  virtual void arrived(const record& event) = 0;

 protected:
  expectant() = default;
  expectant(const expectant&) = default;
  expectant& operator=(const expectant&) = default;
  ~expectant() = default;
};

template <class Interest>
struct event_of;
template <>
struct event_of<readable> {
  using type = readable_event;
};
template <>
struct event_of<writable> {
  using type = writable_event;
};
template <>
struct event_of<drained> {
  using type = drained_event;
};
template <>
struct event_of<urgent> {
  using type = urgent_event;
};
template <>
struct event_of<file> {
  using type = file_event;
};
template <>
struct event_of<child> {
  using type = child_event;
};
template <>
struct event_of<child_of> {
  using type = child_event;
};
template <>
struct event_of<signal> {
  using type = signal_event;
};
template <>
struct event_of<mounts> {
  using type = mount_event;
};
template <>
struct event_of<user> {
  using type = user_event;
};
template <>
struct event_of<after> {
  using type = timer_event;
};
template <>
struct event_of<at> {
  using type = timer_event;
};

// The registration of `what` that ends with its first event, which goes to `who`. Timers have identifiers of their own: the
// address of who waits.
template <class Interest>
record registration(const Interest& what, expectant& who) noexcept {
  record wanted = change(what.once().tag(&who)).native();
  if (wanted.filter == kTimer) wanted.ident = reinterpret_cast<std::uintptr_t>(&who);
  return wanted;
}

// Whether it was still there.
inline bool withdraw(kqueue& queue, record wanted) noexcept {
  wanted.flags = kDelete;
  std::error_code error;
  queue.add(change(wanted), error);
  return !error;
}

// An event, and the end of a time.
class wait_or_time {
 public:
  // Both registrations; false, and nothing is left of them, when one was refused.
  template <class Interest>
  bool begin(kqueue& queue, const Interest& what, std::chrono::nanoseconds longest,
             std::coroutine_handle<> self, std::error_code& error) noexcept {
    bool begun = false;
    {
      const std::lock_guard hold(mutex_);
      queue_ = &queue;
      coroutine_ = self;
      event_ = registration(what, by_event_);
      time_ = registration(after(longest, 0), by_time_);
      users_ += 3;  // this call, and the two
      begun = add_both(error);
    }
    drop();
    return begun;
  }
  const std::optional<record>& happened() const noexcept { return happened_; }

  // The coroutine's own end of it. One that is destroyed while it waits takes its registrations along.
  void leave() noexcept {
    {
      const std::lock_guard hold(mutex_);
      if (!over_ && queue_ != nullptr) {
        over_ = true;
        if (withdraw(*queue_, event_)) --users_;
        if (withdraw(*queue_, time_)) --users_;
      }
    }
    drop();
  }

 private:
  struct party : expectant {
    explicit party(wait_or_time& both) noexcept : owner(both) {}
    wait_or_time& owner;
  };
  struct event_party : party {
    using party::party;
    void arrived(const record& event) override { owner.event_arrived(event); }
  };
  struct time_party : party {
    using party::party;
    void arrived(const record&) override { owner.time_arrived(); }
  };

  bool add_both(std::error_code& error) noexcept {
    queue_->add(change(time_), error);
    if (error) {
      users_ -= 2;
    } else {
      queue_->add(change(event_), error);
      if (error) users_ -= withdraw(*queue_, time_) ? 2 : 1;
    }
    over_ = bool(error);
    return !over_;
  }
  void event_arrived(const record& event) {
    bool mine = false;
    {
      const std::lock_guard hold(mutex_);
      mine = !std::exchange(over_, true);
      if (mine) {
        happened_ = event;
        if (withdraw(*queue_, time_)) --users_;
      }
    }
    finish(mine);
  }
  void time_arrived() {
    bool mine = false;
    {
      const std::lock_guard hold(mutex_);
      mine = !over_ && withdraw(*queue_, event_);
      if (mine) {
        over_ = true;
        --users_;
      }
    }
    finish(mine);
  }
  void finish(bool resume) {
    const std::coroutine_handle<> self = coroutine_;
    drop();
    if (resume) self.resume();
  }
  void drop() noexcept {
    if (--users_ == 0) delete this;
  }

  std::mutex mutex_;
  std::atomic<int> users_{1};
  kqueue* queue_ = nullptr;
  std::coroutine_handle<> coroutine_;
  record event_;
  record time_;
  event_party by_event_{*this};
  time_party by_time_{*this};
  bool over_ = false;               // guarded by mutex_
  std::optional<record> happened_;  // written before the coroutine is resumed, read after
};

template <class Interest>
class timed_awaiter {
 public:
  using event_type = typename event_of<Interest>::type;

  timed_awaiter(kqueue& queue, const Interest& what, std::chrono::nanoseconds longest)
      : queue_(queue), what_(what), longest_(longest) {}
  timed_awaiter(const timed_awaiter&) = delete;
  timed_awaiter& operator=(const timed_awaiter&) = delete;
  ~timed_awaiter() { wait_->leave(); }

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> self) noexcept {
    return wait_->begin(queue_, what_, longest_, self, error_);
  }
  std::optional<event_type> await_resume() const {
    if (error_) raise(error_, "co_await");
    if (!wait_->happened()) return std::nullopt;
    return event_type(*wait_->happened());
  }

 private:
  kqueue& queue_;
  const Interest what_;
  const std::chrono::nanoseconds longest_;
  wait_or_time* const wait_ = new wait_or_time;
  std::error_code error_;
};

template <class Interest>
class awaiter : expectant {
 public:
  awaiter(kqueue& queue, const Interest& what) noexcept : queue_(queue), what_(what) {}
  awaiter(const awaiter&) = delete;
  awaiter& operator=(const awaiter&) = delete;

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> self) noexcept {
    coroutine_ = self;
    std::error_code error;
    queue_.add(change(registration(what_, *this)), error);
    if (error) error_ = error;
    return !error;
  }
  typename event_of<Interest>::type await_resume() const {
    if (error_) raise(error_, "co_await");
    return typename event_of<Interest>::type(happened_);
  }

  // The same wait, for no longer than this: a std::optional, empty when the time was over first.
  template <class Rep, class Period>
  [[nodiscard]] timed_awaiter<Interest> within(std::chrono::duration<Rep, Period> longest) && {
    return {queue_, what_, to_nanoseconds(longest)};
  }

 private:
  void arrived(const record& event) override {
    happened_ = event;
    coroutine_.resume();
  }

  kqueue& queue_;
  const Interest what_;
  std::coroutine_handle<> coroutine_;
  record happened_;
  std::error_code error_;
};

}  // namespace detail
}  // namespace v0
}  // namespace quay

#endif  // QUAY_DETAIL_AWAITERS_HPP_
