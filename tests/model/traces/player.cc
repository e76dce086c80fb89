// SPDX-License-Identifier: BSD-2-Clause
//
// What: plays sequences.
#include "player.hpp"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <quay/quay.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

#include "names.hpp"

namespace quay::traces {
namespace {

constexpr int kFirstEnd = 300;        // ends live at numbers that nothing else takes
constexpr int kFirstQueue = 100;      // each queue gets a fresh number from here on
constexpr int kQueueSpacing = 8;      // room for descriptors a queue may open along with itself
constexpr int kPipeCapacity = 16384;  // of the recorded pipes
constexpr long kFillStep = 4096;
constexpr long long kMillisecond = 1'000'000;
constexpr long long kLateAfter = 15 * kMillisecond;

long long now_ns() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

// While it lives, no descriptor below `limit` is free.
class low_numbers_taken {
 public:
  explicit low_numbers_taken(int limit) {
    int fd;
    while ((fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0 && fd < limit)
      taken_.push_back(fd);
    if (fd >= 0) ::close(fd);
  }
  ~low_numbers_taken() {
    for (const int fd : taken_) ::close(fd);
  }
  low_numbers_taken(const low_numbers_taken&) = delete;
  low_numbers_taken& operator=(const low_numbers_taken&) = delete;

 private:
  std::vector<int> taken_;
};

bool move_descriptor(int from, int to) {
  const bool moved = ::dup3(from, to, O_CLOEXEC) == to;
  ::close(from);
  return moved;
}

bool ident_is_descriptor(int filter) {
  return filter != EVFILT_USER && filter != EVFILT_TIMER && filter != EVFILT_PROC &&
         filter != EVFILT_SIGNAL;
}

std::array<char, 65536> scratch;

}  // namespace

player::player(const sequence& script, int stretch, bool narrate)
    : script_(script),
      stretch_(stretch),
      narrate_(narrate),
      next_end_(kFirstEnd),
      next_queue_(kFirstQueue) {}

player::~player() {
  for (const auto& [object, is_open] : open_) {
    if (is_open) ::close(descriptors_.at(object));
  }
}

report player::play() {
  report out;
  out.id = script_.id;
  out.tier = script_.tier;
  out.calls = static_cast<int>(
      std::count_if(script_.operations.begin(), script_.operations.end(),
                    [](const operation& op) { return op.what == action::kevent; }));
  origin_ns_ = now_ns();
  for (size_t i = 0; i < script_.operations.size(); ++i) {
    const operation& op = script_.operations[i];
    out.operation_index = static_cast<long>(i);
    if (op.what == action::kevent) {
      const answer got = call_kevent(op);
      out.late |= script_.timed && overdue();
      out.what = compare(op, script_.strict_order, got);
      if (narrate_) narrate_operation(i, op, out);
      if (!out.what.kind.empty()) {
        out.outcome = verdict::diverges;
        return out;
      }
      ++out.calls_matching;
    } else {
      out.what.kind = perform(op);
      if (narrate_) narrate_operation(i, op, out);
      if (!out.what.kind.empty()) return out;
    }
  }
  out.outcome = verdict::match;
  out.operation_index = -1;
  return out;
}

std::string player::perform(const operation& op) {
  switch (op.what) {
    case action::make_queue:
      return make_queue(op);
    case action::make_channel:
      return make_channel(op);
    case action::write:
    case action::read:
      return transfer(op);
    case action::fill:
      while (::write(descriptor_of(op.object + ".w"), scratch.data(), kFillStep) > 0) {
      }
      return {};
    case action::drain:
      while (::read(descriptor_of(op.object + ".r"), scratch.data(), scratch.size()) > 0) {
      }
      return {};
    case action::close:
      open_.at(op.object) = false;
      return ::close(descriptor_of(op.object)) == 0 ? "" : "close() fails";
    case action::advance:
      sleep_until_advanced(op);
      return {};
    case action::kevent:
      break;
  }
  return "not an operation";
}

std::string player::make_queue(const operation& op) {
  const low_numbers_taken taken(next_queue_);
  const int fd = quay_kqueue(script_.dialect, 0);
  if (fd < 0) return fmt::format("quay_kqueue() fails with {}", errno_name(errno));
  descriptors_[op.object] = fd;
  open_[op.object] = true;
  next_queue_ = fd + kQueueSpacing;
  return {};
}

std::string player::make_channel(const operation& op) {
  int ends[2];
  if (op.by_pipe) {
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0) return "pipe2() fails";
    if (::fcntl(ends[1], F_SETPIPE_SZ, kPipeCapacity) != kPipeCapacity)
      return "the pipe cannot have 16384 bytes";
  } else if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) {
    return "socketpair() fails";
  }
  for (const int side : {0, 1}) {
    const std::string name = op.object + (side == 0 ? ".r" : ".w");
    if (!move_descriptor(ends[side], next_end_)) return "dup3() fails";
    descriptors_[name] = next_end_++;
    open_[name] = true;
  }
  return {};
}

