// SPDX-License-Identifier: BSD-2-Clause
//
// What: the thread of the ring; see ring.hpp.
#include "aio/ring.hpp"

#include <poll.h>

#include <cerrno>

#include "host/linux_host.hpp"
#include "host/transfer.hpp"

namespace quay::aio {
namespace {

constexpr std::int64_t kIdle = 1'000'000'000;
constexpr std::int64_t kLook = 1'000'000;  // how often a ring without descriptor is looked at

// Names in the ring: the token of a request (even), the address of a question and 1, or this.
constexpr std::uint64_t kWake = 0;
constexpr std::uint64_t kQuestion = 1;

bool is_gone(int error) noexcept { return error == -EBADF || error == -EOPNOTSUPP; }

void describe(const request& r, io_uring_sqe& e) noexcept {
  e.fd = r.descriptor;
  if (is_sync(r.op)) {
    e.opcode = IORING_OP_FSYNC;
    e.fsync_flags = r.op == operation::data_sync ? IORING_FSYNC_DATASYNC : 0;
    return;
  }
  const bool in = r.op == operation::read;
  if (r.polling) {
    e.opcode = IORING_OP_POLL_ADD;
    e.poll32_events = static_cast<unsigned>(in ? POLLIN : POLLOUT);
    return;
  }
  e.opcode = in ? IORING_OP_READV : IORING_OP_WRITEV;
  e.addr = reinterpret_cast<std::uintptr_t>(r.parts);
  e.len = static_cast<unsigned>(r.part_count);
  e.off = static_cast<std::uint64_t>(r.stream ? -1 : r.offset);
}

}  // namespace

// --- for submitters -------------------------------------------------------------------------------

bool ring::begin(request& r) noexcept {
  bool starts = false;
  {
    core::guard hold(lock_);
    if (forbidden_ || lost_) return false;
    if (running_ && !wake_locked()) return false;
    jobs_.push(r);
    starts = !running_;
    running_ = true;
    if (starts) opening_.store(kOpening, std::memory_order_relaxed);
  }
  if (starts && host::start_thread(run, this) != 0) return !give_up(r);
  while (opening_.load(std::memory_order_acquire) == kOpening) {
    host::sleep_on(opening_, kOpening, INT64_MAX);
  }
  return true;
}

// There is no thread. What others have queued meanwhile, in the belief that there is, they get back.
bool ring::give_up(request& r) noexcept {
  bool ours = false;
  {
    core::guard hold(lock_);
    ours = jobs_.remove(r);
    lost_ = true;
  }
  opened();
  decline_all();
  core::guard hold(lock_);
  running_ = lost_ = false;
  return ours;
}

void ring::opened() noexcept {
  opening_.store(kSettled, std::memory_order_release);
  host::wake_all(opening_);
}

bool ring::withdraw(request& r) noexcept {
  core::guard hold(lock_);
  return jobs_.remove(r);
}

interruption ring::interrupt(std::uintptr_t token) noexcept {
  question q{token, nullptr, kAsked};
  {
    core::guard hold(lock_);
    if (!running_ || lost_ || !wake_locked()) return interruption::none;
    q.next = questions_;
    questions_ = &q;
  }
  while (q.answer.load(std::memory_order_acquire) == kAsked) {
    host::sleep_on(q.answer, kAsked, INT64_MAX);
  }
  return static_cast<interruption>(q.answer.load(std::memory_order_relaxed));
}

// What is queued under the same lock is found by the thread, which takes the lock to look.
bool ring::wake_locked() noexcept {
  if (!asleep_) return true;
  core::host& os = host::linux_host::instance();
  const int bell = bell_.load(std::memory_order_relaxed);
  if (!os.is_set(bell)) {
    lost_ = true;
    return false;
  }
  asleep_ = false;
  os.ring(bell, false);
  return true;
}

// --- the thread -----------------------------------------------------------------------------------

void* ring::run(void* self) {
  static_cast<ring*>(self)->work();
  return nullptr;
}

bool ring::open() noexcept {
  core::host& os = host::linux_host::instance();
  const int error = ring_.open();
  const int bell = error == 0 ? os.set_create(true) : -1;
  if (error == 0 && bell < 0) ring_.close();
  bell_.store(bell, std::memory_order_relaxed);
  bell_awaited_ = false;
  core::guard hold(lock_);
  forbidden_ = error == ENOSYS || error == EPERM || error == EACCES;
  lost_ = bell < 0;
  return !lost_;
}

void ring::await_bell() noexcept {
  if (bell_awaited_) return;
  io_uring_sqe* e = ring_.entry(kWake);
  if (e == nullptr) return;
  e->opcode = IORING_OP_POLL_ADD;
  e->fd = bell_.load(std::memory_order_relaxed);
  e->poll32_events = POLLIN;
  bell_awaited_ = true;
}

void ring::work() noexcept {
  const bool usable = open();
  opened();
  for (;;) {
    std::int64_t patience = under_way_ > 0 ? -1 : kIdle;
    bool gone = false;
    {
      core::guard hold(lock_);
      if (!lost_) {
        await_bell();
        lost_ = is_gone(submit_locked());
        asleep_ = !lost_;
        // The kernel takes no more for the moment.
        if (!bell_awaited_ || !jobs_.empty() || questions_ != nullptr) patience = kLook;
      }
      gone = lost_;
    }
    if (gone) {
      decline_all();
      if (under_way_ > 0) {
        // The kernel goes on with what it has, and writes the results where we can see them.
        std::atomic<std::uint32_t> nobody{0};
        host::sleep_on(nobody, 0, host::linux_host::instance().monotonic() + kLook);
      }
    } else if (is_gone(ring_.wait(patience))) {
      core::guard hold(lock_);
      lost_ = true;
    }
    host::io_ring::result c{};
    bool any = false;
    while (usable && ring_.take(c)) {
      any = true;
      settle(c);
    }
    if (!any && under_way_ == 0 && stop_if_idle()) return;
  }
}

int ring::submit_locked() noexcept {
  while (request* r = jobs_.first()) {
    io_uring_sqe* e = ring_.entry(r->token.load(std::memory_order_relaxed));
    if (e == nullptr) break;
    jobs_.pop();
    describe(*r, *e);
    ++under_way_;
  }
  while (jobs_.empty() && questions_ != nullptr) {
    io_uring_sqe* e = ring_.entry(reinterpret_cast<std::uintptr_t>(questions_) | kQuestion);
    if (e == nullptr) break;
    e->opcode = IORING_OP_ASYNC_CANCEL;
    e->addr = questions_->token;
    // Only this thread moves on what the kernel has begun: nothing that it cancels moves further.
    request& asked = client_.under_way(questions_->token);
    const bool ours = asked.token.load(std::memory_order_relaxed) == questions_->token &&
                      asked.by.load(std::memory_order_relaxed) == this;
    if (ours) asked.given_up = true;
    questions_->yes = ours && asked.moved > 0 ? interruption::shortened : interruption::cancelled;
    questions_ = questions_->next;
    ++under_way_;
  }
  return ring_.submit();
}

void ring::settle(const host::io_ring::result& c) noexcept {
  if (c.name == kWake) {
    epoll_event rung;
    host::linux_host::instance().set_wait(bell_.load(std::memory_order_relaxed), &rung, 1, 0);
    bell_awaited_ = false;
    return;
  }
  --under_way_;
  if ((c.name & kQuestion) != 0) {
    question& q = *reinterpret_cast<question*>(c.name & ~kQuestion);
    answer(q, c.value == 0 ? q.yes : interruption::none);
    return;
  }
  request& r = client_.under_way(static_cast<std::uintptr_t>(c.name));
  const bool ready = r.polling && c.value >= 0;
  // The kernel writes to a stream what it takes at once.
  const bool part =
      !r.polling && r.whole && c.value > 0 && static_cast<std::size_t>(c.value) < r.left();
  const bool again = part || (!r.polling && c.value == -EAGAIN && r.stream);
  if (!ready && !again && c.value != -EINTR) return client_.finished(r, c.value);
  if (part) r.advance(c.value);
  // Between two steps the kernel had nothing to cancel.
  if (r.given_up && r.moved > 0 && (ready || again)) return client_.finished(r, -ECANCELED);
  // A stream is awaited before it is tried again.
  r.polling = again;
  core::guard hold(lock_);
  jobs_.push(r);
}

void ring::answer(question& q, interruption what) noexcept {
  std::atomic<std::uint32_t>& word = q.answer;
  word.store(static_cast<std::uint32_t>(what), std::memory_order_release);
  host::wake_all(word);  // by address: the question itself may be gone
}

void ring::decline_all() noexcept {
  for (;;) {
    request* r = nullptr;
    question* asked = nullptr;
    std::uint64_t name = kWake;
    {
      core::guard hold(lock_);
      if (ring_.retract(name)) {
        if (name == kWake) continue;
        --under_way_;
        if ((name & kQuestion) != 0) {
          asked = reinterpret_cast<question*>(name & ~kQuestion);
        } else {
          r = &client_.under_way(static_cast<std::uintptr_t>(name));
        }
      } else if (questions_ != nullptr) {
        asked = questions_;
        questions_ = asked->next;
      } else {
        r = jobs_.pop();
        if (r == nullptr) return;
      }
    }
    if (asked != nullptr) answer(*asked, interruption::none);
    if (r != nullptr) client_.declined(*r);
  }
}

bool ring::stop_if_idle() noexcept {
  core::guard hold(lock_);
  if (!jobs_.empty() || questions_ != nullptr) return false;
  ring_.close();
  core::host& os = host::linux_host::instance();
  const int bell = bell_.exchange(-1, std::memory_order_relaxed);
  if (bell >= 0 && os.is_set(bell)) os.discard(bell);
  running_ = asleep_ = lost_ = false;
  return true;
}

void ring::after_fork_in_child() noexcept {
  lock_.reset_after_fork();
  core::guard hold(lock_);
  jobs_.clear();
  questions_ = nullptr;
  ring_.close();
  core::host& os = host::linux_host::instance();
  const int bell = bell_.exchange(-1, std::memory_order_relaxed);
  if (bell >= 0 && os.is_set(bell)) os.discard(bell);
  running_ = asleep_ = lost_ = false;
  opening_.store(kSettled, std::memory_order_relaxed);
  under_way_ = 0;
}

}  // namespace quay::aio
