// SPDX-License-Identifier: BSD-2-Clause
//
// What: files that tell a port of what happens to them; see file.hpp.
#include "port/sources/file.hpp"

#include <cerrno>
#include <cstring>
#include <new>

namespace quay::port {
namespace {

constexpr std::uint32_t kRequestable =
    FILE_ACCESS | FILE_MODIFIED | FILE_ATTRIB | FILE_TRUNC | FILE_NOFOLLOW;
constexpr std::uint32_t kChangesInside =
    IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;  // of a directory: it is modified
constexpr std::uint32_t kOnObject =
    IN_ACCESS | IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF | kChangesInside;
constexpr std::uint32_t kOnParent = IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;

bool is_zero(const timespec& t) noexcept { return t.tv_sec == 0 && t.tv_nsec == 0; }
bool differ(const timespec& a, const timespec& b) noexcept {
  return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec;
}

// What the caller's stamps say has happened since they were taken.
std::uint32_t missed(const file_obj_t& seen, const host::file_state& now,
                     std::uint32_t asked) noexcept {
  if (now.is_fifo) return 0;
  std::uint32_t bits = 0;
  const auto compare = [&](const timespec& stamp, const timespec& is, std::uint32_t event) {
    if ((asked & event) != 0 && !is_zero(stamp) && differ(stamp, is)) bits |= event;
  };
  compare(seen.fo_atime, now.atime, FILE_ACCESS);
  compare(seen.fo_mtime, now.mtime, FILE_MODIFIED);
  compare(seen.fo_ctime, now.ctime, FILE_ATTRIB);
  return bits;
}

// Copies what the program calls a file_obj_t: an errno.
int read_request(core::host& os, const file_obj_t* from, file_obj_t& out,
                 char (&path)[PATH_MAX]) noexcept {
  if (from == nullptr || os.readable_prefix(from, sizeof *from) < sizeof *from) return EFAULT;
  out = *from;
  if (out.fo_name == nullptr) return EFAULT;
  const std::size_t readable = os.readable_prefix(out.fo_name, sizeof path);
  const void* end = std::memchr(out.fo_name, '\0', readable);
  if (end == nullptr) return readable < sizeof path ? EFAULT : ENAMETOOLONG;
  std::strcpy(path, out.fo_name);
  return 0;
}

}  // namespace

file_source* file_source::of(port& p, bool make, int& error) noexcept {
  port::section in(p);
  error = in.error();
  if (error != 0) return nullptr;
  auto* known = static_cast<file_source*>(p.source(PORT_SOURCE_FILE));
  if (known == nullptr) error = EINVAL;
  if (known != nullptr || !make) return known;
  void* place = core::map_memory(sizeof(file_source));
  error = place != nullptr ? 0 : ENOMEM;
  if (place == nullptr) return nullptr;
  auto* fresh = ::new (place) file_source;
  fresh->os_ = &p.env().os;
  p.attach(PORT_SOURCE_FILE, *fresh);
  p.attach(kMountsOfFiles, *fresh);
  return fresh;
}

file_source::watch_record* file_source::find(std::uintptr_t object) noexcept {
  for (std::size_t n = 0; n < high_water_; ++n) {
    if (watches_[n].used && watches_[n].object == object) return &watches_[n];
  }
  return nullptr;
}

file_source::watch_record* file_source::unused() noexcept {
  std::size_t n = 0;
  while (n < high_water_ && watches_[n].used) ++n;
  if (!watches_.reserve(n + 1)) return nullptr;
  if (n == high_water_) ++high_water_;
  watches_[n] = {};
  return &watches_[n];
}

// Has the kernel tell of files, from the first association on.
int file_source::start(port& p) noexcept {
  if (watcher_ >= 0) return 0;
  const int made = host::file_watcher();
  if (made < 0) return -made;
  const int error = p.watch_source_locked(PORT_SOURCE_FILE, made, EPOLLIN);
  if (error != 0) os_->discard(made);
  if (error == 0) watcher_ = made;
  return error;
}

// And of mounts, from the first directory on. Without /proc there is nobody to tell.
int file_source::watch_mounts(port& p) noexcept {
  if (mounts_ >= 0) return 0;
  const int made = os_->mounts_open();
  if (made < 0) return made == -EOPNOTSUPP ? 0 : -made;
  const int error = p.watch_source_locked(kMountsOfFiles, made, EPOLLPRI);
  if (error != 0) os_->discard(made);
  if (error == 0) mounts_ = made;
  return error;
}

// --- places ---------------------------------------------------------------------------------------

int file_source::watch_places(watch_record& w, const host::found_file& file) noexcept {
  w.self = host::file_watch(watcher_, file.object, kOnObject);
  if (w.self < 0) return -w.self == ENOSPC ? ENOMEM : -w.self;
  w.parent = file.parent >= 0 ? host::file_watch(watcher_, file.parent, kOnParent) : -1;
  std::strcpy(w.name, file.name);
  return 0;
}

void file_source::drop_place(int watch) noexcept {
  if (watch < 0) return;
  for (std::size_t n = 0; n < high_water_; ++n) {
    const watch_record& w = watches_[n];
    if (w.used && (w.self == watch || w.parent == watch)) return;
  }
  host::file_unwatch(watcher_, watch);
}

void file_source::drop(port& p, watch_record& w, bool free_slot) noexcept {
  w.used = false;
  drop_place(w.self);
  drop_place(w.parent);
  if (w.reader >= 0) os_->discard(w.reader);
  if (!free_slot) return;
  p.cancel_locked(w.slot);
  p.free_locked(w.slot);
}

// --- calls ----------------------------------------------------------------------------------------

void file_source::arm(port& p, watch_record& w, int events, void* user) noexcept {
  p.cancel_locked(w.slot);
  slot& s = p.slot_at(w.slot);
  w.events = static_cast<std::uint32_t>(events);
  w.age = ++age_;
  s.user = reinterpret_cast<std::uintptr_t>(user);
  s.events = 0;
  s.traits |= kKept;
  s.state = slot_state::armed;
}

int file_source::associate(port& p, std::uintptr_t object, const file_obj_t* from, int events,
                           void* user) noexcept {
  const auto asked = static_cast<std::uint32_t>(events);
  if ((asked & ~kRequestable) != 0) return EINVAL;
  file_obj_t request{};
  char path[PATH_MAX];
  if (const int error = read_request(p.env().os, from, request, path); error != 0) return error;
  host::found_file file;
  int error = host::find_file(path, (asked & FILE_NOFOLLOW) == 0, file);
  if (error != 0) return error;

  port::section in(p);
  error = in.error();
  if (error == 0) error = start(p);
  if (error != 0) {
    host::release_file(file);
    return error;
  }
  take_events(p);
  // Watched first, looked at then: no change falls in between.
  watch_record* w = find(object);
  watch_record fresh{};
  fresh.used = true;
  error = watch_places(fresh, file);
  host::file_state now{};
  if (error == 0) error = host::state_of_file(file.object, now);
  if (error == 0 && now.is_directory) error = watch_mounts(p);
  if (error == 0 && w == nullptr) {
    const slot_index i = p.reserve_locked();
    w = i != kNil ? unused() : nullptr;
    if (w == nullptr) {
      if (i != kNil) p.unreserve_locked(i);
      error = i != kNil ? ENOMEM : EAGAIN;
    } else {
      slot& s = p.slot_at(i);
      s.source = PORT_SOURCE_FILE;
      s.traits = kKept | kOwnerOnly | kAsksSource;
      s.object = object;
      s.data = static_cast<std::uint64_t>(w - &watches_[0]);
      fresh.slot = i;
    }
  } else if (error == 0) {
    const watch_record old = *w;
    fresh.slot = old.slot;
    w->used = false;
    if (old.reader >= 0) os_->discard(old.reader);
    if (old.self != fresh.self) drop_place(old.self);
    if (old.parent != fresh.parent) drop_place(old.parent);
  }
  if (error != 0) {
    drop_place(fresh.self);
    drop_place(fresh.parent);
    host::release_file(file);
    return error;
  }
  fresh.object = object;
  fresh.device = now.device;
  fresh.inode = now.inode;
  fresh.size = now.size;
  fresh.is_directory = now.is_directory;
  fresh.place = now.is_directory ? file.place : 0;
  // An open file keeps its file system from being unmounted: only where sizes matter.
  fresh.reader = (asked & FILE_TRUNC) != 0 ? file.object : -1;
  if (fresh.reader >= 0) file.object = -1;
  *w = fresh;
  host::release_file(file);
  arm(p, *w, events, user);
  if (const std::uint32_t bits = missed(request, now, asked); bits != 0) fire(p, *w, bits);
  return 0;
}

int file_source::dissociate(port& p, std::uintptr_t object) noexcept {
  port::section in(p);
  if (in.error() != 0) return in.error();
  if (watcher_ < 0) return EINVAL;
  take_events(p);
  watch_record* w = find(object);
  if (w == nullptr) return ENOENT;
  const slot_state was = p.slot_at(w->slot).state;
  drop(p, *w, true);
  return was == slot_state::armed || was == slot_state::queued ? 0 : ENOENT;
}

// --- events ---------------------------------------------------------------------------------------

void file_source::fire(port& p, watch_record& w, std::uint32_t bits) noexcept {
  slot& s = p.slot_at(w.slot);
  if (s.state == slot_state::armed) {
    s.events = static_cast<std::int32_t>(bits);
    p.enqueue_locked(w.slot);
  } else if (s.state == slot_state::queued) {
    // Later operations are not merged, but an exception is the last that will ever come.
    s.events |= static_cast<std::int32_t>(bits & FILE_EXCEPTION);
  }
}

// The events of a watch that an operation is.
std::uint32_t file_source::meaning(watch_record& w, const inotify_event& e,
                                   const char* name) noexcept {
  if (e.wd == w.parent && std::strcmp(name, w.name) == 0) {
    if ((e.mask & IN_DELETE) != 0) return FILE_DELETE;
    if ((e.mask & IN_MOVED_FROM) != 0) return FILE_RENAME_FROM;
    if ((e.mask & IN_MOVED_TO) != 0) return FILE_RENAME_TO;
  }
  if (e.wd != w.self) return 0;
  // A directory that is watched both as an object and as somebody's parent hears of its entries
  // with their names, of itself without.
  const bool inside = e.len > 0;
  if (inside && !w.is_directory) return 0;
  std::uint32_t bits = 0;
  if ((e.mask & IN_UNMOUNT) != 0) bits |= UNMOUNTED;
  if (!inside && (e.mask & IN_ACCESS) != 0) bits |= FILE_ACCESS;
  if (!inside && (e.mask & IN_ATTRIB) != 0) bits |= FILE_ATTRIB;
  if (!inside && (e.mask & IN_MODIFY) != 0) {
    bits |= FILE_MODIFIED | FILE_ATTRIB;
    host::file_state now{};
    if (w.reader >= 0 && host::state_of_file(w.reader, now) == 0) {
      if (now.size < w.size) bits |= FILE_TRUNC;
      w.size = now.size;
    }
  }
  if (inside && (e.mask & kChangesInside) != 0) bits |= FILE_MODIFIED | FILE_ATTRIB;
  return bits;
}

void file_source::happened(port& p, const inotify_event& e, const char* name) noexcept {
  if ((e.mask & IN_Q_OVERFLOW) != 0) return overflowed(p);
  // Several watches of one file fire in the order of their associations.
  std::uint64_t last = 0;
  for (;;) {
    watch_record* next = nullptr;
    for (std::size_t n = 0; n < high_water_; ++n) {
      watch_record& w = watches_[n];
      if (!w.used || w.age <= last || (w.self != e.wd && w.parent != e.wd)) continue;
      if (next == nullptr || w.age < next->age) next = &w;
    }
    if (next == nullptr) return;
    last = next->age;
    const std::uint32_t bits = meaning(*next, e, name) & (next->events | FILE_EXCEPTION);
    if (bits != 0) fire(p, *next, bits);
  }
}

// inotify lost events: whoever asked for anything hears that something may have changed.
void file_source::overflowed(port& p) noexcept {
  for (std::size_t n = 0; n < high_water_; ++n) {
    watch_record& w = watches_[n];
    const std::uint32_t bits = w.events & (FILE_ACCESS | FILE_MODIFIED | FILE_ATTRIB);
    if (w.used && bits != 0) fire(p, w, bits);
  }
}

void file_source::due(port& p, int number) noexcept {
  if (number == kMountsOfFiles) {
    take_mounts(p);
  } else {
    take_events(p);
  }
}

void file_source::take_mounts(port& p) noexcept {
  if (mounts_ < 0) return;
  struct visitor {
    file_source& files;
    port& to;
  } mine{*this, p};
  host::each_mount(mounts_, &mine, [](void* context, std::uint64_t place) {
    const auto& [files, to] = *static_cast<visitor*>(context);
    for (std::size_t n = 0; n < files.high_water_; ++n) {
      watch_record& w = files.watches_[n];
      if (w.used && w.place != 0 && w.place == place) files.fire(to, w, MOUNTEDOVER);
    }
  });
}

void file_source::take_events(port& p) noexcept {
  if (watcher_ < 0) return;
  alignas(inotify_event) char buffer[4096];
  for (int n; (n = host::file_events(watcher_, buffer, sizeof buffer)) > 0;) {
    for (int at = 0; at < n;) {
      const auto* e = reinterpret_cast<const inotify_event*>(buffer + at);
      happened(p, *e, e->len > 0 ? e->name : "");
      at += static_cast<int>(sizeof *e + e->len);
    }
  }
}

bool file_source::deliver(port& p, slot& s, port_event_t& out) noexcept {
  const std::uint64_t n = s.data;
  if (n >= high_water_) return false;
  watch_record& w = watches_[n];
  if (!w.used || &p.slot_at(w.slot) != &s) return false;
  out = {s.events, s.source, 0, static_cast<uintptr_t>(s.object),
         reinterpret_cast<void*>(static_cast<uintptr_t>(s.user))};
  if ((static_cast<std::uint32_t>(s.events) & FILE_EXCEPTION) != 0) {
    // The watched name is gone, and with it the watch.
    drop(p, w, false);
    s.traits &= static_cast<std::uint8_t>(~kKept);
  }
  return true;
}

// The port's slots are gone, and so is everything that is watched for it.
void file_source::closed(core::host& os) noexcept {
  for (std::size_t n = 0; n < high_water_; ++n) {
    if (watches_[n].used && watches_[n].reader >= 0) os.discard(watches_[n].reader);
  }
  high_water_ = 0;
  if (watcher_ >= 0) os.discard(watcher_);
  watcher_ = -1;
  if (mounts_ >= 0) os.discard(mounts_);
  mounts_ = -1;
}

}  // namespace quay::port
