// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promises that a signal seen through EVFILT_SIGNAL costs about what one read from a
//   signalfd costs, and that a signal which no queue watches costs what it always did.
// Contract: posting is part of both sides: kill and kevent against kill, epoll_wait and read. The
//   subject's signal is ignored or handled, as in a BSD program; the baseline's is blocked, as a
//   signalfd needs it.

#include <dlfcn.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "support/harness.hpp"
#include "support/queue.hpp"

namespace quay::bench {
namespace {

template <typename Mechanism, typename... Args>
variant_factory post_and_get(batch_sizes size, Args... args) {
  return [=] {
    auto state = std::make_shared<Mechanism>(args...);
    return variant([=](slice& out) { run_batches(size, out, [&] { state->once(); }); });
  };
}

void nothing(int) {}

class signal_note {
 public:
  signal_note(privacy how, bool handled) : queue_(how) {
    signal(SIGUSR1, handled ? nothing : SIG_IGN);
    queue_.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_ADD));
  }
  ~signal_note() { signal(SIGUSR1, SIG_IGN); }
  void once() {
    kill(getpid(), SIGUSR1);
    if (queue_.get_events(&event_, 1, &kNoWait) != 1) throw std::runtime_error("no signal event");
  }

 private:
  kernel_queue queue_;
  struct kevent event_;
};

class signal_descriptor {
 public:
  signal_descriptor() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set_, nullptr);
    file_ = unique_fd(check(signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
    queue_.control(EPOLL_CTL_ADD, file_.get(), EPOLLIN);
  }
  void once() {
    kill(getpid(), SIGUSR2);
    epoll_event event;
    if (queue_.get_events(&event, 1, 0) != 1) throw std::runtime_error("no signalfd event");
    signalfd_siginfo record;
    if (::read(event.data.fd, &record, sizeof record) != sizeof record) fail("read of a signalfd");
  }

 private:
  sigset_t set_;
  epoll_queue queue_;
  unique_fd file_;
};

// A handler that no queue knows of, set through the hooks or past them.
class plain_handler {
 public:
  plain_handler(int number, bool past_hooks) : number_(number) {
    struct sigaction act {};
    act.sa_handler = nothing;
    using function = int (*)(int, const struct sigaction*, struct sigaction*);
    void* libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    if (libc == nullptr) throw std::runtime_error("libc.so.6 is not loaded");
    const auto set = past_hooks ? reinterpret_cast<function>(dlsym(libc, "sigaction")) : sigaction;
    check(set(number, &act, nullptr), "sigaction");
  }
  void once() { kill(getpid(), number_); }

 private:
  const int number_;
};

bench_case seen(const std::string& name, privacy how, bool handled) {
  return {name, [=](context& ctx) {
            pin_to_last();
            const batch_sizes size = ctx.sized(batch_sizes{4, 200}, batch_sizes{2, 20, 0});
            comparison row;
            row.name = name;
            row.subject = std::string("kill + kevent, EVFILT_SIGNAL, ") +
                          (handled ? "handled" : "ignored") +
                          (how == privacy::exclusive ? ", private queue" : ", pollable queue");
            row.baseline = "kill + epoll_wait + signalfd read";
            row.target = 1.1;
            row.repetitions = 300;
            row.ours = post_and_get<signal_note>(size, how, handled);
            row.base = post_and_get<signal_descriptor>(size);
            ctx.compare(row);
          }};
}

bench_case unwatched() {
  return {"signal.unwatched", [](context& ctx) {
            pin_to_last();
            const batch_sizes size = ctx.sized(batch_sizes{4, 200}, batch_sizes{2, 20, 0});
            kernel_queue queue;  // the library is in use; nobody watches these signals
            comparison row;
            row.name = "signal.unwatched";
            row.subject = "kill + handler set through the hooks";
            row.baseline = "kill + handler set through libc";
            row.target = 1.02;
            row.repetitions = 300;
            row.ours = post_and_get<plain_handler>(size, SIGUSR1, false);
            row.base = post_and_get<plain_handler>(size, SIGUSR2, true);
            ctx.compare(row);
          }};
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "A signal through EVFILT_SIGNAL against a signalfd",
                    {seen("signal.ignored.private", privacy::exclusive, false),
                     seen("signal.ignored.pollable", privacy::pollable, false),
                     seen("signal.handled.pollable", privacy::pollable, true), unwatched()});
}
