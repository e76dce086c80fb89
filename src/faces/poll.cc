// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay_poll: poll() among whose descriptors may be objects that only we can see into.
// Contract: include/quay/quay.h; poll(2). Owners that keep their readiness from the kernel answer
//           descriptor_owner::poll() and announce changes by descriptor_table::changed().
// Ownership: a waiting call's record lives in its frame, its descriptors as long as the call.
// Locking: waiters_lock (a leaf) guards the list of waiting calls.
// Wakeups: a call joins the list, looks at everything once more, then sleeps in the kernel on its
//          bell and on every descriptor that the kernel can answer for. The bell is an epoll set with
//          the eventfd that announcements ring, and with the edges of the rest.
#include <poll.h>
#include <quay/quay.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>
#include <new>

#include "faces/first_use.hpp"
#include "faces/hook_points.hpp"
#include "faces/process_system.hpp"
#include "host/linux_host.hpp"
#include "host/pipes.hpp"
#include "host/plain_calls.hpp"

namespace {

using quay::core::descriptor_owner;
using quay::faces::descriptors;

constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::int64_t kSecond = 1000 * kMillisecond;
constexpr timespec kNow{0, 0};

struct waiter {
  const pollfd* fds;
  nfds_t count;
  int bell;  // an eventfd
  waiter* next;
};

quay::core::mutex waiters_lock{quay::core::rank::arena};
waiter* waiters QUAY_GUARDED_BY(waiters_lock) = nullptr;

// Hears of changes on behalf of all waiting calls; owns no descriptor.
class listener final : public descriptor_owner {
 public:
  long read(int, const iovec*, int) noexcept override { return kAskKernel; }
  long write(int, const iovec*, int) noexcept override { return kAskKernel; }
  int stat(int, struct stat&) noexcept override { return kAskKernel; }
  int ioctl(int, unsigned long, void*) noexcept override { return kAskKernel; }
  int fcntl(int, int, void*) noexcept override { return kAskKernel; }
  int poll(int, short) noexcept override { return kAskKernel; }
  void closing(int) noexcept override {}
  void closed(int fd) noexcept override { changed(fd); }
  void duplicated(int, int) noexcept override {}
  void before_fork() noexcept override QUAY_NO_ANALYSIS { waiters_lock.lock(); }
  void after_fork_in_parent() noexcept override QUAY_NO_ANALYSIS { waiters_lock.unlock(); }
  // The threads that waited are the parent's.
  void after_fork_in_child() noexcept override QUAY_NO_ANALYSIS {
    waiters_lock.reset_after_fork();
    waiters = nullptr;
  }

  void changed(int fd) noexcept override {
    const quay::core::guard hold(waiters_lock);
    for (const waiter* w = waiters; w != nullptr; w = w->next) {
      for (nfds_t i = 0; i < w->count; ++i) {
        if (w->fds[i].fd != fd) continue;
        constexpr eventfd_t kRing = 1;
        quay::host::plain::write(w->bell, &kRing, sizeof kRing);
        break;
      }
    }
  }
};

void enlist() noexcept {
  static constinit quay::faces::first_use<listener> only;
  only.get([](void* storage) {
    auto* made = ::new (storage) listener;
    descriptors().enroll(*made);
    return made;
  });
}

class waiting {
 public:
  waiting(const pollfd* fds, nfds_t count) noexcept
      : me_{fds, count, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), nullptr},
        set_(epoll_create1(EPOLL_CLOEXEC)) {
    if (me_.bell < 0 || set_ < 0) return;
    hear(me_.bell, EPOLLIN | EPOLLET);
    for (nfds_t i = 0; i < count; ++i) {
      descriptor_owner* owner = descriptors().owner_of(fds[i].fd);
      if (owner == nullptr) continue;
      descriptors().watch(fds[i].fd);
      if (owner->kernel_hints(fds[i].fd, fds[i].events) != fds[i].events) {
        hear(fds[i].fd, EPOLLIN | EPOLLOUT | EPOLLET);
      }
    }
    const quay::core::guard hold(waiters_lock);
    me_.next = waiters;
    waiters = &me_;
  }
  ~waiting() {
    if (bell() >= 0) {
      const quay::core::guard hold(waiters_lock);
      waiter** at = &waiters;
      while (*at != &me_) at = &(*at)->next;
      *at = me_.next;
    }
    for (const int fd : {me_.bell, set_}) {
      if (fd >= 0) quay::host::linux_host::instance().discard(fd);
    }
  }
  waiting(const waiting&) = delete;
  waiting& operator=(const waiting&) = delete;
  // Readable when somebody should look again; -1: there was no descriptor left for it.
  int bell() const noexcept { return me_.bell >= 0 ? set_ : -1; }
  void heard() const noexcept {
    epoll_event edges[16];
    while (quay::host::linux_host::instance().set_wait(set_, edges, 16, 0) == 16) {
    }
  }

 private:
  void hear(int fd, std::uint32_t what) const noexcept {
    epoll_event e{};
    e.events = what;
    epoll_ctl(set_, EPOLL_CTL_ADD, fd, &e);  // a number that stands twice is heard once
  }

  waiter me_;
  int set_;
};

bool is_ours(int fd) noexcept { return descriptors().owner_of(fd) != nullptr; }

