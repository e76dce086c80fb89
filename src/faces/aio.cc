// SPDX-License-Identifier: BSD-2-Clause
//
// What: the calls of <quay/aio.h>, which the BSD face's <aio.h> gives their usual names.
// Contract: aio(7); argument checks and errno only, the rest is aio::engine's.
#include <quay/aio.h>

#include <fcntl.h>

#include <cerrno>

#include "faces/process_aio.hpp"
#include "host/linux_host.hpp"

namespace {

using quay::aio::notification;
using quay::aio::operation;
using quay::aio::outcome;
using quay::faces::process_aio;
using quay::faces::read_sigevent;

int finish(int error) noexcept {
  if (error == 0) return 0;
  errno = error;
  return -1;
}

int submit(aiocb* block, operation op, bool vectored = false) noexcept {
  if (block == nullptr) return finish(EFAULT);
  notification tell;
  const int error = read_sigevent(&block->aio_sigevent, tell);
  return finish(error != 0 ? error : process_aio().submit(*block, op, vectored, tell));
}

// The operation of a member of a list; false: none (LIO_NOP), or no such.
bool read_opcode(int code, operation& op) noexcept {
  op = code == LIO_WRITE ? operation::write : operation::read;
  return code == LIO_READ || code == LIO_WRITE;
}

// The monotonic time at which `timeout` is over; false: it is no time.
bool read_timeout(const timespec* timeout, std::int64_t& deadline) noexcept {
  constexpr std::int64_t kSecond = 1'000'000'000;
  deadline = INT64_MAX;
  if (timeout == nullptr) return true;
  if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= kSecond) return false;
  const std::int64_t now = quay::host::linux_host::instance().monotonic();
  std::int64_t span = 0;
  if (__builtin_mul_overflow(std::int64_t{timeout->tv_sec}, kSecond, &span) ||
      __builtin_add_overflow(span, timeout->tv_nsec + now, &deadline)) {
    deadline = INT64_MAX;
  }
  return true;
}

}  // namespace

int quay_aio_read(struct aiocb* block) { return submit(block, operation::read); }
int quay_aio_write(struct aiocb* block) { return submit(block, operation::write); }
int quay_aio_readv(struct aiocb* block) { return submit(block, operation::read, true); }
int quay_aio_writev(struct aiocb* block) { return submit(block, operation::write, true); }

int quay_aio_fsync(int op, struct aiocb* block) {
  if (op != O_SYNC && op != O_DSYNC) return finish(EINVAL);
  return submit(block, op == O_SYNC ? operation::sync : operation::data_sync);
}

int quay_aio_error(const struct aiocb* block) {
  return block != nullptr ? process_aio().error(*block) : EINVAL;
}

ssize_t quay_aio_return(struct aiocb* block) {
  if (block == nullptr) return finish(EINVAL);
  const outcome r = process_aio().reap(*block);
  if (r.error != 0) errno = r.error;
  return r.value;
}

int quay_aio_suspend(const struct aiocb* const blocks[], int count,
                     const struct timespec* timeout) {
  std::int64_t deadline = 0;
  if (count < 0 || !read_timeout(timeout, deadline)) return finish(EINVAL);
  return finish(process_aio().suspend(blocks, count, deadline, false));
}

int quay_aio_cancel(int fd, struct aiocb* block) {
  const outcome r = process_aio().cancel(fd, block);
  return r.error != 0 ? finish(r.error) : static_cast<int>(r.value);
}

int quay_lio_listio(int mode, struct aiocb* const blocks[], int count, struct sigevent* event) {
  if ((mode != LIO_WAIT && mode != LIO_NOWAIT) || count < 0) return finish(EINVAL);
  quay::aio::engine& engine = process_aio();
  notification whole;
  if (mode == LIO_NOWAIT) {
    if (const int error = read_sigevent(event, whole); error != 0) return finish(error);
    whole.order.flags = 0;  // those are a request's: FreeBSD does not look at a list's
    if (whole.order.object == 0) whole.order.object = reinterpret_cast<std::uintptr_t>(blocks);
  }
  quay::core::slot_index list = quay::core::kNil;
  if (whole.how != notification::way::none) {
    if (const int error = engine.open_list(whole, list); error != 0) return finish(error);
  }
  int failure = 0;
  for (int i = 0; i < count; ++i) {
    aiocb* block = blocks[i];
    if (block == nullptr || block->aio_lio_opcode == LIO_NOP) continue;
    operation op{};
    notification tell;
    int error =
        read_opcode(block->aio_lio_opcode, op) ? read_sigevent(&block->aio_sigevent, tell) : EINVAL;
    if (error == 0) error = engine.submit(*block, op, false, tell, list);
    if (error == 0) continue;
    engine.fail(*block, error);
    failure = error == EAGAIN ? EAGAIN : failure != 0 ? failure : EIO;
  }
  if (list != quay::core::kNil) engine.close_list(list);
  if (mode == LIO_NOWAIT) return finish(failure);
  if (const int error = engine.suspend(blocks, count, INT64_MAX, true); error != 0) {
    return finish(error);
  }
  for (int i = 0; i < count && failure == 0; ++i) {
    if (blocks[i] == nullptr || blocks[i]->aio_lio_opcode == LIO_NOP) continue;
    if (engine.error(*blocks[i]) != 0) failure = EIO;
  }
  return finish(failure);
}
