// SPDX-License-Identifier: BSD-2-Clause
//
// What: a host with a simulated clock and scripted readiness: epoll without a kernel.
// Contract: core/host.hpp. Level- and edge-triggered registrations behave as epoll's do; a wait that
//           finds nothing moves the clock to its timeout, or runs the script that was set for it.
#pragma once

#include <algorithm>
#include <cerrno>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "core/host.hpp"

namespace quay::test {

class fake_host final : public core::host {
 public:
  struct file {
    bool open = true;
    bool pollable = true;
    std::uint32_t events = 0;  // what holds now
    std::int64_t bytes = 0;
    core::object kind = core::object::stream_socket;
  };

  std::int64_t now = 1000000000;
  std::int64_t wall_offset = 1700000000000000000;
  std::map<int, file> files;
  int epoll_ctls = 0;
  int waits = 0;
  std::function<void()> on_block;   // what happens while a wait would block
  std::map<int, int> duplicates;    // another number of a set's, and its first one
  std::function<void()> on_search;  // what happens while duplicates are searched for

  // The object changes: edges are raised, as arrival of data or space does.
  void set_events(int fd, std::uint32_t events, std::int64_t bytes = 0) {
    files[fd].events = events;
    files[fd].bytes = bytes;
    for (auto& [number, set] : sets_) {
      const auto it = set.find(fd);
      if (it != set.end() && (it->second.bits & events) != 0) it->second.raised = true;
    }
  }

  std::size_t readable_prefix(const void*, std::size_t n) noexcept override { return n; }
  std::size_t writable_prefix(void*, std::size_t n) noexcept override { return n; }
  std::int64_t monotonic() noexcept override { return now; }
  std::int64_t monotonic_tick() noexcept override { return now; }
  std::int64_t wall() noexcept override { return now + wall_offset; }

  int set_create(bool) noexcept override {
    files[next_] = {true, true, 0, 0, core::object::other};
    sets_[next_];
    return next_++;
  }
  bool is_set(int fd) noexcept override { return sets_.count(first_number(fd)) != 0; }
  bool is_same_file(int a, int b) noexcept override { return first_number(a) == first_number(b); }
  int duplicate_of(int fd, int last) noexcept override {
    if (on_search) std::exchange(on_search, nullptr)();
    const auto it = duplicates.upper_bound(last);
    return it != duplicates.end() && it->second == fd ? it->first : -1;
  }
  bool put_in_place(int, int) noexcept override { return false; }
  int watch_edges(int, core::edge_listener&, std::uint32_t) noexcept override { return ENOSYS; }
  void forget_edges() noexcept override {}
  int send_sigio(long, bool) noexcept override { return 0; }
  int set_add(int set, int fd, std::uint32_t bits, std::uint64_t name) noexcept override {
    ++epoll_ctls;
    if (!files.count(fd) || !files[fd].open) return EBADF;
    if (!files[fd].pollable) return EPERM;
    if (sets_[set].count(fd)) return EEXIST;
    sets_[set][fd] = {bits, name, true};
    return 0;
  }
  int set_modify(int set, int fd, std::uint32_t bits, std::uint64_t name) noexcept override {
    ++epoll_ctls;
    if (!files.count(fd) || !files[fd].open) return EBADF;
    if (!sets_[set].count(fd)) return ENOENT;
    sets_[set][fd] = {bits, name, true};
    return 0;
  }
  int set_remove(int set, int fd) noexcept override {
    ++epoll_ctls;
    return sets_[set].erase(fd) != 0 ? 0 : ENOENT;
  }
  int set_wait(int set, epoll_event* out, int most, std::int64_t timeout) noexcept override {
    ++waits;
    int n = collect(set, out, most);
    if (n == 0 && timeout != 0) {
      if (on_block) {
        const auto script = std::exchange(on_block, nullptr);
        script();
        n = collect(set, out, most);
      }
      if (n == 0 && timeout > 0) now += timeout;
    }
    return n;
  }
  int bell_create() noexcept override { return 0; }
  void ring(int set, bool) noexcept override { bells_[set] = true; }
  void hush(int set) noexcept override { bells_[set] = false; }

