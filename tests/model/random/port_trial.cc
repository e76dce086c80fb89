// SPDX-License-Identifier: BSD-2-Clause
//
// What: see port_trial.hpp.
#include "port_trial.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <quay/quay.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

namespace quay::model {
namespace {

constexpr const char* kActionWords[] = {"send",    "sendn", "associate", "dissociate", "alert",
                                        "get",     "getn",  "count",     "feed",       "drain",
                                        "hang up", "renew", "look"};

int ask(int descriptor, int mask) {
  pollfd p{descriptor, static_cast<short>(mask), 0};
  if (descriptor < 0) return -1;
  ::poll(&p, 1, 0);
  return (p.revents & POLLNVAL) ? -1 : p.revents;
}

void* cookie(unsigned n) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(n)); }

// A call's result and errno against the model's errno.
std::string judge(const char* what, int result, int want) {
  const int error = result == 0 ? 0 : errno;
  return error == want ? "" : fmt::format("{} gives errno {}, not {}", what, error, want);
}

}  // namespace

std::string describe(const port_operation& s) {
  return fmt::format("{} port {} target {} events {:#x} flags {} max {} want {} user {}",
                     kActionWords[static_cast<int>(s.action)], s.port, s.target, s.events, s.flags,
                     s.max, s.want, s.user);
}

port_operation port_trial::draw(dice& d) const {
  constexpr port_action kActions[] = {
      port_action::send,       port_action::send,      port_action::sendn,
      port_action::associate,  port_action::associate, port_action::associate,
      port_action::dissociate, port_action::alert,     port_action::get,
      port_action::get,        port_action::getn,      port_action::getn,
      port_action::count,      port_action::feed,      port_action::feed,
      port_action::drain,      port_action::hang_up,   port_action::renew,
      port_action::look};
  constexpr int kMasks[] = {0, POLLIN, POLLIN, POLLOUT, POLLIN | POLLOUT};
  operation out;
  out.action = d.pick(kActions);
  out.port = d.chance(25) ? 1 : 0;
  out.target = static_cast<int>(d.roll(kEnds + (d.chance(10) ? 1u : 0u)));
  out.events =
      out.action == port_action::associate ? d.pick(kMasks) : static_cast<int>(d.roll(1000));
  // An alert is mostly off, or nothing else would be seen.
  if (out.action == port_action::alert && d.chance(65)) out.events = 0;
  out.flags = static_cast<int>(d.roll(4));
  out.max = d.roll(10);
  out.want = d.roll(5);
  out.user = d.roll(1000);
  return out;
}

std::vector<port_operation> port_trial::simpler(const operation& step) const {
  std::vector<operation> out;
  if (step.port != 0) {
    out.push_back(step);
    out.back().port = 0;
  }
  if (step.action == port_action::associate && step.events == (POLLIN | POLLOUT)) {
    out.push_back(step);
    out.back().events = POLLIN;
  }
  return out;
}

// --- the objects ----------------------------------------------------------------------------------

void port_trial::open(int which) {
  int fds[2];
  const int made = which < 2
                       ? ::pipe2(fds, O_NONBLOCK | O_CLOEXEC)
                       : ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
  if (made != 0) std::abort();
  ends_[static_cast<std::size_t>(2 * which)] = fds[0];
  ends_[static_cast<std::size_t>(2 * which + 1)] = fds[1];
}

void port_trial::tell(int which) {
  for (auto& m : models_) m->changed(descriptor_of(which));
}

void port_trial::hang_up(int which) {
  int& descriptor = ends_[static_cast<std::size_t>(which)];
  if (descriptor < 0) return;
  for (auto& m : models_) m->closed(descriptor);
  quay_close(descriptor);
  descriptor = -1;
  tell(which ^ 1);
}

void port_trial::move_bytes(const operation& step) {
  const int descriptor = descriptor_of(step.target);
  char bytes[4096];
  if (descriptor < 0) return;
  if (step.action == port_action::drain) {
    if (::read(descriptor, bytes, sizeof bytes) < 0) return;
  } else if (ask(descriptor, POLLOUT) != POLLOUT ||
             ::send(descriptor, "abc", 3, MSG_NOSIGNAL) < 0) {
    if (errno != ENOTSOCK || ::write(descriptor, "abc", 3) < 0) return;
  }
  tell(step.target);
  tell(step.target ^ 1);
}

// --- performing -----------------------------------------------------------------------------------

std::string port_trial::run(const std::vector<operation>& steps) {
  const long limit = quay_tunable_get("port_max_events");
  quay_tunable_set("port_max_events", kLimit);
  for (std::size_t i = 0; i < 2; ++i) {
    ports_[i] = port_create1(O_CLOEXEC | flags_);
    if (ports_[i] < 0) return "port_create1: " + std::string(std::strerror(errno));
    models_[i] = std::make_unique<port_model>(ask, bluff_ ? kLimit + 1 : kLimit);
  }
  quay_tunable_set("port_max_events", limit);
  for (int which = 0; which < kEnds / 2; ++which) open(which);
  std::string wrong;
  for (std::size_t i = 0; i < steps.size() && wrong.empty(); ++i) {
    errno = 0;
    wrong = perform(steps[i]);
    if (!wrong.empty()) wrong = fmt::format("step {}: {}", i, wrong);
  }
  for (int& descriptor : ends_)
    if (descriptor >= 0) quay_close(std::exchange(descriptor, -1));
  for (int& port : ports_) quay_close(std::exchange(port, -1));
  return wrong;
}

