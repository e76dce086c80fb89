// SPDX-License-Identifier: BSD-2-Clause
//
// What: links between file watches and interests; see file_watches.hpp.
#include "core/file_watches.hpp"

namespace quay::core {

bool file_watches::grow() noexcept {
  const std::size_t wanted = buckets_ != 0 ? buckets_ * 2 : 64;
  growable<number> fresh;
  if (!fresh.reserve(wanted)) return buckets_ != 0;
  const std::size_t before = buckets_;
  buckets_ = wanted;
  for (std::size_t b = 0; b < before; ++b) {
    for (number l = heads_[b]; l != 0;) {
      const number rest = links_[l].next_in_bucket;
      number& head = fresh[bucket(links_[l].watch)];
      links_[l].next_in_bucket = head;
      head = l;
      l = rest;
    }
  }
  heads_.swap(fresh);
  return true;
}

bool file_watches::add(number& first, slot_index interest, std::int32_t watch, std::uint32_t what,
                       bool parent) noexcept {
  const bool moves = live_ >= buckets_ && (buckets_ == 0 || !handing_out_);
  if (moves && !grow()) return false;
  number l = free_;
  if (l != 0) {
    free_ = links_[l].next_of_interest;
  } else {
    if (!links_.reserve(used_ + 1)) return false;
    l = static_cast<number>(used_++);
  }
  number& head = heads_[bucket(watch)];
  links_[l] = {watch, what, interest, parent ? 1u : 0u, head, first};
  head = first = l;
  ++live_;
  return true;
}

bool file_watches::remove(number& first, number l) noexcept {
  number* p = &first;
  while (*p != l) p = &links_[*p].next_of_interest;
  *p = links_[l].next_of_interest;
  const std::int32_t watch = links_[l].watch;
  links_[l].interest = kNil;
  --live_;
  if (handing_out_) {
    ++removed_;
  } else {
    take_out(l);
  }
  for (number o = heads_[bucket(watch)]; o != 0; o = links_[o].next_in_bucket) {
    if (links_[o].watch == watch && links_[o].interest != kNil) return false;
  }
  return true;
}

void file_watches::take_out(number l) noexcept {
  number* p = &heads_[bucket(links_[l].watch)];
  while (*p != l) p = &links_[*p].next_in_bucket;
  *p = links_[l].next_in_bucket;
  links_[l].next_of_interest = free_;
  free_ = l;
}

void file_watches::sweep() noexcept {
  for (std::size_t b = 0; b < buckets_ && removed_ != 0; ++b) {
    for (number l = heads_[b]; l != 0;) {
      const number rest = links_[l].next_in_bucket;
      if (links_[l].interest == kNil) {
        take_out(l);
        --removed_;
      }
      l = rest;
    }
  }
}

void file_watches::reset() noexcept {
  links_.reset();
  heads_.reset();
  buckets_ = live_ = removed_ = 0;
  used_ = 1;
  free_ = 0;
}

}  // namespace quay::core
