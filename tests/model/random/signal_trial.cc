// SPDX-License-Identifier: BSD-2-Clause
//
// What: see signal_trial.hpp.
#include "signal_trial.hpp"

#include <fmt/format.h>
#include <quay/quay.h>
#include <sys/event.h>
#include <unistd.h>

#include <cerrno>

#include "dialects.hpp"

namespace quay::model {
namespace {

constexpr const char* kActionWords[] = {"change", "post",  "fetch",  "handle",
                                        "ignore", "block", "unblock"};

extern "C" void caught(int) {}

}  // namespace

std::string describe(const signal_operation& s) {
  return fmt::format("{} queue {} signal {} flags {:#x} times {}",
                     kActionWords[static_cast<int>(s.action)], s.queue, s.which, s.flags, s.times);
}

signal_operation signal_trial::draw(dice& d) const {
  constexpr signal_action kActions[] = {
      signal_action::change, signal_action::change,  signal_action::change, signal_action::post,
      signal_action::post,   signal_action::post,    signal_action::fetch,  signal_action::fetch,
      signal_action::block,  signal_action::unblock, signal_action::handle, signal_action::ignore};
  constexpr unsigned kMoves[] = {EV_ADD, EV_ADD, EV_ADD, EV_ENABLE, EV_DISABLE, EV_DELETE};
  operation out;
  out.action = d.pick(kActions);
  const bool disposes = out.action == signal_action::handle || out.action == signal_action::ignore;
  const bool blocks = out.action == signal_action::block || out.action == signal_action::unblock;
  if ((disposes && !scope_.dispositions) || (blocks && !scope_.blocking)) {
    out.action = signal_action::post;
  }
  out.queue = static_cast<int>(d.roll(2));
  out.which = static_cast<int>(d.roll(4));
  out.flags = d.pick(kMoves);
  if (d.chance(15)) out.flags |= EV_ONESHOT;
  if (d.chance(15)) out.flags |= EV_DISPATCH;
  out.times = 1 + d.roll(4);
  return out;
}

std::vector<signal_operation> signal_trial::simpler(const operation& step) const {
  std::vector<operation> out;
  if (step.action == signal_action::post && step.times > 1) {
    out.push_back(step);
    out.back().times = 1;
  }
  return out;
}

// The signal that does not count while the process ignores it.
int signal_trial::unrecorded() const {
  if (dialect_ == QUAY_DIALECT_FREEBSD) return SIGCHLD;
  return dialect_ == QUAY_DIALECT_DRAGONFLY ? SIGCONT : 0;
}

// --- performing -----------------------------------------------------------------------------------

std::string signal_trial::run(const std::vector<operation>& steps) {
  for (int which = 0; which < 4; ++which) dispose(which, false);
  for (int& q : queues_) q = quay_kqueue(dialect_, 0);
  notes_ = {};
  std::string wrong;
  for (std::size_t i = 0; i < steps.size() && wrong.empty(); ++i) {
    wrong = perform(steps[i]);
    if (!wrong.empty()) wrong = fmt::format("step {}: {}", i, wrong);
  }
  for (int which = 0; which < 4; ++which) block(which, false);
  for (int q : queues_) quay_close(q);
  return wrong;
}

std::string signal_trial::perform(const operation& step) {
  situation& s = now_[static_cast<std::size_t>(step.which)];
  switch (step.action) {
    case signal_action::change:
      return change(step);
    case signal_action::fetch:
      return fetch(step.queue);
    case signal_action::post:
      post(step);
      return {};
    case signal_action::handle:
      if (!s.blocked) dispose(step.which, false);
      return {};
    case signal_action::ignore:
      if (!s.blocked) dispose(step.which, true);
      return {};
    case signal_action::block:
      // What is blocked and ignored is the kernel's to keep or drop.
      if (!s.ignored) block(step.which, true);
      return {};
    case signal_action::unblock:
      block(step.which, false);
      return {};
  }
  return {};
}

void signal_trial::dispose(int which, bool ignored) {
  struct sigaction action {};
  action.sa_handler = ignored ? SIG_IGN : caught;
  ::sigaction(kSignals[static_cast<std::size_t>(which)], &action, nullptr);
  now_[static_cast<std::size_t>(which)].ignored = ignored;
}

void signal_trial::block(int which, bool blocked) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, kSignals[static_cast<std::size_t>(which)]);
  ::sigprocmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, nullptr);
  now_[static_cast<std::size_t>(which)].blocked = blocked;
  if (!blocked) now_[static_cast<std::size_t>(which)].pending = false;
}

void signal_trial::post(const operation& step) {
  const auto which = static_cast<std::size_t>(step.which);
  situation& s = now_[which];
  for (unsigned i = 0; i < step.times; ++i) {
    ::kill(::getpid(), kSignals[which]);
    const bool counts =
        !(s.ignored && kSignals[which] == unrecorded()) && !(s.pending && !quay::test::hooked());
    if (s.blocked) s.pending = true;
    if (!counts) continue;
    for (auto& notes : notes_)
      if (notes[which].exists && !(scope_.forgets && notes[which].disabled)) ++notes[which].count;
  }
}

std::string signal_trial::change(const operation& step) {
  const auto which = static_cast<std::size_t>(step.which);
  note& n = notes_[static_cast<std::size_t>(step.queue)][which];
  int want = 0;
  if (!n.exists && !(step.flags & EV_ADD)) {
    want = ENOENT;
  } else if (step.flags & EV_DELETE) {
    n = note();
  } else {
    if (!n.exists) {
      n.exists = true;
      n.oneshot = (step.flags & EV_ONESHOT) != 0;
      // NetBSD: the filter's own EV_CLEAR rules EV_DISPATCH out.
      n.dispatch = (step.flags & EV_DISPATCH) && dialect_ != QUAY_DIALECT_NETBSD;
    }
    if (step.flags & EV_DISABLE) n.disabled = true;
    if (step.flags & EV_ENABLE) n.disabled = false;
  }
  struct kevent entry;
  EV_SET(&entry, static_cast<std::uintptr_t>(kSignals[which]), EVFILT_SIGNAL,
         static_cast<unsigned short>(step.flags), 0, 0, nullptr);
  const int result =
      ::kevent(queues_[static_cast<std::size_t>(step.queue)], &entry, 1, nullptr, 0, nullptr);
  const int error = result == 0 ? 0 : errno;
  return error == want ? "" : fmt::format("the change gives errno {}, not {}", error, want);
}

std::string signal_trial::fetch(int queue) {
  const auto q = static_cast<std::size_t>(queue);
  struct kevent got[8];
  const timespec now{};
  const int count = ::kevent(queues_[q], nullptr, 0, got, 8, &now);
  if (count < 0) return fmt::format("kevent() fails with errno {}", errno);
  int expected = 0;
  for (std::size_t which = 0; which < kSignals.size(); ++which) {
    note& n = notes_[q][which];
    if (!n.exists || n.disabled || n.count == 0) continue;
    ++expected;
    const struct kevent* found = nullptr;
    for (int i = 0; i < count; ++i)
      if (got[i].ident == static_cast<std::uintptr_t>(kSignals[which])) found = &got[i];
    if (found == nullptr)
      return fmt::format("signal {}: no event, but {} postings", kSignals[which], n.count);
    if (found->data != n.count)
      return fmt::format("signal {}: {} postings, not {}", kSignals[which], found->data, n.count);
    n.count = 0;
    if (n.dispatch) n.disabled = true;
    if (n.oneshot) n = note();
  }
  return expected == count ? "" : fmt::format("{} events, not {}", count, expected);
}

}  // namespace quay::model
