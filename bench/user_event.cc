// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that a user event posted and fetched by one thread costs a fraction of an
//   eventfd, above all on a private queue, where nobody could see a doorbell.
// Contract: the post and the fetch are two calls on both sides: trigger and get, write and
//   epoll_wait + read.

#include <sys/eventfd.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "support/harness.hpp"
#include "support/queue.hpp"

namespace quay::bench {
namespace {

template <typename Mechanism, typename... Args>
variant_factory post_and_get(batch_sizes size, Args... args) {
  return [=] {
    auto state = std::make_shared<Mechanism>(args...);
    return variant([=](slice& out) {
      run_batches(size, out, [&] {
        state->post();
        state->get();
      });
    });
  };
}

class user_note {
 public:
  explicit user_note(privacy how) : queue_(how) {
    queue_.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR));
  }
  void post() { queue_.apply(trigger_); }
  void get() {
    if (queue_.get_events(&event_, 1, &kNoWait) != 1) throw std::runtime_error("no user event");
  }

 private:
  kernel_queue queue_;
  struct kevent trigger_ = change(1, EVFILT_USER, 0, NOTE_TRIGGER);
  struct kevent event_;
};

class event_descriptor {
 public:
  event_descriptor() : counter_(check(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {
    queue_.control(EPOLL_CTL_ADD, counter_.get(), EPOLLIN);
  }
  void post() {
    const std::uint64_t one = 1;
    if (::write(counter_.get(), &one, sizeof one) != sizeof one) fail("write of an eventfd");
  }
  void get() {
    epoll_event event;
    if (queue_.get_events(&event, 1, 0) != 1) throw std::runtime_error("no eventfd event");
    std::uint64_t count;
    if (::read(event.data.fd, &count, sizeof count) != sizeof count) fail("read of an eventfd");
  }

 private:
  epoll_queue queue_;
  unique_fd counter_;
};

bench_case make_case(const std::string& name, privacy how, double target) {
  return {name, [=](context& ctx) {
            pin_to_last();
            const batch_sizes size = ctx.sized(batch_sizes{4, 200}, batch_sizes{2, 20, 0});
            comparison row;
            row.name = name;
            row.subject = how == privacy::exclusive ? "EVFILT_USER trigger + get, private queue"
                                                    : "EVFILT_USER trigger + get, pollable queue";
            row.baseline = "eventfd write + epoll_wait + read";
            row.target = target;
            row.repetitions = 500;
            row.ours = post_and_get<user_note>(size, how);
            row.base = post_and_get<event_descriptor>(size);
            ctx.compare(row);
            if (!ctx.extra()) return;
            // Locks that a process with one thread can do without are back.
            std::atomic<bool> done{false};
            std::thread idle([&] { done.wait(false); });
            row.name = name + ".threaded";
            row.subject += ", another thread exists";
            row.target.reset();
            ctx.compare(row);
            done = true;
            done.notify_all();
            idle.join();
          }};
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "A user event posted and fetched by one thread against an eventfd",
                    {make_case("user.same_thread.private", privacy::exclusive, 0.06),
                     make_case("user.same_thread.pollable", privacy::pollable, 0.5)});
}