// Whether an owner answers for the entry itself; then `answer` is what it shows.
bool answered(const pollfd& entry, int& answer) noexcept {
  descriptor_owner* owner = descriptors().owner_of(entry.fd);
  if (owner == nullptr) return false;
  answer = owner->poll(entry.fd, entry.events);
  return answer != descriptor_owner::kAskKernel && answer >= 0;
}

// Whoever waits has to be heard of: asking is what makes an owner announce. Who asks for neither
// direction still waits for the end.
void listen_to(const pollfd& entry) noexcept {
  descriptor_owner* owner = descriptors().owner_of(entry.fd);
  if (owner == nullptr) return;
  quay::core::observation ignored;
  const bool room = (entry.events & (POLLOUT | POLLWRNORM)) != 0;
  const bool bytes = (entry.events & (POLLIN | POLLRDNORM)) != 0;
  if (bytes || !room) owner->observe(entry.fd, false, ignored);
  if (room) owner->observe(entry.fd, true, ignored);
}

// One look: what owners say, and the kernel's answer for the rest, waiting up to `timeout` for
// that if no owner has anything. `asked` has room for one entry more than fds, for the bell.
// How many are ready, or -errno. A point of cancellation, as poll() is.
int look(pollfd* fds, nfds_t n, pollfd* asked, int bell, const timespec* timeout,
         const sigset_t* mask) {
  int ready = 0;
  for (nfds_t i = 0; i < n; ++i) {
    asked[i] = fds[i];
    fds[i].revents = 0;
    if (bell >= 0) listen_to(fds[i]);
    int found = 0;
    if (!answered(fds[i], found)) continue;
    asked[i].events = descriptors().owner_of(fds[i].fd)->kernel_hints(fds[i].fd, fds[i].events);
    fds[i].revents = static_cast<short>(found);
    if (found != 0) ++ready;
  }
  asked[n] = {bell, POLLIN, 0};
  const int known = quay::host::await_poll(asked, n + 1, ready != 0 ? &kNow : timeout, mask);
  if (known < 0) return known;
  for (nfds_t i = 0; i < n; ++i) {
    int found = 0;
    if (answered(fds[i], found)) continue;  // its kernel side is a hint: the next look tells
    fds[i].revents = asked[i].revents;
    if (fds[i].revents != 0) ++ready;
  }
  return ready;
}

std::int64_t now() noexcept {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * kSecond + t.tv_nsec;
}

// What is longer than a clock can count is as long as that.
std::int64_t nanoseconds(const timespec& t) noexcept {
  std::int64_t all = 0;
  const bool over = __builtin_mul_overflow(std::int64_t{t.tv_sec}, kSecond, &all) ||
                    __builtin_add_overflow(all, std::int64_t{t.tv_nsec}, &all);
  return over ? INT64_MAX : all;
}

// As ppoll(2), or -errno.
int wait(pollfd* fds, nfds_t n, const timespec* timeout, const sigset_t* mask) {
  enlist();
  constexpr nfds_t kInFrame = 64;
  pollfd frame[kInFrame + 1];
  std::unique_ptr<pollfd[]> heap;
  if (n > kInFrame) heap.reset(new (std::nothrow) pollfd[n + 1]);
  pollfd* asked = n > kInFrame ? heap.get() : frame;
  if (asked == nullptr) return -ENOMEM;
  const bool once = timeout != nullptr && timeout->tv_sec == 0 && timeout->tv_nsec == 0;
  if (const int ready = look(fds, n, asked, -1, &kNow, mask); ready != 0 || once) return ready;

  const waiting here(fds, n);
  if (here.bell() < 0) return -errno;
  const std::int64_t start = now();
  const std::int64_t most = timeout != nullptr ? nanoseconds(*timeout) : INT64_MAX;
  for (;;) {
    const std::int64_t left = std::max<std::int64_t>(most - (now() - start), 0);
    const timespec rest{static_cast<time_t>(left / kSecond), static_cast<long>(left % kSecond)};
    const int ready = look(fds, n, asked, here.bell(), timeout != nullptr ? &rest : nullptr, mask);
    if (ready != 0) return ready;
    here.heard();
    if (now() - start >= most) return look(fds, n, asked, -1, &kNow, mask);
  }
}

}  // namespace

int quay_hook_poll(pollfd* fds, nfds_t n, const quay_hook_time* timeout, const sigset_t* mask) {
  const std::size_t size = n * sizeof *fds;
  const bool usable = quay::host::linux_host::instance().writable_prefix(fds, size) == size;
  bool any = false;
  for (nfds_t i = 0; usable && i < n && !any; ++i) any = is_ours(fds[i].fd);
  if (!any) return descriptor_owner::kAskKernel;
  timespec longest{};
  if (timeout != nullptr) {
    if (timeout->seconds < 0 || timeout->nanoseconds < 0 || timeout->nanoseconds >= kSecond) {
      return -EINVAL;
    }
    longest = {static_cast<time_t>(timeout->seconds), static_cast<long>(timeout->nanoseconds)};
  }
  return wait(fds, n, timeout != nullptr ? &longest : nullptr, mask);
}

int quay_poll(struct pollfd* fds, nfds_t n, int timeout_ms) {
  const quay_hook_time timeout{timeout_ms / 1000, timeout_ms % 1000 * kMillisecond};
  const int result = quay_hook_poll(fds, n, timeout_ms >= 0 ? &timeout : nullptr, nullptr);
  if (result == descriptor_owner::kAskKernel) return poll(fds, n, timeout_ms);
  if (result >= 0) return result;
  errno = -result;
  return -1;
}
