// SPDX-License-Identifier: BSD-2-Clause
//
// What: what a user may type after the tool's options, and every event it may have to put into words.
// Contract: a word is understood or refused by an exception of the tool; nothing else is thrown.
#include <exception>

#include "command.hpp"
#include "duration.hpp"
#include "event_view.hpp"
#include "input.hpp"
#include "watched.hpp"

// The tool's own is in the file with its main().
quay::tool::failure quay::tool::system_failure(const std::string& what, int) {
  return failure(what);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  quay::fuzz::input in(data, size);
  const unsigned kind = in.roll(6);
  const std::string text(reinterpret_cast<const char*>(in.at()), in.left());
  try {
    switch (kind) {
      case 0:
        if (const auto length = quay::tool::parse_duration(text))
          quay::tool::to_timer_value(*length);
        break;
      case 1:
        quay::tool::check_duration(text);
        break;
      case 2:
        quay::tool::watch_user("--user", text);
        break;
      case 3:
        quay::tool::watch_timer("--timer", text, 1, false);
        break;
      case 4:
        quay::tool::watch_process("--process", text, false);
        break;
      default: {
        struct kevent e {};
        e.ident = in.take<std::uint8_t>();
        e.filter = in.take<std::int16_t>();
        e.flags = in.take<std::uint16_t>();
        e.fflags = in.take<std::uint32_t>();
        e.data = static_cast<std::intptr_t>(in.take<std::int64_t>());
        quay::tool::flag_names(e.flags);
        quay::tool::fflag_names(e.filter, e.fflags);
        quay::tool::meaning(e, quay::tool::object_kind::other);
      }
    }
  } catch (const std::exception&) {
  }
  return 0;
}