  int timer_create(bool) noexcept override { return set_create(true); }
  int timer_program(int, std::int64_t) noexcept override { return 0; }
  int watcher_create() noexcept override { return -ENOSYS; }
  int watch_add(int, int, std::uint32_t, bool) noexcept override { return -ENOSYS; }
  void watch_remove(int, int) noexcept override {}
  int watcher_read(int, core::file_event*, int) noexcept override { return 0; }
  int file_now(int, core::file_state&) noexcept override { return EINVAL; }

  bool is_open(int fd) noexcept override { return files.count(fd) != 0 && files[fd].open; }
  void discard(int fd) noexcept override {
    files.erase(fd);
    if (duplicates.erase(fd) != 0) return;
    // The set lives on in its duplicate; there is one at most.
    const auto other = std::find_if(duplicates.begin(), duplicates.end(),
                                    [fd](const auto& d) { return d.second == fd; });
    if (other != duplicates.end()) {
      sets_[other->first] = std::move(sets_[fd]);
      duplicates.erase(other);
    }
    sets_.erase(fd);
  }
  int examine(int fd, core::object_facts& out) noexcept override {
    if (!is_open(fd)) return EBADF;
    out = {files[fd].kind, true, true, 0};
    return 0;
  }
  std::uint32_t poll_now(int fd, std::uint32_t events) noexcept override {
    return files[fd].events & (events | EPOLLHUP | EPOLLERR);
  }
  std::int64_t bytes_to_read(int fd, core::object) noexcept override { return files[fd].bytes; }
  std::int64_t bytes_behind_mark(int) noexcept override { return 0; }
  bool has_ended(int) noexcept override { return false; }
  std::int64_t backlog(int) noexcept override { return 1; }
  std::int64_t counted(int) noexcept override { return -1; }
  std::int64_t room_to_write(int, core::object) noexcept override { return 4096; }
  std::int64_t unsent(int) noexcept override { return 0; }
  bool sending_is_shut(int) noexcept override { return false; }
  std::int64_t distance_to_end(int fd) noexcept override { return files[fd].bytes; }
  int take_socket_error(int) noexcept override { return 0; }
  int process_open(std::int64_t) noexcept override { return -ESRCH; }
  bool process_ended(int) noexcept override { return false; }
  bool process_status(int, std::int64_t, int&) noexcept override { return false; }
  bool is_process(int) noexcept override { return false; }
  bool may_signal(std::int64_t) noexcept override { return false; }
  int process_events_open() noexcept override { return -EOPNOTSUPP; }
  void process_events_close(int) noexcept override {}
  int process_events_read(int, core::process_event*, int) noexcept override { return 0; }
  int mounts_open() noexcept override { return -EOPNOTSUPP; }
  std::int64_t mounts_list(int, std::uint64_t*, std::size_t) noexcept override { return 0; }

 private:
  struct registration {
    std::uint32_t bits;
    std::uint64_t name;
    bool raised;  // an edge that was not reported yet
  };

  int first_number(int fd) const {
    const auto it = duplicates.find(fd);
    return it != duplicates.end() ? it->second : fd;
  }
  int collect(int number, epoll_event* out, int most) {
    const int set = first_number(number);
    if (sets_.count(set) == 0) return -EBADF;
    int n = 0;
    if (bells_[set] && n < most) {
      out[n].events = EPOLLIN;
      out[n++].data.u64 = core::kBell;
      bells_[set] = false;
    }
    for (auto& [fd, r] : sets_[set]) {
      if (n == most) break;
      const std::uint32_t holds = files[fd].events & (r.bits | EPOLLHUP | EPOLLERR);
      const bool edge = (r.bits & static_cast<std::uint32_t>(EPOLLET)) != 0;
      if (holds == 0 || (edge && !r.raised)) continue;
      r.raised = false;
      out[n].events = holds;
      out[n++].data.u64 = r.name;
    }
    return n;
  }

  int next_ = 1000;
  std::map<int, std::map<int, registration>> sets_;
  std::map<int, bool> bells_;
};

}  // namespace quay::test
