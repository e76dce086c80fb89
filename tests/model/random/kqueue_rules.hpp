// SPDX-License-Identifier: BSD-2-Clause
//
// What: in what the four dialects differ, as far as the model of kqueue has it.
// Contract: kqueue semantics, section 7; written from the tables, not from the library's own list.
#pragma once

namespace quay::model {

struct rules {
  bool echoes_actions;  // EV_ADD and its like come back in events
  bool add_delete_deletes;
  bool both_refused;  // EV_ENABLE with EV_DISABLE
  bool keep_udata;
  bool change_takes;        // a change without EV_ADD overwrites every filter's values
  bool enable_asks;         // EV_ENABLE of a disabled note runs the filter
  bool enable_asks_unsure;  // or may: sources disagree
  bool disable_first;       // EV_DISABLE counts before the filter runs
  bool clear_beats_dispatch;
  bool receipt_without_room_fails;
  bool user_created_by_op, user_created_fires;
  bool user_takes_udata, user_needs_add, user_clear_wipes, user_clear_change_wipes,
      user_oneshot_blank;
  bool eof_shows_nodata;
  int orphan_pipe;  // errno of EVFILT_WRITE on a pipe without reader, 0: an event
  int not_read_on_queue;
};
const rules& rules_of(int dialect);

}  // namespace quay::model
