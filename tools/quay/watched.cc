// SPDX-License-Identifier: BSD-2-Clause
//
// What: see watched.hpp.
#include "watched.hpp"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "command.hpp"
#include "duration.hpp"

namespace quay::tool {

namespace {

template <typename Number>
std::optional<Number> to_number(const std::string& text) {
  Number number{};
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || rest != text.data() + text.size()) return std::nullopt;
  return number;
}

object_kind kind_of(int fd) {
  int listens = 0;
  socklen_t size = sizeof listens;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0)
    return object_kind::listener;
  struct stat st;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) return object_kind::file;
  return object_kind::other;
}

}  // namespace

watched::watched(watched&& other) noexcept
    : source(std::move(other.source)),
      change(other.change),
      kind(other.kind),
      trigger_period(other.trigger_period),
      opened(std::exchange(other.opened, false)),
      drain(other.drain) {}

watched::~watched() {
  if (opened) close(static_cast<int>(change.ident));
}

bool watched::finished_by(const struct kevent& event) const {
  if (event.filter == EVFILT_PROC && (change.fflags & NOTE_TRACK) != 0) return false;
  if ((event.flags & (EV_EOF | EV_ONESHOT)) != 0) return true;
  return event.filter == EVFILT_USER && trigger_period.count() == 0;
}

void watched::take_input(const struct kevent& event) const {
  if (!drain || kind == object_kind::listener) return;
  std::array<char, 65536> bytes;
  for (intptr_t left = event.data; left > 0;) {
    const ssize_t n = read(static_cast<int>(event.ident), bytes.data(),
                           std::min(bytes.size(), static_cast<size_t>(left)));
    if (n <= 0) return;
    left -= n;
  }
}

watched watch_descriptor(const std::string& option, int filter, const std::string& target) {
  watched it;
  it.source = option + " " + target;
  int fd = filter == EVFILT_WRITE ? STDOUT_FILENO : STDIN_FILENO;
  if (const auto number = to_number<int>(target)) {
    fd = *number;
  } else if (target != "-") {
    const int mode = filter == EVFILT_WRITE ? O_WRONLY : O_RDONLY;
    fd = open(target.c_str(), mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) throw system_failure("cannot open " + target, errno);
    it.opened = true;
  }
  it.kind = kind_of(fd);
  EV_SET(&it.change, fd, filter, EV_ADD | EV_CLEAR, 0, 0, nullptr);
  return it;
}

watched watch_file(const std::string& option, const std::string& path, bool accesses) {
  watched it;
  it.source = option + " " + path;
  // O_PATH: opening a file or a fifo for its content may be forbidden, or wait for somebody.
  const int fd = open(path.c_str(), O_PATH | O_CLOEXEC);
  if (fd < 0) throw system_failure("cannot open " + path, errno);
  it.opened = true;
  unsigned bits = NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK | NOTE_RENAME |
                  NOTE_REVOKE | NOTE_TRUNCATE;
  if (accesses) bits |= NOTE_OPEN | NOTE_READ | NOTE_CLOSE | NOTE_CLOSE_WRITE;
  EV_SET(&it.change, fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, bits, 0, nullptr);
  return it;
}

watched watch_process(const std::string& option, const std::string& pid, bool follow) {
  watched it;
  it.source = option + " " + pid;
  const auto number = to_number<pid_t>(pid);
  if (!number)
    throw CLI::ValidationError(option, fmt::format("\"{}\" is not a process's number", pid));
  const unsigned bits = NOTE_EXIT | (follow ? NOTE_FORK | NOTE_EXEC | NOTE_TRACK : 0);
  EV_SET(&it.change, *number, EVFILT_PROC, EV_ADD, bits, 0, nullptr);
  return it;
}

watched watch_mounts(const std::string& option) {
  watched it;
  it.source = option;
  EV_SET(&it.change, 0, EVFILT_FS, EV_ADD, 0, 0, nullptr);
  return it;
}

watched watch_timer(const std::string& option, const std::string& length, unsigned ident,
                    bool once) {
  watched it;
  it.source = option + " " + length;
  const timer_value value = to_timer_value(parse_duration(length).value());
  EV_SET(&it.change, ident, EVFILT_TIMER, EV_ADD | (once ? EV_ONESHOT : 0), value.fflags,
         value.data, nullptr);
  return it;
}

watched watch_user(const std::string& option, const std::string& text) {
  watched it;
  it.source = option + " " + text;
  const size_t at = text.find('@');
  const auto ident = to_number<uintptr_t>(text.substr(0, at));
  std::optional<std::chrono::nanoseconds> period(std::chrono::nanoseconds(0));
  if (at != std::string::npos) period = parse_duration(text.substr(at + 1));
  if (!ident || !period)
    throw CLI::ValidationError(option, fmt::format("\"{}\" is not IDENT or IDENT@PERIOD", text));
  it.trigger_period = *period;
  EV_SET(&it.change, *ident, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, nullptr);
  return it;
}

}  // namespace quay::tool