// Bytes that come out otherwise than recorded were lost or made up by the library, or this is
// another Linux.
std::string player::transfer(const operation& op) {
  const bool writes = op.what == action::write;
  const int fd = descriptor_of(op.object + (writes ? ".w" : ".r"));
  const auto size = static_cast<size_t>(op.amount);
  if (size > scratch.size()) return "a transfer is larger than this program's buffer";
  const ssize_t n = writes ? ::write(fd, scratch.data(), size) : ::read(fd, scratch.data(), size);
  const int error = n < 0 ? errno : 0;
  if (n == op.result && error == op.error) return {};
  return fmt::format("{} gives {} ({}) and gave {} ({})", writes ? "write()" : "read()", n,
                     errno_name(error), op.result, errno_name(op.error));
}

void player::sleep_until_advanced(const operation& op) {
  advanced_ns_ += op.amount * stretch_ * kMillisecond;
  const long long due = origin_ns_ + advanced_ns_;
  timespec t;
  t.tv_sec = static_cast<time_t>(due / 1'000'000'000LL);
  t.tv_nsec = static_cast<long>(due % 1'000'000'000LL);
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr) == EINTR) {
  }
}

bool player::overdue() const {
  return now_ns() - origin_ns_ - advanced_ns_ > kLateAfter * stretch_;
}

int player::descriptor_of(const std::string& object) const {
  if (object.starts_with("fd:")) return std::stoi(object.substr(3));
  const auto known = descriptors_.find(object);
  if (known == descriptors_.end())
    throw std::runtime_error(fmt::format("the trace names no object '{}'", object));
  return known->second;
}

uintptr_t player::ident_of(const entry& e) const {
  if (ident_is_descriptor(e.filter) && descriptors_.contains(e.object)) {
    return static_cast<uintptr_t>(descriptors_.at(e.object));
  }
  if (e.object.starts_with("fd:")) return static_cast<uintptr_t>(std::stoll(e.object.substr(3)));
  // An unknown filter may come with an end's name as well.
  if (const auto known = descriptors_.find(e.object); known != descriptors_.end()) {
    return static_cast<uintptr_t>(known->second);
  }
  return static_cast<uintptr_t>(std::stoull(e.object));
}

std::string player::object_of(int filter, uintptr_t ident) const {
  if (!ident_is_descriptor(filter)) return fmt::format("{}", ident);
  for (const auto& [object, fd] : descriptors_) {
    if (static_cast<uintptr_t>(fd) == ident) return object;
  }
  return fmt::format("fd:{}", static_cast<long long>(ident));
}

answer player::call_kevent(const operation& op) {
  std::vector<struct kevent> changes;
  for (const entry& e : op.changes) {
    struct kevent change;
    const long long data = e.filter == EVFILT_TIMER ? e.data * stretch_ : e.data;
    EV_SET(&change, ident_of(e), e.filter, e.flags, e.fflags, data,
           reinterpret_cast<void*>(e.udata));
    changes.push_back(change);
  }
  // A few entries more than promised, with a mark, to see a library that writes past the list.
  constexpr int kGuard = 8;
  constexpr intptr_t kUntouched = 0x5a5a5a5a;
  std::vector<struct kevent> events(static_cast<size_t>(op.room + kGuard));
  for (struct kevent& e : events) e.data = kUntouched;
  const timespec zero{};
  answer out;
  errno = 0;
  out.result = ::kevent(descriptor_of(op.object), changes.empty() ? nullptr : changes.data(),
                        static_cast<int>(changes.size()), op.room == 0 ? nullptr : events.data(),
                        op.room, &zero);
  out.error = out.result < 0 ? errno : 0;
  const bool overrun =
      out.result > op.room || std::any_of(events.begin() + op.room, events.end(),
                                          [](const auto& e) { return e.data != kUntouched; });
  if (overrun) throw std::runtime_error("kevent() writes past the eventlist");
  for (long i = 0; i < out.result; ++i) {
    const struct kevent& e = events[static_cast<size_t>(i)];
    entry event;
    event.filter = e.filter;
    event.object = object_of(e.filter, e.ident);
    event.flags = e.flags;
    event.fflags = e.fflags;
    event.data = e.data;
    event.udata = reinterpret_cast<unsigned long long>(e.udata);
    out.events.push_back(std::move(event));
  }
  return out;
}

void player::narrate_operation(size_t index, const operation& op, const report& so_far) const {
  fmt::print("op {:<3} {} {}", index, action_name(op.what), op.object);
  if (op.what == action::kevent) {
    for (const entry& e : op.changes) fmt::print("\n  change   {}", describe(e));
    fmt::print("\n  expected {}\n  got      {}", so_far.what.expected, so_far.what.got);
  } else {
    fmt::print(" {}", op.amount);
  }
  fmt::print("{}\n", so_far.what.kind.empty() ? "" : "\n  <-- " + so_far.what.kind);
}

}  // namespace quay::traces
