// SPDX-License-Identifier: BSD-2-Clause
//
// What: see kqueue_trial.hpp.
#include "kqueue_trial.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <quay/quay.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace quay::model {
namespace {

constexpr const char* kActionWords[] = {"call", "feed", "drain", "hang up", "renew", "look"};
constexpr int kClosed = 900'000;                   // a number that nobody has open
constexpr std::intptr_t kFarAway = 1'000'000'000;  // ms: a timer that does not expire

}  // namespace

std::string describe(const kqueue_operation& step) {
  std::string out =
      fmt::format("{} queue {} target {} room {}", kActionWords[static_cast<int>(step.action)],
                  step.queue, step.target, step.room);
  for (const auto& c : step.changes)
    out += fmt::format("\n    change: filter {} ident {} flags {:#x} fflags {:#x} data {} udata {}",
                       c.filter, c.ident, c.flags, c.fflags, c.data, c.udata);
  return out;
}

// --- drawing --------------------------------------------------------------------------------------

kqueue_operation kqueue_trial::draw(dice& d) const {
  operation out;
  const unsigned kind = objects_ ? d.roll(10) : 0;
  constexpr kqueue_action kOthers[] = {kqueue_action::feed,  kqueue_action::feed,
                                       kqueue_action::drain, kqueue_action::hang_up,
                                       kqueue_action::renew, kqueue_action::look};
  out.target = static_cast<int>(d.roll(kEnds));
  out.queue = objects_ && d.chance(30) ? 1 : 0;
  if (kind > 5) {
    out.action = d.pick(kOthers);
    return out;
  }
  if (!objects_ && d.chance(10)) out.action = kqueue_action::look;
  const unsigned count = d.roll(4);
  for (unsigned i = 0; i < count; ++i) {
    operation::change c;
    constexpr int kPlain[] = {EVFILT_USER, EVFILT_USER, EVFILT_USER, EVFILT_TIMER};
    constexpr int kMixed[] = {EVFILT_USER, EVFILT_READ, EVFILT_READ, EVFILT_WRITE};
    c.filter = objects_ && out.queue == 0 ? d.pick(kMixed) : d.pick(kPlain);
    const bool descriptor = c.filter == EVFILT_READ || c.filter == EVFILT_WRITE;
    c.ident = static_cast<int>(d.roll(descriptor ? kNowhere + 1 : 3));
    if (d.chance(60)) c.flags |= EV_ADD;
    if (d.chance(8)) c.flags |= EV_DELETE;
    if (d.chance(20)) c.flags |= EV_DISABLE;
    if (d.chance(25)) c.flags |= EV_ENABLE;
    if (d.chance(20)) c.flags |= EV_ONESHOT;
    if (d.chance(35)) c.flags |= EV_CLEAR;
    if (d.chance(20)) c.flags |= EV_DISPATCH;
    if (d.chance(8)) c.flags |= EV_RECEIPT;
    if (d.chance(5)) c.flags |= EV_EOF | EV_ERROR;  // bits that no change may bring
    if (dialect_ == QUAY_DIALECT_FREEBSD && d.chance(5)) c.flags |= EV_KEEPUDATA;
    if (c.filter == EVFILT_USER) {
      c.fflags = d.roll(256) | d.roll(4) << 30;
      if (d.chance(50)) c.fflags |= NOTE_TRIGGER;
      if (d.chance(10)) c.fflags |= 0xfff;
    } else if (c.filter == EVFILT_READ && c.ident >= 4 && d.chance(30)) {
      c.fflags = NOTE_LOWAT;
    }
    c.data = 1 + static_cast<int>(d.roll(6));
    c.udata = static_cast<int>(d.roll(100));
    out.changes.push_back(c);
  }
  constexpr int kRooms[] = {0, 1, 1, 2, 3, 8};
  out.room = objects_ ? (d.chance(50) ? 32 : 0) : d.pick(kRooms);
  return out;
}

