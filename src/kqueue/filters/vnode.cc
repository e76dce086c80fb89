// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_VNODE: what happens to a file or directory.
// Contract: semantics/kqueue.md 5.5. What inotify does not tell is found by comparing the file with
//           what it was at the last look: growth, shrinking, and the number of links, whose change
//           inotify shows as one of the attributes.
// Invariants:
//   1. sdata is the file's size, seen its number of links and reported its mode and owner, as of
//      the last look. (No change's data means anything to this filter.)
//   2. A directory with NOTE_DELETE is watched through its parent too: a directory that somebody has
//      open is not told of its own removal.
// Locking: the queue's mutex, as for every source.
#include <sys/event.h>

#include <cerrno>
#include <utility>

#include "kqueue/filters/descriptor.hpp"
#include "kqueue/filters/filters.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {
namespace {

using core::file_state;
using core::note;
using core::slot_index;
namespace change = core::file_change;

constexpr std::uint32_t kOnAccess[][2] = {
    {NOTE_OPEN, change::kOpened},
    {NOTE_CLOSE, change::kClosed},
    {NOTE_CLOSE_WRITE, change::kClosedWrite},
    {NOTE_READ, change::kRead},
};

// What the watcher must report so that the requested bits can be told.
std::uint32_t changes_behind(std::uint32_t request, bool directory) noexcept {
  std::uint32_t what = change::kMoved;  // a watch for nothing would not tell of an unmount either
  if ((request & (NOTE_WRITE | NOTE_EXTEND | NOTE_TRUNCATE)) != 0) {
    what |= directory ? change::kEntries : change::kModified;
  }
  if ((request & NOTE_LINK) != 0 && directory) what |= change::kEntries;
  if ((request & (NOTE_ATTRIB | NOTE_LINK | NOTE_DELETE)) != 0) what |= change::kAttributes;
  for (const auto& [bit, access] : kOnAccess) {
    if ((request & bit) != 0) what |= access;
  }
  return what;
}

class vnode_filter_type final : public filter {
 public:
  constexpr vnode_filter_type() noexcept : filter(true, false) {}

  int attach(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    core::interest& it = q.interest_of_note_locked(n);
    n.dir = core::kOther;
    n.descriptor.asks = 0;
    const dialect& d = q.rules();
    if (q.owner().queue_at(it.descriptor) != nullptr && q.os().is_set(it.descriptor)) {
      return d.not_read_on_kqueue;
    }
    file_state now{};
    if (const int error = q.os().file_now(it.descriptor, now); error != 0) {
      return error == EBADF ? EBADF : d.unsupported_filter;
    }
    descriptor_filter::examine(q, it);
    // What the watcher has not told yet happened before this note.
    const std::uint32_t request = std::exchange(n.sfflags, 0);
    q.take_file_events_locked();
    n.sfflags = request;
    n.flags &= static_cast<std::uint16_t>(~EV_EOF);
    q.retire_locked(i);
    if (const int error = subscribe(q, n, now.directory); error != 0) return error;
    if (q.os().file_now(it.descriptor, now) == 0) remember(n, now);
    n.data = 0;
    n.fflags = 0;
    return 0;
  }

  void detach(queue&, slot_index, note&) noexcept override {}

  bool event(queue&, slot_index, note& n) noexcept override {
    return n.fflags != 0 || (n.flags & EV_EOF) != 0;
  }

  int touch(queue& q, slot_index, note& n, core::event& change) noexcept override
      QUAY_REQUIRES(q.lock()) {
    n.sfflags = change.fflags;
    if (!(q.rules().has_keep_udata && (change.flags & EV_KEEPUDATA))) n.udata = change.udata;
    file_state now{};
    if (q.os().file_now(q.interest_of_note_locked(n).descriptor, now) != 0) return EBADF;
    return subscribe(q, n, now.directory);
  }

  int evaluate(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    if (event(q, i, n)) q.activate_locked(i);
    return 0;
  }
  void enabled(queue&, slot_index, note&) noexcept override {}

