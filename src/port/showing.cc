// SPDX-License-Identifier: BSD-2-Clause
//
// What: what the catalogue tells of event ports.
// Contract: core/catalogue.hpp.
#include "port/system.hpp"

namespace quay::port {

void port::show(core::catalogue& c) const noexcept {
  static constinit shared_state like{};  // never touched: only where its members lie counts
  core::catalogue::description d("port", this);
  d.add("open", open_, core::catalogue::form::in_use)
      .add("descriptor", fd_)
      .add("waiters", inside_);
  d.add_behind("queued", state_, like, like.queued);
  d.add_behind("slots", state_, like, like.used);
  d.add_behind("most_slots", state_, like, like.most_slots);
  d.add_behind("armed", state_, like, like.watched);
  d.add_behind("shared", state_, like, like.shared);
  d.add_behind("alert", state_, like, like.alert_on);
  d.add_behind("sent", state_, like, like.sent);
  d.add_behind("delivered", state_, like, like.delivered);
  d.add_behind("cancelled", state_, like, like.cancelled);
  d.add_behind("refused", state_, like, like.refused);
  c.show(d);
}

}  // namespace quay::port
