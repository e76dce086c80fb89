// SPDX-License-Identifier: BSD-2-Clause
//
// What: kqueue as the manual pages and kernels have it, small enough to be read: no kernel, no lock, no wake-up.
// Contract: the note states and the change × state matrix of the BSD kernels, per dialect: EVFILT_USER whole; EVFILT_TIMER
//           that never expires; EVFILT_READ and EVFILT_WRITE of objects whose state the caller tells; queues that watch queues.
// Invariants: where Linux leaves it open whether an edge comes, the note is `doubtful` and either answer is right.
#pragma once

#include <sys/event.h>

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "kqueue_rules.hpp"

namespace quay::model {

// What a descriptor is at the moment; the trial keeps it true.
struct object {
  bool open = false;
  bool readable_kind = false;  // bytes come out of it
  bool writable_kind = false;
  bool is_pipe = false;
  bool peer_gone = false;
  long bytes = 0;  // unread
  int queue = -1;  // a queue of the model, by number
};

struct note {
  struct kevent saved {};  // as delivered
  unsigned sfflags = 0;
  std::intptr_t sdata = 0;
  bool active = false, queued = false, disabled = false, triggered = false;
  bool doubtful = false;  // active or not, nobody can say
};

class world;

class queue_model {
 public:
  queue_model(world& w, const rules& r) : world_(w), rules_(r) {}

  // One kevent() that does not wait. What it must return; events that may come or not are left to `accept`.
  struct answer {
    int result = 0;
    int error = 0;  // of a failure; 0: any
    bool scans = false;
    std::vector<struct kevent> posted;
  };
  answer call(const std::vector<struct kevent>& changes, int room);
  // Takes what a scan delivered. "" or what is wrong with it. `ordered`: the list is the pending list, from its head.
  std::string accept(const std::vector<struct kevent>& events, int room, bool ordered);

  // The object behind a descriptor has something new for one filter: an edge.
  void happened(std::uintptr_t ident, int filter, bool surely);
  void closed(std::uintptr_t ident);
  std::size_t pending() const { return pending_.size(); }
  // Would a scan deliver something, for certain?
  bool delivers() const;

 private:
  int apply(struct kevent change);
  int create(const struct kevent& change);
  void modify(note& n, const struct kevent& change, bool takes);
  void enable(note& n, bool evaluated);
  bool asks(const note& n) const;
  bool ready(const note& n) const;
  void activate(note& n);
  void evaluate(note& n);
  void drop(note& n);
  void delivered(note& n);
  note* find(int filter, std::uintptr_t ident);
  std::string compare(const note& n, const struct kevent& got) const;

  world& world_;
  const rules& rules_;
  std::list<note> notes_;
  std::list<note*> pending_;
};

// The descriptors and queues that notes speak of.
class world {
 public:
  virtual ~world() = default;
  virtual object look(std::uintptr_t ident) const = 0;
  virtual std::size_t pending_of(int queue) const = 0;
  virtual void queue_grew(const queue_model& q) = 0;
};

std::string words(const struct kevent& e);

}  // namespace quay::model
