// SPDX-License-Identifier: BSD-2-Clause
//
// What: what the catalogue tells of pipes: the ends that this process has, the bytes that went either
//       way, and the memory of all.
// Contract: core/catalogue.hpp. An end that this process has not is -1. Bytes that wait are those
//           written and not read.
#include "pipe/system.hpp"

namespace quay::pipe {

void system::show(core::catalogue& c) const noexcept {
  using form = core::catalogue::form;
  const pair p;
  static constinit shared_pipe like{};
  static constinit domain all{};
  core::catalogue::description d("pipe", &p);
  for (const side& s : p.sides) d.add("numbers", s.numbers, form::in_use);
  d.add("reader", p.sides[0].descriptor).add("writer", p.sides[1].descriptor);
  const direction& forward = like.to[0];
  const direction& back = like.to[1];
  d.add_behind("size", p.shared, like, forward.size);
  d.add_behind("written", p.shared, like, forward.tail);
  d.add_behind("read", p.shared, like, forward.head);
  d.add_behind("back_size", p.shared, like, back.size);
  d.add_behind("back_written", p.shared, like, back.tail);
  d.add_behind("back_read", p.shared, like, back.head);
  d.add_behind("processes", p.shared, like, like.several);
  d.add_behind("plain", p.shared, like, like.plain);
  c.show_slots(d, pairs_, sizeof(pair), made_, 0);
  c.show(core::catalogue::description("pipes", this)
             .add_behind("pipekva", domain_, all, all.bytes)
             .add("fragment_retries", count_.fragment_retries)
             .add("allocation_failures", count_.allocation_failures)
             .add("resize_failures", count_.resize_failures));
}

}  // namespace quay::pipe
