// SPDX-License-Identifier: BSD-2-Clause
//
// What: the operations of port traces on <port.h>; see actor.hpp.
#include "actor.hpp"

#include <poll.h>
#include <quay/port_source.h>
#include <quay/quay.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <vector>

namespace quay::traces::port {
namespace {

constexpr int kNeverOpen = 900;
constexpr unsigned char kUntouched = 0x5a;

std::string errno_name(int error) {
  const char* name = ::strerrorname_np(error);
  return error == 0 ? "0" : name != nullptr ? name : std::to_string(error);
}

json returned(int result) {
  const int error = errno;
  if (result >= 0) return {{"ret", result}};
  return {{"ret", -1}, {"errno", errno_name(error)}};
}

void* cookie(const json& step) {
  const auto text = step.at("user").get<std::string>();
  return reinterpret_cast<void*>(static_cast<uintptr_t>(std::stoul(text.substr(1))));
}

std::string cookie_name(const void* user) {
  return "u" + std::to_string(reinterpret_cast<uintptr_t>(user));
}

int poll_mask(const std::string& text) {
  return (text.find("IN") != std::string::npos ? POLLIN : 0) |
         (text.find("OUT") != std::string::npos ? POLLOUT : 0);
}

std::string poll_names(int events) {
  std::string out;
  const auto name = [&](int bit, const char* text) {
    if ((events & bit) == 0) return;
    if (!out.empty()) out += '|';
    out += text;
  };
  name(POLLIN, "IN");
  name(POLLOUT, "OUT");
  name(POLLERR, "ERR");
  name(POLLHUP, "HUP");
  return out.empty() ? "0" : out;
}

int alert_flags(const json& flags) {
  if (flags.is_number()) return flags.get<int>();
  const auto text = flags.get<std::string>();
  if (text == "SET") return PORT_ALERT_SET;
  if (text == "UPDATE") return PORT_ALERT_UPDATE;
  return text == "INVALID" ? PORT_ALERT_INVALID : 0;
}

int alert(int port, const json& step, int flags, int events) {
  return ::port_alert(port, flags, events, cookie(step));
}

bool untouched(const port_event_t& e) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(&e);
  for (size_t i = 0; i < sizeof e; ++i) {
    if (bytes[i] != kUntouched) return false;
  }
  return true;
}

void must(bool done, const char* what) {
  if (!done) throw std::runtime_error(std::string(what) + " failed: " + std::strerror(errno));
}

char state_of(pid_t tid) {
  std::ifstream in("/proc/self/task/" + std::to_string(tid) + "/stat");
  std::string text;
  std::getline(in, text);
  const size_t at = text.rfind(')');
  return at != std::string::npos && at + 2 < text.size() ? text[at + 2] : '?';
}

}  // namespace