  void file_event(queue& q, slot_index i, note& n, std::uint32_t what,
                  bool parent) noexcept override QUAY_REQUIRES(q.lock()) {
    const dialect& d = q.rules();
    file_state now{};
    if (q.os().file_now(q.interest_of_note_locked(n).descriptor, now) != 0) return;
    std::uint32_t bits = 0;
    if (parent) {
      if (n.descriptor.seen == 0 || now.links != 0) return;
      bits = NOTE_DELETE;
    } else {
      bits = now.directory ? of_directory(d, n, now, what) : of_file(d, n, now, what);
      for (const auto& [bit, access] : kOnAccess) {
        if ((what & (access | change::kLost)) != 0) bits |= bit;
      }
      if ((what & (change::kMoved | change::kLost)) != 0) bits |= NOTE_RENAME;
      if ((what & change::kUnmounted) != 0) {
        bits |= NOTE_REVOKE;
        n.flags |= EV_EOF;
        if (d.eof_has_nodata) n.flags |= EV_NODATA;
      }
      if ((what & change::kMoved) != 0 && now.directory) subscribe(q, n, true);
    }
    remember(n, now);
    std::uint32_t wanted = n.sfflags & d.vnode_bits;
    if (d.write_shows_extend && (wanted & NOTE_WRITE) != 0) wanted |= NOTE_EXTEND;
    n.fflags |= bits & wanted;
    if ((bits & (wanted | NOTE_REVOKE)) != 0) q.activate_locked(i);
  }

 private:
  static int subscribe(queue& q, const note& n, bool directory) noexcept QUAY_REQUIRES(q.lock()) {
    const std::uint32_t request = n.sfflags & q.rules().vnode_bits;
    const slot_index on = n.descriptor.interest;
    const int error = q.watch_file_locked(on, changes_behind(request, directory), false);
    if (error == 0 && directory && (request & NOTE_DELETE) != 0) {
      // A root, and a directory that is gone, have no parent to speak of.
      const int above = q.watch_file_locked(on, change::kEntries, true);
      return above == ENOENT ? 0 : above;
    }
    return error;
  }

  static void remember(note& n, const file_state& now) noexcept {
    n.sdata = now.size;
    n.descriptor.seen = now.links;
    n.descriptor.reported = now.access;
  }

  static std::uint32_t of_file(const dialect& d, const note& n, const file_state& now,
                               std::uint32_t what) noexcept {
    std::uint32_t bits = 0;
    if ((what & (change::kModified | change::kLost)) != 0) {
      bits |= NOTE_WRITE;
      if (now.size > n.sdata) bits |= NOTE_EXTEND;
      if (now.size < n.sdata) bits |= NOTE_TRUNCATE;
    }
    if ((what & (change::kAttributes | change::kLost)) != 0) {
      const bool linked = now.links != n.descriptor.seen;
      const bool deleted = now.links == 0 || (d.each_name_deletes && now.links < n.descriptor.seen);
      if (linked && deleted) bits |= NOTE_DELETE;
      if (linked && now.links != 0) bits |= NOTE_LINK;
      if (!linked || now.access != n.descriptor.reported) bits |= NOTE_ATTRIB;
    }
    return bits;
  }

  static std::uint32_t of_directory(const dialect& d, const note& n, const file_state& now,
                                    std::uint32_t what) noexcept {
    std::uint32_t bits = 0;
    if ((what & (change::kEntries | change::kLost)) != 0) bits |= NOTE_WRITE;
    if ((what & (change::kSubdirectory | change::kLost)) != 0) bits |= NOTE_LINK;
    // One that is moved onto another takes its place, so the number of links decides, in file
    // systems that count directories.
    const bool counted = now.links > 1;
    if (counted ? now.links != n.descriptor.seen : (what & change::kSubdirectoryIn) != 0) {
      bits |= NOTE_LINK;
    }
    if ((what & change::kEntryMoved) != 0 && d.entry_move_extends) bits |= NOTE_EXTEND;
    const bool gone = now.links == 0;
    if (gone && n.descriptor.seen != 0) bits |= NOTE_DELETE;
    // Its end shows as an attribute as well.
    if ((what & (change::kAttributes | change::kLost)) != 0 &&
        (!gone || now.access != n.descriptor.reported)) {
      bits |= NOTE_ATTRIB;
    }
    return bits;
  }
};

}  // namespace

namespace {
constinit vnode_filter_type instance;
}  // namespace
constinit filter& vnode_filter = instance;

}  // namespace quay::kqueue