std::string port_trial::perform(const operation& step) {
  const int port = ports_[port_of(step)];
  port_model& model = *models_[port_of(step)];
  const int descriptor = descriptor_of(step.target);
  const std::uintptr_t object =
      descriptor < 0 ? std::uintptr_t{INT_MAX} + 1 : static_cast<std::uintptr_t>(descriptor);
  switch (step.action) {
    case port_action::send:
      return judge("port_send", port_send(port, step.events, cookie(step.user)),
                   model.send(step.events, cookie(step.user)));
    case port_action::sendn:
      return send_many(step);
    case port_action::associate:
      return judge("port_associate",
                   port_associate(port, PORT_SOURCE_FD, object, step.events, cookie(step.user)),
                   model.associate(descriptor, step.events, cookie(step.user)));
    case port_action::dissociate: {
      // An idle association is told from an armed one by what the kernel reported: a faded entry may be either.
      const int result = port_dissociate(port, PORT_SOURCE_FD, object);
      // The never-associated port answers before it looks at the number; a number beyond int comes first.
      const int want = descriptor < 0 ? EBADFD : model.dissociate(descriptor);
      return judge("port_dissociate", result, want);
    }
    case port_action::alert:
      return judge("port_alert", port_alert(port, step.flags, step.events, cookie(step.user)),
                   model.alert(step.flags, step.events, cookie(step.user)));
    case port_action::get:
      return get(step);
    case port_action::getn:
      return getn(step);
    case port_action::count: {
      uint_t n = 12345;
      if (port_getn(port, nullptr, 0, &n, nullptr) != 0) return "the count is refused";
      return n >= model.certain() && n <= model.queued()
                 ? ""
                 : fmt::format("{} queued, not {}", n, model.queued());
    }
    case port_action::feed:
    case port_action::drain:
      move_bytes(step);
      return {};
    case port_action::hang_up:
      hang_up(step.target % kEnds);
      return {};
    case port_action::renew:
      hang_up(step.target % kEnds);
      hang_up(step.target % kEnds ^ 1);
      open(step.target % kEnds / 2);
      return {};
    case port_action::look:
      if ((flags_ & QUAY_PRIVATE) || model.certain() == 0) return {};
      return ask(port, POLLIN) == POLLIN ? "" : "the port has an event and does not poll readable";
  }
  return {};
}

std::string port_trial::send_many(const operation& step) {
  // A descriptor that is no port, and one that is closed, now and then.
  int list[4] = {ports_[0], ports_[1], ends_[4] >= 0 ? ends_[4] : -1, -1};
  int errors[4] = {-7, -7, -7, -7};
  const unsigned count = 1 + step.max % 4;
  int want[4] = {};
  unsigned sent = 0;
  for (unsigned i = 0; i < count; ++i) {
    want[i] = list[i] < 0           ? EBADF
              : i >= models_.size() ? EBADFD
                                    : models_[i]->send(step.events, cookie(step.user));
    sent += want[i] == 0;
  }
  const int result = port_sendn(list, errors, count, step.events, cookie(step.user));
  if (result != static_cast<int>(sent))
    return fmt::format("port_sendn returns {}, not {}", result, sent);
  for (unsigned i = 0; i < count; ++i) {
    const int expected = sent == count ? -7 : want[i];
    if (errors[i] != expected)
      return fmt::format("errors[{}] is {}, not {}", i, errors[i], expected);
  }
  return {};
}

std::string port_trial::get(const operation& step) {
  port_model& model = *models_[port_of(step)];
  timespec now{};
  port_event_t event{};
  const int result = port_get(ports_[port_of(step)], &event, &now);
  if (result != 0 && errno != ETIME) return fmt::format("port_get fails with errno {}", errno);
  if (model.alerted())
    return result == 0 && words(event) == words(model.alert_event()) ? ""
                                                                     : "the alert does not come";
  std::vector<port_event_t> got;
  if (result == 0) got.push_back(event);
  return model.accept(got, 1);
}

std::string port_trial::getn(const operation& step) {
  port_model& model = *models_[port_of(step)];
  timespec now{};
  std::vector<port_event_t> got(step.max + 1);
  uint_t count = step.want;
  const int result = port_getn(ports_[port_of(step)], got.data(), step.max, &count, &now);
  if (step.max > 0 && step.want > step.max) return judge("port_getn", result, EINVAL);
  if (result != 0) return fmt::format("port_getn fails with errno {}", errno);
  if (step.max == 0)
    return count >= model.certain() && count <= model.queued() ? "" : "a wrong count";
  if (step.want == 0) return count == 0 ? "" : "events that nobody wanted";
  if (model.alerted())
    return count == 1 && words(got[0]) == words(model.alert_event()) ? ""
                                                                     : "the alert does not come";
  got.resize(count);
  return model.accept(got, step.max);
}

}  // namespace quay::model
