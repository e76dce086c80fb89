// SPDX-License-Identifier: BSD-2-Clause
//
// What: see kqueue_rules.hpp.
#include "kqueue_rules.hpp"

#include <quay/quay.h>

namespace quay::model {
namespace {

constexpr rules kFreebsd{.echoes_actions = false,
                         .add_delete_deletes = true,
                         .both_refused = true,
                         .keep_udata = true,
                         .change_takes = true,
                         .disable_first = true,
                         .user_oneshot_blank = true};
constexpr rules kNetbsd{.enable_asks = false,
                        .enable_asks_unsure = true,
                        .clear_beats_dispatch = true,
                        .orphan_pipe = EBADF,
                        .not_read_on_queue = EPERM};
constexpr rules kDragonfly{.change_takes = true,
                           .receipt_without_room_fails = true,
                           .user_created_by_op = true,
                           .user_created_fires = true,
                           .user_takes_udata = false,
                           .user_clear_wipes = true,
                           .user_clear_change_wipes = true,
                           .eof_shows_nodata = true,
                           .orphan_pipe = 0,
                           .not_read_on_queue = EOPNOTSUPP};
constexpr rules kOpenbsd{.user_created_fires = true,
                         .user_needs_add = true,
                         .user_clear_wipes = true,
                         .user_clear_change_wipes = true};

}  // namespace

const rules& rules_of(int dialect) {
  switch (dialect) {
    case QUAY_DIALECT_NETBSD:
      return kNetbsd;
    case QUAY_DIALECT_DRAGONFLY:
      return kDragonfly;
    case QUAY_DIALECT_OPENBSD:
      return kOpenbsd;
    default:
      return kFreebsd;
  }
}

}  // namespace quay::model
