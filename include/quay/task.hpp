// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay::task<T>, a coroutine that runs when it is awaited and gives its result, or its exception, to who awaits it.
// Contract: begins at co_await, not before; is awaited once. Ending resumes the awaiting coroutine without growing the
//           stack.
// Ownership: the task owns its coroutine; a task that is destroyed takes what it was doing with it.
#ifndef QUAY_TASK_HPP_
#define QUAY_TASK_HPP_

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace quay {
inline namespace v0 {

template <class T = void>
class task;

namespace detail {

struct task_promise_base {
  struct resume_awaiting {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
      return ended.promise().awaiting;
    }
    void await_resume() const noexcept {}
  };
  std::suspend_always initial_suspend() const noexcept { return {}; }
  resume_awaiting final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { error = std::current_exception(); }

  std::coroutine_handle<> awaiting = std::noop_coroutine();
  std::exception_ptr error;
};

template <class T>
struct task_promise : task_promise_base {
  task<T> get_return_object() noexcept;
  template <class U>
  void return_value(U&& value) {
    result.emplace(std::forward<U>(value));
  }
  T take() { return std::move(*result); }

  std::optional<T> result;
};

template <>
struct task_promise<void> : task_promise_base {
  task<void> get_return_object() noexcept;
  void return_void() const noexcept {}
  void take() const noexcept {}
};

}  // namespace detail

template <class T>
class [[nodiscard]] task {
 public:
  using promise_type = detail::task_promise<T>;

  explicit task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}
  task(task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  task& operator=(task&& other) noexcept {
    std::swap(coroutine_, other.coroutine_);
    return *this;
  }
  ~task() {
    if (coroutine_) coroutine_.destroy();
  }

  auto operator co_await() && noexcept {
    struct awaiter {
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) const noexcept {
        coroutine.promise().awaiting = awaiting;
        return coroutine;
      }
      T await_resume() const {
        if (coroutine.promise().error) std::rethrow_exception(coroutine.promise().error);
        return coroutine.promise().take();
      }
      std::coroutine_handle<promise_type> coroutine;
    };
    return awaiter{coroutine_};
  }

 private:
  std::coroutine_handle<promise_type> coroutine_;
};

namespace detail {
template <class T>
task<T> task_promise<T>::get_return_object() noexcept {
  return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}
inline task<void> task_promise<void>::get_return_object() noexcept {
  return task<void>(std::coroutine_handle<task_promise>::from_promise(*this));
}
}  // namespace detail

}  // namespace v0
}  // namespace quay

#endif  // QUAY_TASK_HPP_
