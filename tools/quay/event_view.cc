// SPDX-License-Identifier: BSD-2-Clause
//
// What: see event_view.hpp.
#include "event_view.hpp"

#include <fmt/format.h>
#include <quay/quay.h>
#include <string.h>
#include <sys/wait.h>

#include <span>

#include "names.hpp"

namespace quay::tool {

namespace {

std::vector<std::string> names(std::span<const bit> bits, unsigned value) {
  std::vector<std::string> found;
  for (const bit& each : bits) {
    if ((value & each.value) != 0) found.emplace_back(each.name);
  }
  return found;
}

std::string count(long n, const char* one, const char* many) {
  return n == 1 ? fmt::format("1 {}", one) : fmt::format("{} {}", n, many);
}

std::string readable(const struct kevent& event, object_kind kind) {
  const long n = static_cast<long>(event.data);
  if (kind == object_kind::listener) return count(n, "connection waits", "connections wait");
  if (kind == object_kind::file)
    return count(n, "byte up to the end of the file", "bytes up to the end of the file");
  std::string bytes = count(n, "byte to read", "bytes to read");
  if ((event.flags & EV_EOF) == 0) return bytes;
  return n == 0 ? "end of input" : bytes + ", then the end of input";
}

std::string writable(const struct kevent& event) {
  if ((event.flags & EV_EOF) != 0) return "nobody reads any more";
  return "room for " + count(static_cast<long>(event.data), "byte", "bytes");
}

struct words_of {
  unsigned bit;
  const char* words;
};
constexpr words_of kFileWords[] = {
    {NOTE_DELETE, "removed"},    {NOTE_WRITE, "written"},
    {NOTE_EXTEND, "grown"},      {NOTE_TRUNCATE, "shrunk"},
    {NOTE_ATTRIB, "attributes"}, {NOTE_LINK, "links"},
    {NOTE_RENAME, "renamed"},    {NOTE_REVOKE, "unmounted"},
    {NOTE_OPEN, "opened"},       {NOTE_READ, "read"},
    {NOTE_CLOSE, "closed"},      {NOTE_CLOSE_WRITE, "closed by a writer"},
};
constexpr words_of kMountWords[] = {{VQ_MOUNT, "mounted"}, {VQ_UNMOUNT, "unmounted"}};

std::string spoken(std::span<const words_of> table, unsigned bits) {
  std::string text;
  for (const words_of& each : table) {
    if ((bits & each.bit) != 0) text += (text.empty() ? "" : ", ") + std::string(each.words);
  }
  return text;
}

std::string process(const struct kevent& event) {
  std::string text;
  const auto say = [&text](const std::string& more) { text += (text.empty() ? "" : ", ") + more; };
  if ((event.fflags & NOTE_CHILD) != 0) say("a child was born");
  if ((event.fflags & NOTE_FORK) != 0) say("forked");
  if ((event.fflags & NOTE_EXEC) != 0) say("runs another program");
  if ((event.fflags & NOTE_TRACKERR) != 0) say("a child could not be followed");
  if ((event.fflags & NOTE_EXIT) != 0) {
    const int status = static_cast<int>(event.data);
    // NetBSD tells no status.
    say(status == 0           ? std::string("ended")
        : WIFSIGNALED(status) ? fmt::format("killed by signal {}", WTERMSIG(status))
                              : fmt::format("ended with {}", WEXITSTATUS(status)));
  }
  return text.empty() ? "ended" : text;
}

}  // namespace

std::string filter_name(int filter) {
  const char* name = name_of_filter(filter);
  return name != nullptr ? name : std::to_string(filter);
}

std::vector<std::string> flag_names(unsigned flags) { return names(kFlags, flags); }

std::vector<std::string> fflag_names(int filter, unsigned fflags) {
  return names(notes_of_filter(filter), fflags);
}

std::string meaning(const struct kevent& event, object_kind kind) {
  if ((event.flags & EV_ERROR) != 0) return strerror(static_cast<int>(event.data));
  switch (event.filter) {
    case EVFILT_READ:
      return readable(event, kind);
    case EVFILT_WRITE:
      return writable(event);
    case EVFILT_EXCEPT:
      return "out-of-band data, or hung up";
    case EVFILT_EMPTY:
      return "everything sent has left";
    case EVFILT_VNODE:
      return spoken(kFileWords, event.fflags);
    case EVFILT_PROC:
      return process(event);
    case EVFILT_FS:
      return spoken(kMountWords, event.fflags);
    case EVFILT_TIMER:
      return "expired " + count(static_cast<long>(event.data), "time", "times");
    case EVFILT_USER:
      return "triggered";
    default:
      return {};
  }
}

}  // namespace quay::tool
