// SPDX-License-Identifier: BSD-2-Clause
//
// What: see kqueue_rules.hpp.
#include "kqueue_rules.hpp"

#include <quay/quay.h>

#include <cerrno>

namespace quay::model {
namespace {

constexpr rules kFreebsd{.echoes_actions = false,
                         .add_delete_deletes = true,
                         .both_refused = true,
                         .keep_udata = true,
                         .change_takes = true,
                         .enable_asks = true,
                         .enable_asks_unsure = false,
                         .disable_first = true,
                         .clear_beats_dispatch = false,
                         .receipt_without_room_fails = false,
                         .user_created_by_op = false,
                         .user_created_fires = false,
                         .user_takes_udata = true,
                         .user_needs_add = false,
                         .user_clear_wipes = false,
                         .user_clear_change_wipes = false,
                         .user_oneshot_blank = true,
                         .eof_shows_nodata = false,
                         .orphan_pipe = EPIPE,
                         .not_read_on_queue = EINVAL};
constexpr rules kNetbsd{.echoes_actions = true,
                        .add_delete_deletes = false,
                        .both_refused = false,
                        .keep_udata = false,
                        .change_takes = false,
                        .enable_asks = false,
                        .enable_asks_unsure = true,
                        .disable_first = false,
                        .clear_beats_dispatch = true,
                        .receipt_without_room_fails = false,
                        .user_created_by_op = false,
                        .user_created_fires = false,
                        .user_takes_udata = true,
                        .user_needs_add = false,
                        .user_clear_wipes = false,
                        .user_clear_change_wipes = false,
                        .user_oneshot_blank = false,
                        .eof_shows_nodata = false,
                        .orphan_pipe = EBADF,
                        .not_read_on_queue = EPERM};
constexpr rules kDragonfly{.echoes_actions = true,
                           .add_delete_deletes = false,
                           .both_refused = false,
                           .keep_udata = false,
                           .change_takes = true,
                           .enable_asks = true,
                           .enable_asks_unsure = false,
                           .disable_first = false,
                           .clear_beats_dispatch = false,
                           .receipt_without_room_fails = true,
                           .user_created_by_op = true,
                           .user_created_fires = true,
                           .user_takes_udata = false,
                           .user_needs_add = false,
                           .user_clear_wipes = true,
                           .user_clear_change_wipes = true,
                           .user_oneshot_blank = false,
                           .eof_shows_nodata = true,
                           .orphan_pipe = 0,
                           .not_read_on_queue = EOPNOTSUPP};
constexpr rules kOpenbsd{.echoes_actions = true,
                         .add_delete_deletes = false,
                         .both_refused = false,
                         .keep_udata = false,
                         .change_takes = false,
                         .enable_asks = true,
                         .enable_asks_unsure = false,
                         .disable_first = false,
                         .clear_beats_dispatch = false,
                         .receipt_without_room_fails = false,
                         .user_created_by_op = false,
                         .user_created_fires = true,
                         .user_takes_udata = true,
                         .user_needs_add = true,
                         .user_clear_wipes = true,
                         .user_clear_change_wipes = true,
                         .user_oneshot_blank = false,
                         .eof_shows_nodata = false,
                         .orphan_pipe = EPIPE,
                         .not_read_on_queue = EINVAL};

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