actor::actor(double stretch) : stretch_(stretch) {
  int ends[2];
  must(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
  numbers_["nonport"] = ends[0];
}

int actor::number(const std::string& name) const {
  const std::lock_guard hold(names_);
  const auto found = numbers_.find(name);
  return found != numbers_.end() ? found->second : kNeverOpen;
}

json actor::describe(const port_event_t& e) const {
  json out{{"user", cookie_name(e.portev_user)}};
  switch (e.portev_source) {
    case PORT_SOURCE_FD: {
      const std::lock_guard hold(names_);
      const auto found = objects_.find(static_cast<int>(e.portev_object));
      out["src"] = "FD";
      out["obj"] = found != objects_.end() ? found->second : "unknown";
      out["ev"] = poll_names(e.portev_events);
      return out;
    }
    case PORT_SOURCE_USER:
      out["src"] = "USER";
      break;
    case PORT_SOURCE_ALERT:
      out["src"] = "ALERT";
      break;
    case PORT_SOURCE_AIO:
      out["src"] = "AIO";
      break;
    case PORT_SOURCE_MQ:
      out["src"] = "MQ";
      break;
    default:
      out["src"] = e.portev_source;
  }
  out["ev"] = e.portev_events;
  return out;
}

// --- waiting --------------------------------------------------------------------------------------

json actor::get(const json& step, port_event_t* list, timespec* timeout) {
  const bool has_list = step.value("list", true);
  const int result = ::port_get(number(step.at("port")), has_list ? list : nullptr, timeout);
  if (result < 0) return returned(result);
  return {{"ret", 0}, {"event", untouched(*list) ? json() : describe(*list)}};
}

json actor::getn(const json& step, port_event_t* list, timespec* timeout) {
  const bool has_list = step.value("list", true);
  const uint_t max = step.at("max");
  uint_t count = step.at("nget");
  const int result =
      ::port_getn(number(step.at("port")), has_list ? list : nullptr, max, &count, timeout);
  json out = returned(result);
  out["nget"] = count;
  if (result < 0 && out["errno"] != "ETIME") return out;
  if (max == 0) return out;
  out["events"] = json::array();
  for (uint_t i = 0; i < count && i < max; ++i) out["events"].push_back(describe(list[i]));
  return out;
}

json actor::wait_for_events(const json& step, bool single) {
  timespec timeout{};
  const json& t = step.at("timeout");
  if (t.is_object()) {
    timeout = {t.at("sec").get<time_t>(), t.at("nsec").get<long>()};
  } else if (t.is_number()) {
    const auto ns = static_cast<int64_t>(t.get<double>() * stretch_ * 1e6);
    timeout = {ns / 1000000000, ns % 1000000000};
  }
  std::vector<port_event_t> list(step.value("max", 1u) + 1);
  std::memset(static_cast<void*>(list.data()), kUntouched, list.size() * sizeof list[0]);
  timespec* limit = t.is_null() ? nullptr : &timeout;
  return single ? get(step, list.data(), limit) : getn(step, list.data(), limit);
}

json actor::settle() {
  constexpr int kQuietLooks = 40;
  constexpr int kMostLooks = 400000;
  json out = json::object();
  int quiet = 0;
  for (int looks = 0; quiet < kQuietLooks && looks < kMostLooks && !sleepers_.empty(); ++looks) {
    bool all_asleep = true;
    for (auto at = sleepers_.begin(); at != sleepers_.end();) {
      sleeper& s = at->second;
      if (s.returned.load(std::memory_order_acquire)) {
        s.thread.join();
        out[at->first] = s.result;
        at = sleepers_.erase(at);
        all_asleep = false;
        continue;
      }
      const pid_t tid = s.tid.load(std::memory_order_acquire);
      all_asleep = all_asleep && tid != 0 && state_of(tid) == 'S';
      ++at;
    }
    quiet = all_asleep ? quiet + 1 : 0;
    ::sched_yield();
  }
  return out;
}

json actor::race(const json& step) {
  json result;
  std::atomic<bool> started{false};
  std::thread getter([&] {
    started = true;
    result = wait_for_events(step, false);
  });
  while (!started) std::this_thread::yield();
  for (const json& s : step.at("sends")) {
    ::port_send(number(step.at("port")), s.at("ev"), cookie(s));
  }
  getter.join();
  return result;
}

// --- the other calls ------------------------------------------------------------------------------

json actor::sendn(const json& step) {
  constexpr int kUnwritten = -7;
  std::vector<int> ports;
  for (const json& p : step.at("ports")) ports.push_back(number(p));
  std::vector<int> errors(ports.size() + 1, kUnwritten);
  ports.push_back(-1);  // so that an empty list has an address
  const auto n = static_cast<uint_t>(ports.size() - 1);
  int* where = step.value("errors_null", false) ? nullptr : errors.data();
  const int result = ::port_sendn(ports.data(), where, n, step.at("ev"), cookie(step));
  json out = returned(result);
  errors.pop_back();
  bool written = false;
  for (const int e : errors) written = written || e != kUnwritten;
  if (result < 0 && !written) return out;
  out["errors"] = json();
  if (!written) return out;
  out["errors"] = json::array();
  for (const int e : errors) out["errors"].push_back(errno_name(e));
  return out;
}

json actor::associate(const json& step, bool on) {
  const auto name = step.at("obj").get<std::string>();
  const uintptr_t object =
      name == "huge" ? uintptr_t{0x80000000u} : static_cast<uintptr_t>(number(name));
  const int source = step.value("source", PORT_SOURCE_FD);
  const int port = number(step.at("port"));
  if (!on) return returned(::port_dissociate(port, source, object));
  return returned(::port_associate(port, source, object, poll_mask(step.at("mask")), cookie(step)));
}

json actor::dispatch(const json& step) {
  const auto name = step.at("source").get<std::string>();
  const int source = name == "AIO"  ? PORT_SOURCE_AIO
                     : name == "MQ" ? PORT_SOURCE_MQ
                                    : PORT_SOURCE_USER;
  const int flags = step.at("share").get<bool>() ? PORT_SHARE_EVENT : 0;
  return returned(
      ::port_dispatch(number(step.at("port")), flags, source, step.at("ev"), 5, cookie(step)));
}

void actor::open_socket(const std::string& name) {
  int ends[2];
  must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0, "socketpair");
  const int small = 4096;
  ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  const std::lock_guard hold(names_);
  numbers_[name] = ends[0];
  peers_[name] = ends[1];
  objects_[ends[0]] = name;
}

