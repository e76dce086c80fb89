// SPDX-License-Identifier: BSD-2-Clause
//
// What: `quay watch --port`: an event port for descriptors, files, timers and user events; prints each
//       event with all its fields.
// Contract: as `quay watch` (watch.cc). Ports tell once: files are associated again after each event,
//           with the stamps that they have by then; descriptors only with --level or --drain, timers
//           go on by themselves.
// Invariants: portev_user is the number on the command line, from 1; 0 is the tool's own.
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <port.h>
#include <quay/quay.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "command.hpp"
#include "duration.hpp"
#include "terminal.hpp"
#include "watch_settings.hpp"
#include "watched.hpp"

namespace quay::tool {
namespace {

using std::chrono::nanoseconds;

void* user_of(uintptr_t number) { return reinterpret_cast<void*>(number); }

struct bit_name {
  unsigned bit;
  const char* name;
};
constexpr bit_name kPollBits[] = {{POLLIN, "POLLIN"},
                                  {POLLPRI, "POLLPRI"},
                                  {POLLOUT, "POLLOUT"},
                                  {POLLERR, "POLLERR"},
                                  {POLLHUP, "POLLHUP"}};
constexpr bit_name kFileBits[] = {{FILE_ACCESS, "FILE_ACCESS"},
                                  {FILE_MODIFIED, "FILE_MODIFIED"},
                                  {FILE_ATTRIB, "FILE_ATTRIB"},
                                  {FILE_TRUNC, "FILE_TRUNC"},
                                  {FILE_DELETE, "FILE_DELETE"},
                                  {FILE_RENAME_TO, "FILE_RENAME_TO"},
                                  {FILE_RENAME_FROM, "FILE_RENAME_FROM"},
                                  {UNMOUNTED, "UNMOUNTED"},
                                  {MOUNTEDOVER, "MOUNTEDOVER"}};

template <size_t N>
std::vector<std::string> names_of(const bit_name (&table)[N], int events) {
  std::vector<std::string> names;
  for (const bit_name& each : table) {
    if ((static_cast<unsigned>(events) & each.bit) != 0) names.emplace_back(each.name);
  }
  return names;
}

std::string source_name(int source) {
  switch (source) {
    case PORT_SOURCE_FD:
      return "PORT_SOURCE_FD";
    case PORT_SOURCE_FILE:
      return "PORT_SOURCE_FILE";
    case PORT_SOURCE_TIMER:
      return "PORT_SOURCE_TIMER";
    case PORT_SOURCE_USER:
      return "PORT_SOURCE_USER";
    default:
      return std::to_string(source);
  }
}

std::vector<std::string> event_names(const port_event_t& e) {
  if (e.portev_source == PORT_SOURCE_FD) return names_of(kPollBits, e.portev_events);
  if (e.portev_source == PORT_SOURCE_FILE) return names_of(kFileBits, e.portev_events);
  return {};
}

// One thing on the command line.
struct subject {
  std::string source;
  int kind;           // PORT_SOURCE_*
  watched described;  // its descriptor, if it has one
  std::string path;   // FILE
  file_obj_t object = {};
  int events = 0;         // FD, FILE
  nanoseconds period{0};  // TIMER, USER; 0: once
  nanoseconds first{0};
  timer_t timer = {};
};

class event_port {
 public:
  event_port() : fd_(port_create1(O_CLOEXEC)) {
    if (fd_ < 0) throw system_failure("cannot make an event port", errno);
    // Sending is allowed in a signal handler: no moment at which the signal could be missed.
    to_stop_ = fd_;
    struct sigaction action = {};
    action.sa_handler = [](int) {
      const int saved = errno;
      port_send(to_stop_, 0, nullptr);
      errno = saved;
    };
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
  }
  event_port(const event_port&) = delete;
  event_port& operator=(const event_port&) = delete;
  ~event_port() {
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    quay_close(fd_);
  }
  int fd() const { return fd_; }

