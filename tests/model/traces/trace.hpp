// SPDX-License-Identifier: BSD-2-Clause
//
// What: one recorded sequence of operations as data, and the reader of trace files (JSON lines,
// plain or gzip).
// Contract: the format of the recordings, with every name already turned into this system's value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quay::traces {

// One entry of a changelist or of an expected eventlist. `object` is an end ("p0.r"), a queue
// ("q1"), a descriptor that is never open ("fd:999") or a plain number.
struct entry {
  std::string object;
  int filter = 0;
  unsigned flags = 0;
  unsigned fflags = 0;
  long long data = 0;
  unsigned long long udata = 0;
  bool data_matters = true;
};

enum class action { make_queue, make_channel, write, read, fill, drain, close, advance, kevent };

struct operation {
  action what = action::kevent;
  std::string object;           // the queue, channel or end that is acted on
  bool by_pipe = false;         // make_channel: a pipe, not a socket pair
  long amount = 0;              // bytes, or milliseconds of advance
  long result = 0;              // of write, read and kevent
  int error = 0;                // expected errno where result is -1
  std::vector<entry> changes;   // kevent
  int room = 0;                 // kevent: 0 stands for a null eventlist
  std::vector<entry> expected;  // kevent
  bool any_of = false;          // kevent: `result` of `expected`, whichever
};

struct sequence {
  std::string id;
  int dialect = 0;
  int tier = 0;
  bool strict_order = false;
  bool timed = false;  // the clock is advanced somewhere
  std::vector<operation> operations;
};

std::string_view action_name(action what);

// Throws std::runtime_error (or nlohmann::json's exceptions) for what is not a trace.
sequence parse_sequence(const std::string& line);

// The text of a file, unpacked if its name ends in .gz.
std::string read_whole_file(const std::string& path);

// All sequences of a `.jsonl` or `.jsonl.gz` file.
std::vector<sequence> read_trace_file(const std::string& path);

}  // namespace quay::traces
