// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay::scheduler, tasks that wait on one queue:
//
//   quay::task<> echo(quay::scheduler& q, int fd) {
//     const quay::readable_event r = co_await q.readable(fd);
//     ...
//     co_await q.after(1s);
//     if (const auto more = co_await q.readable(fd).within(250ms)) ...  // std::optional: empty when the time was over
//   }
//   quay::scheduler q;
//   q.spawn(echo(q, fd));
//   q.run();  // in one thread or in several
//
// Contract: each co_await is one registration, which its event ends; a refused one is a std::system_error there. A
//           registration is known by its kind and descriptor, process or signal, so no two tasks may wait for the same
//           at the same time; of timers, within() among them, there may be as many as kq_calloutmax allows
//           (quay_tunable_set). An event that has come is never lost to the time. A descriptor that a task waits for is
//           not to be closed: nothing wakes the task then, no time either.
// Ownership: the scheduler owns spawned tasks; those that have not ended when it is destroyed are destroyed then. No
//            thread may be in run() at that time.
// Locking: mutex_ guards the list of tasks and their end. A task runs in one thread at a time; what is between its
//          suspension and its resumption in another thread is ordered by the queue.
#ifndef QUAY_SCHEDULER_HPP_
#define QUAY_SCHEDULER_HPP_

#include <quay/detail/awaiters.hpp>
#include <quay/kqueue.hpp>
#include <quay/task.hpp>

#include <array>
#include <atomic>
#include <coroutine>
#include <exception>
#include <mutex>

namespace quay {
inline namespace v0 {
class scheduler {
 public:
  scheduler() { queue_.add(end_); }
  scheduler(const scheduler&) = delete;
  scheduler& operator=(const scheduler&) = delete;
  ~scheduler() {
    while (first_ != nullptr) {
      root* r = first_;
      first_ = r->next;
      std::coroutine_handle<root>::from_promise(*r).destroy();
    }
  }

  // Begins a task in this thread; after its first co_await it goes on wherever run() is.
  void spawn(task<> work) {
    const std::coroutine_handle<root> begun = launch(*this, std::move(work)).coroutine;
    link(begun.promise());
    begun.resume();
  }

  // Resumes tasks until all have ended, one has failed, or stop(). The exception of a failed task is
  // thrown by one of the threads in run().
  void run() {
    std::array<event, 16> room;
    const running here(runners_);
    while (!over()) {
      // Several threads share what happens; one takes what there is.
      for (const event& e : queue_.wait({room.data(), runners_ > 1 ? 1 : room.size()})) {
        auto* const next = e.tag<detail::expectant>();
        if (next == nullptr) continue;  // the end, or a look whether it is
        next->arrived(e.native());
      }
    }
    const std::lock_guard hold(mutex_);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

  // Every run() returns; tasks stay where they are. For good.
  void stop() {
    const std::lock_guard hold(mutex_);
    stopped_ = true;
    queue_.trigger(kEnd);
  }

  // --- to co_await; each gives the interest's event, and .within(time) that or nothing ---------
  template <class Interest>
  [[nodiscard]] detail::awaiter<Interest> on(const Interest& what) {
    return {queue_, what};
  }
  [[nodiscard]] auto readable(int fd) { return on(quay::readable(fd)); }
  [[nodiscard]] auto writable(int fd) { return on(quay::writable(fd)); }
  [[nodiscard]] auto file(int fd, file_change changes) { return on(quay::file(fd, changes)); }
  [[nodiscard]] auto child(pid_t pid) { return on(quay::child(pid)); }
  [[nodiscard]] auto signal(int number) { return on(quay::signal(number)); }
  template <class Rep, class Period>
  [[nodiscard]] auto after(std::chrono::duration<Rep, Period> delay) {
    return on(quay::after(delay, 0));
  }
  template <class Duration>
  [[nodiscard]] auto at(std::chrono::time_point<std::chrono::system_clock, Duration> time) {
    return on(quay::at(time, 0));
  }
  // Lets other tasks have their turn; goes on in any thread that runs.
  [[nodiscard]] auto turn() { return after(std::chrono::nanoseconds(0)); }

 private:
  struct running {
    explicit running(std::atomic<unsigned>& threads) noexcept : count(threads) { ++count; }
    running(const running&) = delete;
    running& operator=(const running&) = delete;
    ~running() { --count; }
    std::atomic<unsigned>& count;
  };

  // The coroutine around a spawned task.
  struct root {
    explicit root(scheduler& s, task<>&) noexcept : owner(s) {}
    struct started {
      using promise_type = root;
      std::coroutine_handle<root> coroutine;
    };
    struct ended {
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<root> self) const noexcept {
        scheduler& s = self.promise().owner;
        s.unlink(self.promise());
        self.destroy();
        s.one_ended();
      }
      void await_resume() const noexcept {}
    };
    started get_return_object() noexcept {
      return {std::coroutine_handle<root>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    ended final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { owner.failed(std::current_exception()); }

    scheduler& owner;
    root* next = nullptr;
    root* previous = nullptr;
  };

  static root::started launch(scheduler&, task<> work) { co_await std::move(work); }

  void link(root& r) {
    const std::lock_guard hold(mutex_);
    // The event that ends run() stays ready for all threads; with a first task it is made anew.
    if (live_++ == 0 && !stopped_) queue_.apply({removal(end_), end_});
    r.next = first_;
    if (first_ != nullptr) first_->previous = &r;
    first_ = &r;
  }
  void unlink(root& r) noexcept {
    const std::lock_guard hold(mutex_);
    (r.previous != nullptr ? r.previous->next : first_) = r.next;
    if (r.next != nullptr) r.next->previous = r.previous;
  }
  void one_ended() noexcept {
    const std::lock_guard hold(mutex_);
    if (--live_ == 0) announce_end();
  }
  void failed(std::exception_ptr error) noexcept {
    const std::lock_guard hold(mutex_);
    if (!error_) error_ = std::move(error);
    stopped_ = true;
    announce_end();
  }
  void announce_end() noexcept {
    std::error_code ignored;  // a trigger of what is registered takes nothing that could be lacking
    queue_.trigger(kEnd, 0, ignored);
  }
  bool over() {
    const std::lock_guard hold(mutex_);
    return stopped_ || live_ == 0;
  }

  static constexpr std::uintptr_t kEnd = 0;
  static constexpr user end_ = user(kEnd).latched();

  kqueue queue_;
  std::atomic<unsigned> runners_{0};
  std::mutex mutex_;
  root* first_ = nullptr;  // of all that have not ended
  std::size_t live_ = 0;   // those, and those that are about to say that they have
  bool stopped_ = false;
  std::exception_ptr error_;
};

}  // namespace v0
}  // namespace quay

#endif  // QUAY_SCHEDULER_HPP_
