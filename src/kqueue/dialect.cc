// SPDX-License-Identifier: BSD-2-Clause
//
// What: the four dialect tables; see dialect.hpp.
#include "kqueue/dialect.hpp"

#include <quay/quay.h>
#include <sys/event.h>

#include <cerrno>

namespace quay::kqueue {
namespace {

constexpr std::int64_t kDay = 24 * 60 * 60;

constexpr std::uint32_t bit(int filter) { return 1u << ~filter; }
constexpr std::uint32_t kCommon = bit(EVFILT_READ) | bit(EVFILT_WRITE) | bit(EVFILT_VNODE) |
                                  bit(EVFILT_PROC) | bit(EVFILT_TIMER) | bit(EVFILT_USER);
constexpr std::uint32_t kVnodeSeeds =
    NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK | NOTE_RENAME | NOTE_REVOKE;
constexpr std::uint32_t kVnodeAccess = NOTE_OPEN | NOTE_CLOSE | NOTE_CLOSE_WRITE | NOTE_READ;
constexpr std::uint32_t kExcept = bit(EVFILT_EXCEPT);
constexpr std::uint32_t kFs = bit(EVFILT_FS);
constexpr std::uint32_t kEmpty = bit(EVFILT_EMPTY);
constexpr std::uint32_t kRequests = bit(EVFILT_AIO) | bit(EVFILT_LIO);

constexpr dialect kFreebsd = {
    .name = "freebsd",
    .system_flags = 0xf000,
    .echoes_actions = false,
    .has_keep_udata = true,
    .add_and_delete_deletes = true,
    .enable_and_disable_refused = true,
    .wide = wide_ident::refused,
    .modify = plain_modify::overwrites,
    .enable_runs_filter = true,
    .disable_before_filter = true,
    .clear_overrides_dispatch = false,
    .skips_filter_zero = true,
    .timeout = timeout_check::late,
    .longest_timeout_s = INT32_MAX,
    .infinite_beyond_longest = true,
    .timeout_before_descriptor = true,
    .refuses_negative_counts = true,
    .receipt_without_room = room_lacking::returns_early,
    .post_fault_is_efault = true,
    .filters = kCommon | kEmpty | kFs | bit(EVFILT_PROCDESC) | kRequests,
    .aio_refusal = EPERM,
    .unsupported_filter = EINVAL,
    .not_read_on_kqueue = EINVAL,
    .self_watch = EINVAL,
    .write_on_vnode = 0,
    .write_on_orphan_pipe = EPIPE,
    .eof_has_nodata = false,
    .eof_has_hup = false,
    .has_oob = false,
    .has_file_poll = true,
    .listener_shows_empty = true,
    .except_on_pipe = false,
    .vnode_bits = kVnodeSeeds | kVnodeAccess,
    .write_shows_extend = true,
    .entry_move_extends = true,
    .zombies_can_be_watched = true,
    .exit = exit_data::status_if_asked,
    .unasked_exit_is_dropped = true,
    .proc_needs_permission = false,
    .child_event_apart = true,
    .timer_units = true,
    .restart = timer_restart::restarts,
    .restart_replaces_flags = false,
    .zero = timer_zero::one_unit,
    .negative = timer_negative::refused,
    .bad_timer_update = bad_update::error_in_note,
    .plain_modify_sets_period = false,
    .timer_limit_margin = 0,
    .user_events_limit = 0,
    .creation = user_creation::stores_raw,
    .user_takes_udata = true,
    .user_values_need_add = false,
    .user_clears_values = false,
    .user_clear_change_zeroes_data = false,
    .user_oneshot_reports_zero = true,
    .stat_size_is_count = false,
    .has_sigio = false,
};

constexpr dialect kNetbsd = {
    .name = "netbsd",
    .system_flags = 0xf000,
    .echoes_actions = true,
    .has_keep_udata = false,
    .add_and_delete_deletes = false,
    .enable_and_disable_refused = false,
    .wide = wide_ident::truncated,
    .modify = plain_modify::user_only,
    .enable_runs_filter = false,
    .disable_before_filter = false,
    .clear_overrides_dispatch = true,
    .skips_filter_zero = false,
    .timeout = timeout_check::late,
    .longest_timeout_s = 0,
    .infinite_beyond_longest = false,
    .timeout_before_descriptor = false,
    .refuses_negative_counts = false,
    .receipt_without_room = room_lacking::returns_early,
    .post_fault_is_efault = true,
    .filters = kCommon | kEmpty | kFs,
    .aio_refusal = EINVAL,
    .unsupported_filter = EINVAL,
    .not_read_on_kqueue = EPERM,
    .self_watch = EINVAL,
    .write_on_vnode = EINVAL,
    .write_on_orphan_pipe = EBADF,
    .eof_has_nodata = false,
    .eof_has_hup = false,
    .has_oob = false,
    .has_file_poll = false,
    .listener_shows_empty = false,
    .except_on_pipe = false,
    .vnode_bits = kVnodeSeeds | kVnodeAccess,
    .write_shows_extend = false,
    .entry_move_extends = false,
    .zombies_can_be_watched = false,
    .exit = exit_data::untouched,
    .unasked_exit_is_dropped = false,
    .proc_needs_permission = true,
    .child_event_apart = false,
    .timer_units = true,
    .restart = timer_restart::keeps_running,
    .restart_replaces_flags = false,
    .zero = timer_zero::refused,
    .negative = timer_negative::one_tick,
    .bad_timer_update = bad_update::unchecked,
    .plain_modify_sets_period = false,
    .timer_limit_margin = 1,
    .user_events_limit = 0,
    .creation = user_creation::stores_raw,
    .user_takes_udata = true,
    .user_values_need_add = false,
    .user_clears_values = false,
    .user_clear_change_zeroes_data = false,
    .user_oneshot_reports_zero = false,
    .stat_size_is_count = true,
    .has_sigio = false,
};

constexpr dialect kDragonfly = {
    .name = "dragonfly",
    .system_flags = 0xf800,
    .echoes_actions = true,
    .has_keep_udata = false,
    .add_and_delete_deletes = false,
    .enable_and_disable_refused = false,
    .wide = wide_ident::truncated_keyed,
    .modify = plain_modify::overwrites,
    .enable_runs_filter = true,
    .disable_before_filter = false,
    .clear_overrides_dispatch = false,
    .skips_filter_zero = false,
    .timeout = timeout_check::none,
    .longest_timeout_s = kDay,
    .infinite_beyond_longest = false,
    .timeout_before_descriptor = true,
    .refuses_negative_counts = false,
    .receipt_without_room = room_lacking::fails,
    .post_fault_is_efault = false,
    .filters = kCommon | kExcept | kFs,
    .aio_refusal = ENXIO,
    .unsupported_filter = EOPNOTSUPP,
    .not_read_on_kqueue = EOPNOTSUPP,
    .self_watch = EINVAL,
    .write_on_vnode = 0,
    .write_on_orphan_pipe = 0,
    .eof_has_nodata = true,
    .eof_has_hup = true,
    .has_oob = true,
    .has_file_poll = false,
    .listener_shows_empty = false,
    .except_on_pipe = false,
    .vnode_bits = kVnodeSeeds,
    .write_shows_extend = false,
    .entry_move_extends = false,
    .zombies_can_be_watched = true,
    .exit = exit_data::status,
    .unasked_exit_is_dropped = false,
    .proc_needs_permission = false,
    .child_event_apart = false,
    .timer_units = false,
    .restart = timer_restart::keeps_running,
    .restart_replaces_flags = false,
    .zero = timer_zero::one_tick,
    .negative = timer_negative::one_tick,
    .bad_timer_update = bad_update::unchecked,
    .plain_modify_sets_period = true,
    .timer_limit_margin = 0,
    .user_events_limit = 0,
    .creation = user_creation::applies_op,
    .user_takes_udata = false,
    .user_values_need_add = false,
    .user_clears_values = true,
    .user_clear_change_zeroes_data = true,
    .user_oneshot_reports_zero = false,
    .stat_size_is_count = true,
    .has_sigio = true,
};

constexpr dialect kOpenbsd = {
    .name = "openbsd",
    .system_flags = 0xf800,
    .echoes_actions = true,
    .has_keep_udata = false,
    .add_and_delete_deletes = false,
    .enable_and_disable_refused = false,
    .wide = wide_ident::refused,
    .modify = plain_modify::user_only,
    .enable_runs_filter = true,
    .disable_before_filter = false,
    .clear_overrides_dispatch = false,
    .skips_filter_zero = false,
    .timeout = timeout_check::early,
    .longest_timeout_s = 0,
    .infinite_beyond_longest = false,
    .timeout_before_descriptor = false,
    .refuses_negative_counts = false,
    .receipt_without_room = room_lacking::returns_early,
    .post_fault_is_efault = true,
    .filters = kCommon | kExcept,
    .aio_refusal = EINVAL,
    .unsupported_filter = EINVAL,
    .not_read_on_kqueue = EINVAL,
    .self_watch = 0,
    .write_on_vnode = 0,
    .write_on_orphan_pipe = EPIPE,
    .eof_has_nodata = false,
    .eof_has_hup = false,
    .has_oob = false,
    .has_file_poll = false,
    .listener_shows_empty = false,
    .except_on_pipe = true,
    .vnode_bits = kVnodeSeeds | NOTE_TRUNCATE,
    .write_shows_extend = false,
    .entry_move_extends = false,
    .zombies_can_be_watched = false,
    .exit = exit_data::status,
    .unasked_exit_is_dropped = false,
    .proc_needs_permission = false,
    .child_event_apart = false,
    .timer_units = true,
    .restart = timer_restart::restarts,
    .restart_replaces_flags = false,
    .zero = timer_zero::one_tick,
    .negative = timer_negative::one_tick,
    .bad_timer_update = bad_update::refused,
    .plain_modify_sets_period = false,
    .timer_limit_margin = 0,
    .user_events_limit = 1024,
    .creation = user_creation::stores_low,
    .user_takes_udata = true,
    .user_values_need_add = true,
    .user_clears_values = true,
    .user_clear_change_zeroes_data = false,
    .user_oneshot_reports_zero = false,
    .stat_size_is_count = true,
    .has_sigio = false,
};

}  // namespace

const dialect* find_dialect(int number) noexcept {
  switch (number) {
    case QUAY_DIALECT_FREEBSD:
      return &kFreebsd;
    case QUAY_DIALECT_NETBSD:
      return &kNetbsd;
    case QUAY_DIALECT_DRAGONFLY:
      return &kDragonfly;
    case QUAY_DIALECT_OPENBSD:
      return &kOpenbsd;
    default:
      return nullptr;
  }
}

}  // namespace quay::kqueue