  void associate(subject& s, uintptr_t number) const {
    uintptr_t object = s.described.change.ident;
    if (s.kind == PORT_SOURCE_FILE) {
      object = reinterpret_cast<uintptr_t>(&s.object);
      s.object.fo_name = s.path.data();
    }
    if (port_associate(fd_, s.kind, object, s.events, user_of(number)) != 0)
      throw system_failure("cannot watch " + s.source, errno);
  }
  timer_t start_timer(nanoseconds first, nanoseconds period, uintptr_t number) const {
    port_notify_t notify{fd_, user_of(number)};
    sigevent event{};
    event.sigev_notify = SIGEV_PORT;
    event.sigev_value.sival_ptr = &notify;
    timer_t timer{};
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
      throw system_failure("cannot make a timer", errno);
    const itimerspec value{to_timespec(period), to_timespec(first)};
    timer_settime(timer, 0, &value, nullptr);
    return timer;
  }

 private:
  static timespec to_timespec(nanoseconds t) {
    return {static_cast<time_t>(t.count() / 1000000000), static_cast<long>(t.count() % 1000000000)};
  }

  int fd_;
  inline static int to_stop_ = -1;  // read by the handler
};

// Stamps of what is there: a change after them cannot be missed.
void take_stamps(subject& s) {
  struct stat st {};
  if (stat(s.path.c_str(), &st) != 0) return;
  s.object.fo_atime = st.st_atim;
  s.object.fo_mtime = st.st_mtim;
  s.object.fo_ctime = st.st_ctim;
}

std::vector<subject> make_subjects(const watch_settings& s) {
  const bool beyond = !s.except.empty() || !s.empty.empty() || !s.process.empty() ||
                      !s.follow.empty() || s.mounts || s.dialect != "freebsd";
  if (beyond) {
    throw CLI::ValidationError("--port",
                               "an event port watches descriptors, files, timers and user events");
  }
  std::vector<subject> all;
  const auto add = [&all](int kind, watched described) -> subject& {
    std::string source = described.source;
    return all.emplace_back(subject{std::move(source), kind, std::move(described), {}});
  };
  for (const auto& target : s.read)
    add(PORT_SOURCE_FD, watch_descriptor("--read", EVFILT_READ, target)).events = POLLIN;
  for (const auto& target : s.write)
    add(PORT_SOURCE_FD, watch_descriptor("--write", EVFILT_WRITE, target)).events = POLLOUT;
  const auto file = [&](const char* option, const std::string& path, int events) {
    watched named;
    named.source = option + (" " + path);
    subject& made = add(PORT_SOURCE_FILE, std::move(named));
    made.path = path;
    made.events = events;
    take_stamps(made);
  };
  constexpr int kChanges = FILE_MODIFIED | FILE_ATTRIB | FILE_TRUNC;
  for (const auto& path : s.file) file("--file", path, kChanges);
  for (const auto& path : s.access) file("--access", path, kChanges | FILE_ACCESS);
  for (const auto& length : s.timer) {
    subject& made = add(PORT_SOURCE_TIMER, watch_timer("--timer", length, 0, false));
    made.first = made.period = parse_duration(length).value();
  }
  for (const auto& length : s.after)
    add(PORT_SOURCE_TIMER, watch_timer("--after", length, 0, true)).first =
        parse_duration(length).value();
  for (const auto& text : s.user) {
    watched described = watch_user("--user", text);
    const nanoseconds period = described.trigger_period;
    add(PORT_SOURCE_USER, std::move(described)).period = period;
  }
  return all;
}

class port_printer {
 public:
  explicit port_printer(bool json) : json_(json), start_(std::chrono::steady_clock::now()) {
    if (json_) return;
    fmt::print("{}\n",
               colours_.bold(fmt::format(kRow, "time", "source", "object", "events", "user", "")));
    fflush(stdout);
  }

  void operator()(const port_event_t& e, const subject& from) const {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const auto user = reinterpret_cast<uintptr_t>(e.portev_user);
    const std::vector<std::string> names = event_names(e);
    if (json_) {
      const nlohmann::ordered_json line = {
          {"time", seconds},           {"source", source_name(e.portev_source)},
          {"object", e.portev_object}, {"events", e.portev_events},
          {"events_names", names},     {"user", user},
          {"from", from.source}};
      fmt::print("{}\n", line.dump());
    } else {
      const std::string events = names.empty() ? std::to_string(e.portev_events)
                                               : fmt::format("{}", fmt::join(names, "|"));
      fmt::print("{}{}\n",
                 fmt::format(kRow, fmt::format("{:.6f}", seconds),
                             source_name(e.portev_source).substr(sizeof "PORT_SOURCE_" - 1),
                             fmt::format("{:#x}", e.portev_object), events, user, ""),
                 colours_.dim("(" + from.source + ")"));
    }
    fflush(stdout);  // somebody may be reading along
  }

