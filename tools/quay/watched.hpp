// SPDX-License-Identifier: BSD-2-Clause
//
// What: one thing that `quay watch` waits for: how the command line names it, the change that
// registers it, and when it can tell nothing more. Ownership: closes the descriptors it opened;
// never those the program was started with.
#pragma once

#include <sys/event.h>

#include <chrono>
#include <string>

#include "event_view.hpp"

namespace quay::tool {

struct watched {
  std::string source;  // as given: "--read 0"
  struct kevent change = {};
  object_kind kind = object_kind::other;
  std::chrono::nanoseconds trigger_period{0};  // user events: 0 is once
  bool opened = false;
  bool drain = false;

  watched() = default;
  watched(watched&& other) noexcept;
  watched& operator=(watched&&) = delete;
  ~watched();

  // Whether, after this event, no other can come.
  bool finished_by(const struct kevent& event) const;

  // Takes away what the event says is there to read, and no more, so that it cannot block.
  void take_input(const struct kevent& event) const;
};

// target: a descriptor's number, a path, or "-", standard input (output, for EVFILT_WRITE). Throws
// failure.
watched watch_descriptor(const std::string& option, int filter, const std::string& target);
watched watch_timer(const std::string& option, const std::string& length, unsigned ident,
                    bool once);
// Everything that happens to the file or directory at a path. Throws failure.
watched watch_file(const std::string& option, const std::string& path, bool accesses);
// The end of a process and, with `follow`, its forks, execs and descendants. Throws
// CLI::ValidationError.
watched watch_process(const std::string& option, const std::string& pid, bool follow);
watched watch_mounts(const std::string& option);
// IDENT or IDENT@PERIOD. Throws CLI::ValidationError.
watched watch_user(const std::string& option, const std::string& text);

}  // namespace quay::tool