std::vector<kqueue_operation> kqueue_trial::simpler(const operation& step) const {
  std::vector<operation> out;
  for (std::size_t i = 0; i < step.changes.size(); ++i) {
    operation fewer = step;
    fewer.changes.erase(fewer.changes.begin() + static_cast<std::ptrdiff_t>(i));
    out.push_back(fewer);
    for (unsigned bit = 1; bit < 0x10000; bit <<= 1) {
      if (!(step.changes[i].flags & bit)) continue;
      operation plain = step;
      plain.changes[i].flags &= ~bit;
      out.push_back(plain);
    }
    if (step.changes[i].fflags & ~unsigned{NOTE_TRIGGER}) {
      operation plain = step;
      plain.changes[i].fflags &= NOTE_TRIGGER;
      out.push_back(plain);
    }
    if (step.changes[i].udata != 0) {
      operation plain = step;
      plain.changes[i].udata = 0;
      out.push_back(plain);
    }
  }
  return out;
}

// --- the objects ----------------------------------------------------------------------------------

object kqueue_trial::look(std::uintptr_t ident) const {
  for (const end& e : ends_)
    if (e.descriptor >= 0 && static_cast<std::uintptr_t>(e.descriptor) == ident) return e.state;
  object out;
  out.open = queues_[1] >= 0 && static_cast<std::uintptr_t>(queues_[1]) == ident;
  out.queue = out.open ? 1 : -1;
  return out;
}

void kqueue_trial::queue_grew(const queue_model& q) {
  if (models_[1].get() == &q)
    models_[0]->happened(static_cast<std::uintptr_t>(queues_[1]), EVFILT_READ, true);
}

void kqueue_trial::open(int which) {
  const bool is_pipe = which < 2;
  int fds[2];
  const int made = is_pipe
                       ? ::pipe2(fds, O_NONBLOCK | O_CLOEXEC)
                       : ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
  if (made != 0) std::abort();
  for (int side = 0; side < 2; ++side) {
    end& e = at(2 * which + side);
    e.descriptor = fds[side];
    e.state = object();
    e.state.open = true;
    e.state.is_pipe = is_pipe;
    e.state.readable_kind = !is_pipe || side == 0;
    e.state.writable_kind = !is_pipe || side == 1;
  }
}

// One end goes. Its unread bytes go first: a socket would tell its peer of a reset.
void kqueue_trial::hang_up(int which) {
  end& e = at(which);
  if (e.descriptor < 0) return;
  char waste[256];
  if (e.state.readable_kind)
    while (::read(e.descriptor, waste, sizeof waste) > 0) {
    }
  for (auto& m : models_) m->closed(static_cast<std::uintptr_t>(e.descriptor));
  quay_close(e.descriptor);
  e.descriptor = -1;
  e.state = object();
  end& other = at(which ^ 1);
  if (other.descriptor < 0) return;
  other.state.peer_gone = true;
  if (other.state.readable_kind)
    models_[0]->happened(static_cast<std::uintptr_t>(other.descriptor), EVFILT_READ, true);
  if (other.state.writable_kind)
    models_[0]->happened(static_cast<std::uintptr_t>(other.descriptor), EVFILT_WRITE, true);
}

// --- performing -----------------------------------------------------------------------------------

std::string kqueue_trial::run(const std::vector<operation>& steps) {
  for (std::size_t i = 0; i < (objects_ ? 2u : 1u); ++i) {
    queues_[i] = quay_kqueue(dialect_, flags_);
    if (queues_[i] < 0) return "quay_kqueue: " + std::string(std::strerror(errno));
    models_[i] = std::make_unique<queue_model>(static_cast<world&>(*this), rules_);
  }
  if (!models_[1]) models_[1] = std::make_unique<queue_model>(static_cast<world&>(*this), rules_);
  if (objects_)
    for (int which = 0; which < kObjects; ++which) open(which);
  std::string wrong;
  for (std::size_t i = 0; i < steps.size() && wrong.empty(); ++i) {
    wrong = perform(steps[i]);
    if (!wrong.empty()) wrong = fmt::format("step {}: {}", i, wrong);
  }
  for (end& e : ends_) {
    if (e.descriptor >= 0) quay_close(e.descriptor);
    e = end();
  }
  for (int& q : queues_) {
    if (q >= 0) quay_close(q);
    q = -1;
  }
  for (auto& m : models_) m.reset();
  return wrong;
}

