// SPDX-License-Identifier: BSD-2-Clause
//
// What: the queue's half that watches the process's mounts: which came and which went since the last
//       look.
// Invariants: mounts_known_ holds the identities of mounts_count_ mounts, sorted.
// Ownership: the queue owns the source while notes need it.
// Locking: everything here runs under the queue's mutex.
#include <algorithm>
#include <cerrno>

#include "core/queue.hpp"

namespace quay::core {

bool queue::list_mounts_locked(growable<std::uint64_t>& out, std::size_t& count) noexcept {
  constexpr std::size_t kSpare = 16;
  for (;;) {
    const std::int64_t n = env_.os.mounts_list(mounts_, &out[0], out.capacity());
    if (n < 0) return false;
    count = static_cast<std::size_t>(n);
    if (count <= out.capacity()) break;
    if (!out.reserve(count + kSpare)) return false;
  }
  std::sort(&out[0], &out[0] + count);
  return true;
}

int queue::follow_mounts_locked() noexcept {
  if (mounts_ < 0) {
    if (!mounts_known_.reserve(1)) return ENOMEM;
    const int fd = env_.os.mounts_open();
    if (fd < 0) return -fd;
    mounts_ = fd;
    const int error = env_.os.set_add(base_set_locked(), fd,
                                      EPOLLPRI | static_cast<std::uint32_t>(EPOLLET), kMounts);
    // What changes from here on is reported; what there is now, is known.
    if (error != 0 || !list_mounts_locked(mounts_known_, mounts_count_)) {
      env_.os.discard(fd);
      mounts_ = -1;
      return error != 0 ? error : ENOMEM;
    }
  }
  ++mount_notes_;
  return 0;
}

void queue::unfollow_mounts_locked() noexcept {
  if (--mount_notes_ > 0 || mounts_ < 0) return;
  env_.os.set_remove(base_set_locked(), mounts_);
  env_.os.discard(mounts_);
  mounts_ = -1;
}

void queue::take_mounts_locked() noexcept {
  if (mounts_ < 0) return;
  growable<std::uint64_t> now;
  std::size_t count = 0;
  if (!now.reserve(mounts_count_ + 1) || !list_mounts_locked(now, count)) return;
  bool came = false;
  bool went = false;
  for (std::size_t a = 0, b = 0; a < mounts_count_ || b < count;) {
    if (b == count || (a < mounts_count_ && mounts_known_[a] < now[b])) {
      went = true;
      ++a;
    } else if (a == mounts_count_ || now[b] < mounts_known_[a]) {
      came = true;
      ++b;
    } else {
      ++a;
      ++b;
    }
  }
  mounts_known_.swap(now);
  mounts_count_ = count;
  if (came || went) on_mounts_locked(came, went);
}

}  // namespace quay::core