// What happens to the sockets, outside of the ports.
bool actor::on_socket(const std::string& op, const json& step) {
  if (op == "open") {
    open_socket(step.at("obj"));
    return true;
  }
  const auto name = step.value("obj", std::string());
  char buffer[4096] = {};
  if (op == "write") {
    must(::write(peers_.at(name), buffer, step.at("n").get<size_t>()) > 0, "write");
  } else if (op == "read") {
    const auto n = step.at("n").get<size_t>();
    must(n == 0 || ::read(number(name), buffer, n) == static_cast<ssize_t>(n), "read");
  } else if (op == "fill") {
    while (::write(number(name), buffer, 256) > 0) {
    }
    while (::write(number(name), buffer, 1) > 0) {
    }
  } else if (op == "drain") {
    while (::read(peers_.at(name), buffer, sizeof buffer) > 0) {
    }
  } else if (op == "hup") {
    ::close(peers_.at(name));
    peers_.erase(name);
  } else {
    return false;
  }
  return true;
}

json actor::perform(const json& step) {
  const auto op = step.at("op").get<std::string>();
  if (on_socket(op, step)) return nullptr;
  if (op == "limit") {
    must(::quay_tunable_set("port_max_events", step.at("n")) == 0, "quay_tunable_set");
    return nullptr;
  }
  if (op == "create") {
    const int port = ::port_create();
    if (port < 0) return returned(port);
    const std::lock_guard hold(names_);
    numbers_[step.at("port")] = port;
    return {{"ret", 0}};
  }
  if (op == "get" || op == "getn") return wait_for_events(step, op == "get");
  if (op == "start") {
    sleeper& s = sleepers_[step.at("thr")];
    s.thread = std::thread([this, &s, step] {
      s.tid.store(static_cast<pid_t>(::syscall(SYS_gettid)), std::memory_order_release);
      s.result = wait_for_events(step, step.at("call") == "get");
      s.returned.store(true, std::memory_order_release);
    });
    return nullptr;
  }
  if (op == "signal") {
    // Where the documentation has it return earlier, there is nobody left to interrupt.
    const auto found = sleepers_.find(step.at("thr"));
    if (found != sleepers_.end()) {
      ::pthread_kill(found->second.thread.native_handle(), SIGUSR1);
    }
    return nullptr;
  }
  if (op == "race") return race(step);
  if (op == "send")
    return returned(::port_send(number(step.at("port")), step.at("ev"), cookie(step)));
  if (op == "sendn") return sendn(step);
  if (op == "dispatch") return dispatch(step);
  if (op == "associate" || op == "dissociate") return associate(step, op == "associate");
  if (op == "alert") {
    return returned(
        alert(number(step.at("port")), step, alert_flags(step.at("flags")), step.at("ev")));
  }
  if (op == "kick") {
    const int port = number(step.at("port"));
    const json out = returned(alert(port, step, PORT_ALERT_SET, step.at("ev")));
    alert(port, step, PORT_ALERT_SET, 0);
    return out;
  }
  if (op == "dup") {
    const int made = ::dup(number(step.at("fd")));
    must(made >= 0, "dup");
    const std::lock_guard hold(names_);
    numbers_[step.at("new")] = made;
    return nullptr;
  }
  if (op == "close") {
    const json out = returned(::quay_close(number(step.at("fd"))));
    const std::lock_guard hold(names_);
    numbers_.erase(step.at("fd"));
    return out;
  }
  throw std::runtime_error("unknown operation " + op);
}

void actor::become_child() {
  ::new (static_cast<void*>(&names_)) std::mutex;  // whoever held it
  // Never destroyed: their threads do not exist here.
  new std::map<std::string, sleeper>(std::move(sleepers_));
  sleepers_.clear();
  for (const auto& [name, fd] : peers_) ::close(fd);
  peers_.clear();
}

}  // namespace quay::traces::port