std::string kqueue_trial::perform(const operation& step) {
  if (step.action == kqueue_action::call) return call(step);
  if (step.action == kqueue_action::look) return look_at(step.queue);
  end& here = at(step.target);
  end& there = at(step.target ^ 1);
  const auto peer = static_cast<std::uintptr_t>(there.descriptor);
  switch (step.action) {
    case kqueue_action::feed:
      if (here.descriptor < 0 || !here.state.writable_kind || here.state.peer_gone ||
          there.state.bytes > 64)
        break;
      if (::write(here.descriptor, "bytes", 3) != 3) return "the object takes no bytes";
      there.state.bytes += 3;
      models_[0]->happened(peer, EVFILT_READ, true);
      break;
    case kqueue_action::drain: {
      char bytes[2];
      if (here.descriptor < 0 || here.state.bytes == 0) break;
      const auto n = ::read(here.descriptor, bytes, sizeof bytes);
      if (n <= 0) return "the object gives no bytes";
      here.state.bytes -= n;
      if (there.descriptor >= 0) models_[0]->happened(peer, EVFILT_WRITE, false);
      break;
    }
    case kqueue_action::hang_up:
      hang_up(step.target);
      break;
    default:
      hang_up(step.target);
      hang_up(step.target ^ 1);
      open(step.target / 2);
      break;
  }
  return {};
}

std::string kqueue_trial::look_at(int queue) {
  const auto q = static_cast<std::size_t>(queue);
  if (queues_[q] < 0 || (flags_ & QUAY_PRIVATE)) return {};
  pollfd p{queues_[q], POLLIN, 0};
  const int polled = ::poll(&p, 1, 0);
  // The other way round a bell that was rung may be heard once more.
  return models_[q]->delivers() && polled != 1 ? "the queue has an event and does not poll readable"
                                               : "";
}

struct kevent kqueue_trial::translate(const operation::change& c) const {
  struct kevent out {};
  const bool descriptor = c.filter == EVFILT_READ || c.filter == EVFILT_WRITE;
  int ident = c.ident;
  int filter = c.filter;
  if (descriptor && ident < kEnds) {
    const end& e = ends_[static_cast<std::size_t>(ident)];
    // A pipe's end is asked only for what it can do.
    if (e.state.is_pipe) filter = e.state.readable_kind ? EVFILT_READ : EVFILT_WRITE;
    ident = e.descriptor < 0 ? kClosed : e.descriptor;
  } else if (descriptor) {
    ident = ident == kInner ? queues_[1] : kClosed;
  }
  EV_SET(&out, static_cast<std::uintptr_t>(ident), static_cast<short>(filter),
         static_cast<unsigned short>(c.flags), c.fflags, filter == EVFILT_TIMER ? kFarAway : c.data,
         reinterpret_cast<void*>(static_cast<std::uintptr_t>(c.udata)));
  return out;
}

std::string kqueue_trial::call(const operation& step) {
  const auto q = static_cast<std::size_t>(step.queue);
  if (queues_[q] < 0) return {};
  std::vector<struct kevent> changes;
  for (const auto& c : step.changes) changes.push_back(translate(c));
  const queue_model::answer want = models_[q]->call(changes, step.room);
  std::vector<struct kevent> got(static_cast<std::size_t>(step.room) + 1);
  const timespec now{};
  const int result = ::kevent(queues_[q], changes.data(), static_cast<int>(changes.size()),
                              step.room == 0 ? nullptr : got.data(), step.room, &now);
  const int error = errno;
  if (!want.scans) {
    if (result != want.result)
      return fmt::format("kevent() returned {}, not {} ({})", result, want.result, error);
    if (result < 0 && want.error != 0 && error != want.error)
      return fmt::format("errno {}, not {}", error, want.error);
    for (std::size_t i = 0; result > 0 && i < want.posted.size(); ++i) {
      const struct kevent& e = got[i];
      const struct kevent& w = want.posted[i];
      if (!(e.flags & EV_ERROR) || e.data != w.data || e.ident != w.ident || e.filter != w.filter ||
          e.udata != w.udata)
        return "posted " + words(e) + ", not " + words(w);
    }
    return {};
  }
  if (result < 0) return fmt::format("kevent() failed with errno {}", error);
  got.resize(static_cast<std::size_t>(result));
  return models_[q]->accept(got, step.room, !objects_);
}

}  // namespace quay::model