 private:
  static constexpr const char* kRow = "{:>9}  {:<6}  {:>14}  {:<30}  {:>4}  {}";
  const bool json_;
  const std::chrono::steady_clock::time_point start_;
  const palette colours_;
};

void read_all(int fd) {
  std::array<char, 65536> bytes;
  int left = 0;
  while (ioctl(fd, FIONREAD, &left) == 0 && left > 0) {
    const auto most = std::min(bytes.size(), static_cast<size_t>(left));
    if (read(fd, bytes.data(), most) <= 0) return;
  }
}

// Prepares for the next event of the subject; false when none can come.
bool continue_with(const watch_settings& s, const event_port& port, subject& from,
                   const port_event_t& event, uintptr_t number) {
  switch (from.kind) {
    case PORT_SOURCE_FD: {
      if (s.drain && (from.events & POLLIN) != 0) read_all(static_cast<int>(event.portev_object));
      const bool over = (event.portev_events & (POLLHUP | POLLERR)) != 0;
      if (over || !(s.level || s.drain)) return false;
      port.associate(from, number);
      return true;
    }
    case PORT_SOURCE_FILE:
      if ((static_cast<unsigned>(event.portev_events) & FILE_EXCEPTION) != 0) return false;
      take_stamps(from);
      port.associate(from, number);
      return true;
    default:
      return from.period.count() > 0;
  }
}

}  // namespace

int watch_with_port(const watch_settings& s) {
  std::vector<subject> all = make_subjects(s);
  if (all.empty())
    throw CLI::ValidationError(
        "nothing to watch: name a descriptor, a file, a timer or a user event");
  const event_port port;
  for (size_t n = 0; n < all.size(); ++n) {
    subject& each = all[n];
    if (each.kind == PORT_SOURCE_TIMER) {
      each.timer = port.start_timer(each.first, each.period, n + 1);
    } else if (each.kind != PORT_SOURCE_USER) {
      port.associate(each, n + 1);
    }
  }
  if (!s.length.empty()) port.start_timer(parse_duration(s.length).value(), nanoseconds(0), 0);
  const port_printer print(s.json);
  std::vector<std::jthread> senders;
  for (size_t n = 0; n < all.size(); ++n) {
    if (all[n].kind != PORT_SOURCE_USER) continue;
    const auto events = static_cast<int>(all[n].described.change.ident);
    if (all[n].period.count() == 0) {
      port_send(port.fd(), events, user_of(n + 1));
      continue;
    }
    senders.emplace_back(
        [to = port.fd(), events, n, period = all[n].period](const std::stop_token& stop) {
          std::mutex mutex;
          std::condition_variable_any waiting;
          std::unique_lock lock(mutex);
          auto next = std::chrono::steady_clock::now();
          for (;;) {
            next += period;
            waiting.wait_until(lock, stop, next, [] { return false; });
            if (stop.stop_requested()) return;
            port_send(to, events, user_of(n + 1));
          }
        });
  }

  std::vector<bool> finished(all.size());
  size_t unfinished = all.size();
  for (unsigned long seen = 0;;) {
    port_event_t event{};
    if (port_get(port.fd(), &event, nullptr) != 0) {
      if (errno == EINTR) continue;
      throw system_failure("port_get", errno);
    }
    const auto number = reinterpret_cast<uintptr_t>(event.portev_user);
    if (number == 0 || number > all.size()) return seen > 0 ? kDone : kFailed;
    subject& from = all[number - 1];
    print(event, from);
    if (!continue_with(s, port, from, event, number) && !finished[number - 1]) {
      finished[number - 1] = true;
      --unfinished;
    }
    if (++seen == s.count || unfinished == 0) return kDone;
  }
}

}  // namespace quay::tool
