// SPDX-License-Identifier: BSD-2-Clause
//
// What: how the kqueues of FreeBSD, NetBSD, DragonFly and OpenBSD differ, one named member a row.
// Contract: semantics/kqueue.md section 7; the number in a comment is the row. Where a system has
//           changed over time, FreeBSD follows its newer kernels; NetBSD follows the 2009 seed in
//           what that seed has and the newer system in what it lacks.
// Invariants: code asks a member, never which system it is.
#pragma once

#include <cstdint>

namespace quay::kqueue {

enum class plain_modify : std::uint8_t {  // a change without EV_ADD and EV_DELETE
  keeps,                                  // only EV_ENABLE and EV_DISABLE act
  overwrites,                             // takes fflags, data, udata and runs the filter
  user_only,                              // keeps, but user events take new values
};
enum class wide_ident : std::uint8_t {  // a descriptor number that does not fit int
  truncated,                            // the low bits are the descriptor
  truncated_keyed,                      // the same, but the wide value distinguishes notes
  refused,                              // EBADF
};
enum class timeout_check : std::uint8_t {
  late,   // EINVAL when the scan is reached: changes stay applied
  none,   // negative means expired
  early,  // EINVAL before any change
};
enum class timer_restart : std::uint8_t {  // EV_ADD of a timer that exists
  keeps_running,                           // the new period counts from the next expiry
  restarts,                                // armed afresh, unread expirations dropped
};
enum class timer_zero : std::uint8_t {  // a period of zero
  refused,                              // EINVAL
  one_tick,                             // fires after a tick, 1 ms
  one_unit,                             // periodic: one unit; one-shot: at once
};
enum class timer_negative : std::uint8_t { refused, one_tick };
enum class bad_update : std::uint8_t {  // invalid values in EV_ADD of a timer that exists
  refused,                              // errno, timer untouched
  refused_stopped,                      // errno, the timer is stopped
  error_in_note,                        // the call succeeds, the note reports EV_ERROR
  unchecked,
};
enum class user_creation : std::uint8_t {  // NOTE_FF… and NOTE_TRIGGER in the creating EV_ADD
  applies_op,                              // applied to zero; the trigger fires
  stores_raw,                              // the word is stored as it is; the trigger does not fire
  stores_low,                              // the low 24 bits are stored; the trigger fires
};
enum class room_lacking : std::uint8_t {  // EV_RECEIPT with no room in the eventlist
  returns_early,                          // 0, remaining changes skipped
  fails,                                  // -1 without a particular errno
};
enum class exit_data : std::uint8_t {  // 19: data at a process's end
  untouched,
  status,
  status_if_asked,  // when NOTE_EXIT was requested
};

struct dialect {
  const char* name;

  // Flags and identity
  std::uint16_t system_flags;       // 16: bits no change may bring
  bool echoes_actions;              // 15: EV_ADD, EV_ENABLE, EV_DISABLE come back in events
  bool has_keep_udata;              // EV_KEEPUDATA, EV_FORCEONESHOT
  bool add_and_delete_deletes;      // 12: on an existing note
  bool enable_and_disable_refused;  // 13
  wide_ident wide;                  // 14
  plain_modify modify;              // 11
  bool enable_runs_filter;          // 53: also when nothing else of the change applies
  bool disable_before_filter;     // 17: ADD+DISABLE is never queued; filter not run while disabled
  bool clear_overrides_dispatch;  // 5
  bool skips_filter_zero;         // entries whose filter is 0 are dropped

  // kevent()
  timeout_check timeout;              // 8
  std::int64_t longest_timeout_s;     // 9: longer ones count as this; 0 = honoured
  bool infinite_beyond_longest;       // 9: longer ones wait for ever
  bool timeout_before_descriptor;     // 10: EFAULT before EBADF
  bool refuses_negative_counts;       // 48: EINVAL; otherwise they mean none
  room_lacking receipt_without_room;  // 7
  bool post_fault_is_efault;          // 54: else the registration's errno

  // Filters offered
  std::uint32_t filters;      // 2: bit ~number for each
  int aio_refusal;            // errno of a plain registration
  int unsupported_filter;     // 33: filter the object does not offer
  int not_read_on_kqueue;     // 33
  int self_watch;             // 35: 0 = accepted
  int write_on_vnode;         // 31: 0 = always ready
  int write_on_orphan_pipe;   // 32: 0 = accepted, EOF
  bool eof_has_nodata;        // 34
  bool eof_has_hup;           // 34
  bool has_oob;               // 43: NOTE_OOB on READ
  bool has_file_poll;         // 42: NOTE_FILE_POLL
  bool listener_shows_empty;  // EMPTY on a listening socket is true
  bool except_on_pipe;        // EXCEPT on pipes reports hang-up
  bool counters_show_value;   // data of an eventfd or timerfd is its counter, and 0 for writing

  // Files
  std::uint32_t vnode_bits;  // §5.5: NOTE_* that there are
  bool write_shows_extend;   // §5.5: who asks for NOTE_WRITE is told of NOTE_EXTEND too
  bool entry_move_extends;   // §5.5: a rename into or out of a directory extends it
  bool each_name_deletes;    // §5.5: NOTE_DELETE for each name that goes, not the last only

  // Processes
  bool zombies_can_be_watched;   // 18: by who asks for NOTE_EXIT
  exit_data exit;                // 19
  bool unasked_exit_is_dropped;  // 20: the note goes without an event
  bool proc_needs_permission;    // 21: EACCES
  bool child_event_apart;        // 22: NOTE_CHILD never comes with another bit

  // Timers
  bool timer_units;               // 27: NOTE_SECONDS … and NOTE_ABSTIME
  timer_restart restart;          // 24
  bool restart_replaces_flags;    // 24
  timer_zero zero;                // 25
  timer_negative negative;        // 25
  bad_update bad_timer_update;    // 25
  bool plain_modify_sets_period;  // §5.7: ENABLE/DISABLE take the change's data as period
  int timer_limit_margin;         // 26: at most kq_calloutmax minus this
  long user_events_limit;         // 26: timers and user events of a process together; 0 = none

  // Signals
  bool checks_signal_number;    // 28: numbers beyond the last signal are refused
  int unrecorded_when_ignored;  // 29: the signal that does not count while it is ignored, 0 = none

  // User events
  user_creation creation;              // 50, 52
  bool user_takes_udata;               // 30
  bool user_values_need_add;           // 30: without EV_ADD data and udata stay
  bool user_clears_values;             // 51: a CLEAR delivery zeroes fflags and data
  bool user_clear_change_zeroes_data;  // CLEAR in a change zeroes data
  bool user_oneshot_reports_zero;      // 55

  // The descriptor
  bool stat_size_is_count;  // 37
  bool has_sigio;           // 36
  bool has_filter_names;    // KFILTER_BYNAME, KFILTER_BYFILTER
  bool set_flags_refused;   // F_SETFL: ENOTTY
  int sending_refusal;      // SCM_RIGHTS
};

// QUAY_DIALECT_… to its table; null when there is no such dialect.
const dialect* find_dialect(int number) noexcept;

}  // namespace quay::kqueue
