// SPDX-License-Identifier: BSD-2-Clause
//
// What: in what the four dialects differ, as far as the model of kqueue has it.
// Contract: kqueue semantics, section 7; written from the tables, not from the library's own list.
#pragma once

#include <cerrno>

namespace quay::model {

// As most of them have it; each dialect says what it has otherwise.
struct rules {
  bool echoes_actions = true;  // EV_ADD and its like come back in events
  bool add_delete_deletes = false;
  bool both_refused = false;  // EV_ENABLE with EV_DISABLE
  bool keep_udata = false;
  bool change_takes = false;        // a change without EV_ADD overwrites every filter's values
  bool enable_asks = true;          // EV_ENABLE of a disabled note runs the filter
  bool enable_asks_unsure = false;  // or may: sources disagree
  bool disable_first = false;       // EV_DISABLE counts before the filter runs
  bool clear_beats_dispatch = false;
  bool receipt_without_room_fails = false;
  bool user_created_by_op = false;
  bool user_created_fires = false;
  bool user_takes_udata = true;
  bool user_needs_add = false;
  bool user_clear_wipes = false;
  bool user_clear_change_wipes = false;
  bool user_oneshot_blank = false;
  bool eof_shows_nodata = false;
  int orphan_pipe = EPIPE;  // errno of EVFILT_WRITE on a pipe without reader, 0: an event
  int not_read_on_queue = EINVAL;
};
const rules& rules_of(int dialect);

}  // namespace quay::model
