// SPDX-License-Identifier: BSD-2-Clause
//
// What: the way of a request from its submission to its end; see engine.hpp.
#include "aio/engine.hpp"

#include <fcntl.h>
#include <limits.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "aio/control_block.hpp"
#include "host/linux_host.hpp"
#include "host/transfer.hpp"

namespace quay::aio {
namespace {

using core::kNil;
using core::slot_index;

// Tokens have 16 bits for the slot.
constexpr std::size_t kMostRequests = std::size_t{1} << 16;
constexpr std::size_t kMostLists = std::size_t{1} << 16;
// Copying more than this takes longer than handing the request over.
constexpr std::size_t kMostAtOnce = std::size_t{64} << 10;
constexpr int kHighestPriority = 20;  // AIO_PRIO_DELTA_MAX
constexpr std::uint32_t kHintUses = 255;

std::uintptr_t token_of(slot_index i, std::uint32_t generation) noexcept {
  return std::uintptr_t{generation} << 17 | std::uintptr_t{i} << 1;
}
slot_index slot_of(std::uintptr_t token) noexcept {
  return static_cast<slot_index>(token >> 1 & (kMostRequests - 1));
}

host::transfer way_of(operation op) noexcept {
  return op == operation::read ? host::transfer::in : host::transfer::out;
}

}  // namespace

engine::engine(core::descriptor_table& descriptors, core::tunables& tune, bool hooked) noexcept
    : descriptors_(descriptors),
      tune_(tune),
      hooked_(hooked),
      requests_(kMostRequests),
      lists_(kMostLists),
      pool_(*this),
      ring_(*this) {
  descriptors.enroll(*this);
}

std::uint8_t engine::enroll(core::completion_target& target) noexcept {
  std::uint8_t n = 1;
  while (targets_[n] != nullptr) ++n;
  targets_[n] = &target;
  return n;
}

// --- submission -----------------------------------------------------------------------------------

int engine::submit(aiocb& block, operation op, bool vectored, notification tell,
                   slot_index list) noexcept {
  if (const int error = check(block, op, vectored); error != 0) return error;
  iovec whole{const_cast<void*>(block.aio_buf), block.aio_nbytes};
  const iovec* parts = vectored ? static_cast<const iovec*>(whole.iov_base) : &whole;
  const int count = vectored ? static_cast<int>(block.aio_nbytes) : 1;
  long bytes = is_sync(op) ? 0 : static_cast<long>(block.aio_nbytes);
  if (vectored) bytes = core::total_of(host::linux_host::instance(), parts, count);
  if (bytes < 0) return static_cast<int>(-bytes);
  renew(block);
  if (const int error = expect(block, op, tell); error != 0) return error;

  attempt tried{false, 0, is_sync(op)};
  if (!is_sync(op)) tried = try_now(block, op, parts, count, static_cast<std::size_t>(bytes));
  int error = 0;
  if (!tried.over) {
    error = begin_later(block, op, parts, count, vectored, tried, tell, list);
  } else if (tried.result == -EBADF) {
    error = EBADF;
  } else {
    control_block(&block).finish(tried.result, tell.target, tell.ticket);
    raise();
    tell_of(tell, tried.result < 0 ? static_cast<int>(-tried.result) : 0);
  }
  if (error != 0 && tell.target != 0) {
    targets_[tell.target]->withdrawn(tell.ticket, reinterpret_cast<std::uintptr_t>(&block));
  }
  return error;
}

// One that is in progress is another submission's, and not this one's to end.
void engine::fail(aiocb& block, int error) noexcept {
  if (!in_progress(block)) control_block(&block).finish(-error, 0, {});
}

int engine::check(const aiocb& block, operation op, bool vectored) const noexcept {
  if (block.aio_reqprio < 0 || block.aio_reqprio > kHighestPriority) return EINVAL;
  if (in_progress(block)) return EINVAL;
  if (is_sync(op)) return 0;
  if (block.aio_offset < 0) return EINVAL;
  return block.aio_nbytes > (vectored ? std::size_t{IOV_MAX} : std::size_t{SSIZE_MAX}) ? EINVAL : 0;
}

int engine::expect(const aiocb& block, operation op, notification& tell) noexcept {
  if (tell.target == 0) return 0;
  tell.order.object = reinterpret_cast<std::uintptr_t>(&block);
  tell.order.kind = is_sync(op)              ? core::request_kind::sync
                    : op == operation::write ? core::request_kind::write
                                             : core::request_kind::read;
  return targets_[tell.target]->expect(tell.order, tell.ticket);
}

void engine::forget(std::uint8_t target, const core::completion_ticket& ticket,
                    const aiocb& block) noexcept {
  if (target == 0) return;
  targets_[target]->reaped(ticket, reinterpret_cast<std::uintptr_t>(&block));
}

// A block that is used again without aio_return() has given up its former result.
void engine::renew(aiocb& block) noexcept {
  control_block mine(&block);
  if (mine.finished() && mine.target() > 0 && mine.target() <= kMostTargets &&
      targets_[mine.target()] != nullptr) {
    forget(static_cast<std::uint8_t>(mine.target()), mine.ticket(), block);
  }
  mine.set_token(0);
}

// Without the page cache "at once" means as fast as the device. To ask costs as much as a sixth of a
// cached read, so a "no" holds for a while; that it may be wrong by then costs time only.
bool engine::is_direct(int fd) noexcept {
  std::atomic<std::uint32_t>& hint = plain_[static_cast<unsigned>(fd) % 64];
  const std::uint32_t seen = hint.load(std::memory_order_relaxed);
  const std::uint32_t name = (static_cast<std::uint32_t>(fd) + 1) << 8;
  if ((seen & ~kHintUses) == name && (seen & kHintUses) != 0) {
    hint.store(seen - 1, std::memory_order_relaxed);
    return false;
  }
  const int flags = host::open_flags(fd);
  if (flags >= 0 && (flags & O_DIRECT) != 0) return true;
  hint.store(name | kHintUses, std::memory_order_relaxed);
  return false;
}

engine::attempt engine::try_now(const aiocb& block, operation op, const iovec* parts, int count,
                                std::size_t bytes) noexcept {
  const int fd = block.aio_fildes;
  if (tune_.aio_backend.load(std::memory_order_relaxed) != kAny) return {false, 0, false};
  if (descriptors_.owner_of(fd) != nullptr) return {false, 0, false};  // not the kernel's to move
  if (bytes > kMostAtOnce || is_direct(fd)) return {false, 0, false};
  // It might have to keep its place behind one that is under way.
  if (op == operation::write && writes_under_way_.load(std::memory_order_relaxed) != 0) {
    return {false, 0, false};
  }
  const long moved = host::move_now(way_of(op), fd, parts, count, block.aio_offset);
  if (moved == -EOPNOTSUPP) return {false, 0, true};
  if (moved == -EAGAIN || moved == -ESPIPE) return {false, 0, false};
  if (moved <= 0 || static_cast<std::size_t>(moved) == bytes) return {true, moved, false};
  if (op == operation::write) return {false, moved, false};
  // The end of the file, or of what is in memory? One byte more tells.
  char next = 0;
  const iovec probe{&next, 1};
  const bool end = host::move_now(host::transfer::in, fd, &probe, 1, block.aio_offset + moved) == 0;
  return {end, moved, false};
}

int engine::begin_later(aiocb& block, operation op, const iovec* parts, int count, bool vectored,
                        const attempt& tried, const notification& tell, slot_index list) noexcept {
  const int fd = block.aio_fildes;
  const int flags = host::open_flags(fd);
  if (flags < 0) return EBADF;
  if (op == operation::read && (flags & O_ACCMODE) == O_WRONLY) return EBADF;
  if (op == operation::write && (flags & O_ACCMODE) == O_RDONLY) return EBADF;
  core::descriptor_owner* const owner = descriptors_.owner_of(fd);
  const bool stream = owner != nullptr || !host::is_seekable(fd);
  if (is_sync(op) && stream) return EINVAL;
  if (hooked_ && !descriptors_.watch(fd)) return EAGAIN;

  const slot_index i = requests_.allocate();
  if (i == kNil) return EAGAIN;
  request& r = requests_.at(i);
  r.storage =
      vectored ? new (std::nothrow) iovec[static_cast<std::size_t>(std::max(count, 1))] : nullptr;
  if (vectored && r.storage == nullptr) {
    requests_.release(i);
    return EAGAIN;
  }
  r.list = list;
  r.op = op;
  r.stream = stream;
  r.whole = stream && op == operation::write && (flags & O_NONBLOCK) == 0;
  r.ordered = stream || (op == operation::write && (flags & O_APPEND) != 0);
  r.polling = r.waiting = r.given_up = false;
  r.by_thread = tried.by_thread;
  r.by.store(nullptr, std::memory_order_relaxed);
  r.owner = owner;
  r.descriptor = fd;
  r.parts = vectored ? r.storage : &r.single;
  r.part_count = count;
  std::copy_n(parts, count, r.parts);
  r.offset = is_sync(op) ? 0 : block.aio_offset;
  r.moved = 0;
  r.block = &block;
  r.tell = tell;
  r.advance(tried.result);
  if (list != kNil) lists_.at(list).left.fetch_add(1, std::memory_order_relaxed);
  const std::uintptr_t token = token_of(i, r.generation);
  r.token.store(token, std::memory_order_release);
  control_block(&block).set_token(token);

  bool now = false;
  {
    core::guard hold(lock_);
    append_locked(r);
    now = !must_wait_locked(r);
    r.at = now ? stage::begun : stage::held;
    if (!now) ++held_;
  }
  if (!now || start(r)) return 0;
  request* freed = nullptr;
  {
    core::guard hold(lock_);
    remove_locked(r);
    freed = released_locked(fd);
  }
  control_block(&block).set_token(0);
  release(r);
  if (list != kNil) lists_.at(list).left.fetch_sub(1, std::memory_order_relaxed);
  start_all(freed);
  return EAGAIN;
}

bool engine::start(request& r) noexcept {
  const long wanted = tune_.aio_backend.load(std::memory_order_relaxed);
  const bool ring = wanted == kRing || (wanted != kThreads && !r.by_thread);
  if (ring && r.owner == nullptr) {
    r.by.store(&ring_, std::memory_order_relaxed);
    if (ring_.begin(r)) return true;
  }
  r.by.store(&pool_, std::memory_order_relaxed);
  return pool_.begin(r);
}

// What was held is accepted already: that nobody can perform it is its result.
void engine::start_all(request* chain) noexcept {
  while (chain != nullptr) {
    request& r = *chain;
    chain = r.queued;
    if (!start(r)) finished(r, -EAGAIN);
  }
}

// --- the end --------------------------------------------------------------------------------------

request& engine::under_way(std::uintptr_t token) noexcept { return requests_.at(slot_of(token)); }

bool engine::in_progress(const aiocb& block) const noexcept {
  const std::uintptr_t token = control_block(&block).token();
  if (token == 0 || (token & 1) != 0) return false;
  return requests_.at(slot_of(token)).token.load(std::memory_order_acquire) == token;
}

void engine::finished(request& r, long result) noexcept {
  request* freed = nullptr;
  {
    core::guard hold(lock_);
    remove_locked(r);
    freed = released_locked(r.descriptor);
  }
  end(r, result);
  start_all(freed);
}

void engine::declined(request& r) noexcept {
  r.by.store(&pool_, std::memory_order_relaxed);
  if (!pool_.begin(r)) finished(r, -EAGAIN);
}

void engine::end(request& r, long result) noexcept {
  // Part of it was moved: an error now is the next request's to see.
  if (r.moved > 0) result = r.moved + std::max(result, 0L);
  const notification tell = r.tell;
  const slot_index list = r.list;
  control_block(r.block).finish(result, tell.target, tell.ticket);
  release(r);
  raise();
  tell_of(tell, result < 0 ? static_cast<int>(-result) : 0);
  if (list != kNil) leave_list(list);
}

void engine::release(request& r) noexcept {
  const slot_index i = slot_of(r.token.exchange(0));
  delete[] r.storage;
  r.storage = nullptr;
  requests_.release(i);
}

void engine::raise() noexcept {
  finishes_.fetch_add(1);
  if (suspended_.load() != 0) host::wake_all(finishes_);
}

int engine::open_list(notification tell, slot_index& list) noexcept {
  list = lists_.allocate();
  if (list == kNil) return EAGAIN;
  list_record& record = lists_.at(list);
  tell.order.kind = core::request_kind::list;
  int error = 0;
  if (tell.target != 0) error = targets_[tell.target]->expect(tell.order, tell.ticket);
  record.tell = tell;
  record.left.store(1);
  if (error != 0) lists_.release(list);
  return error;
}

void engine::leave_list(slot_index list) noexcept {
  list_record& record = lists_.at(list);
  if (record.left.fetch_sub(1) != 1) return;
  const notification tell = record.tell;
  lists_.release(list);
  tell_of(tell, 0);
}

}  // namespace quay::aio
