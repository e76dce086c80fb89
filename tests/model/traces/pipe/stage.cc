// SPDX-License-Identifier: BSD-2-Clause
//
// What: see stage.hpp.
#include "stage.hpp"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <quay/quay.h>
#include <signal.h>
#include <string.h>
#include <sys/event.h>
#include <sys/ioctl.h>

#include <algorithm>

namespace quay::traces {
namespace {

using nlohmann::json;

constexpr size_t kHands = 5;
constexpr unsigned char kUntouched = 0xee;
constexpr size_t kMargin = 64;

unsigned char pattern(long sequence, long step, size_t offset) {
  const auto s = static_cast<uint32_t>(sequence) * 2654435761u;
  const auto t = static_cast<uint32_t>(step) * 40503u;
  return static_cast<unsigned char>(((s ^ t) + static_cast<uint32_t>(offset)) * 2654435761u >> 24);
}

std::string checksum(const unsigned char* bytes, size_t n) {
  uint32_t sum = 2166136261u;
  for (size_t i = 0; i < n; ++i) sum = (sum ^ bytes[i]) * 16777619u;
  return fmt::format("{:08x}", sum);
}

std::string poll_letters(short bits) {
  std::string out;
  for (const auto& [bit, letter] :
       {std::pair{POLLIN, 'I'}, {POLLOUT, 'O'}, {POLLHUP, 'H'}, {POLLERR, 'E'}, {POLLNVAL, 'N'}}) {
    if (bits & bit) out += letter;
  }
  return out;
}

json result_of(int value) { return value < 0 ? json(name_of_error(errno)) : json(0); }

}  // namespace

std::string name_of_error(int error) { return strerrorname_np(error); }

stage::stage(const json& constants, const json& config, long id)
    : id_(id),
      several_(config.value("multi", false)),
      watched_(config.value("kq", "level") != "none"),
      edges_(config.value("kq", "level") == "clear") {
  for (const char* name : {"pipe_buf", "small_pipe_size", "pipe_size", "big_pipe_size",
                           "pipe_mindirect", "maxpipekva", "piperesizeallowed"}) {
    const json& from = config.contains(name) ? config : constants;
    if (quay_tunable_set(name, from.at(name).get<long>()) != 0) {
      throw std::runtime_error(fmt::format("tunable {} was refused", name));
    }
  }
  for (size_t i = 0; i < kHands; ++i) hands_.push_back(std::make_unique<hand>());
  buffers_.resize(kHands);
  reads_.resize(kHands);
  if (watched_) queue_ = kqueue();
  if (several_) {
    probe_ = kqueue();
    return;
  }
  const json& nonblocking = config.at("nb");
  make_pipe(nonblocking[0].get<int>() != 0);
  for (size_t e = 0; e < 2; ++e) {
    quay_fcntl(ends_[e], F_SETFL, nonblocking[e].get<int>() != 0 ? O_RDWR | O_NONBLOCK : O_RDWR);
  }
}

// Closing both ends ends every call; a call on the end that would be closed is interrupted.
stage::~stage() {
  const auto busy = [this] {
    return std::any_of(hands_.begin(), hands_.end(), [](const auto& h) { return h->busy(); });
  };
  for (size_t e = 0; e < ends_.size(); ++e) {
    if (open_[e]) quay_close(ends_[e]);
  }
  while (busy()) {
    for (const auto& h : hands_) {
      if (h->busy()) h->signal(SIGUSR1);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (queue_ >= 0) quay_close(queue_);
  if (probe_ >= 0) quay_close(probe_);
}

json stage::make_pipe(bool nonblocking) {
  int made[2];
  if (quay_pipe2(made, nonblocking ? O_NONBLOCK : 0) != 0) return name_of_error(errno);
  for (const int fd : made) {
    ends_.push_back(fd);
    open_.push_back(true);
  }
  if (!watched_) return 0;
  const unsigned flags = EV_ADD | (edges_ ? EV_CLEAR : 0u);
  for (size_t e = ends_.size() - 2; e < ends_.size(); ++e) {
    for (const char filter : {'r', 'w'}) {
      if (watch(queue_, e, filter, flags) < 0) throw std::runtime_error("a note was refused");
    }
  }
  return 0;
}

int stage::watch(int queue, size_t end, char filter, unsigned flags) {
  struct kevent change;
  const int number = filter == 'r' ? EVFILT_READ : filter == 'w' ? EVFILT_WRITE : EVFILT_VNODE;
  const size_t name = end * 2 + (filter == 'w' ? 1 : 0);
  EV_SET(&change, static_cast<uintptr_t>(ends_[end]), static_cast<short>(number),
         static_cast<unsigned short>(flags), 0, 0, reinterpret_cast<void*>(name));
  return kevent(queue, &change, 1, nullptr, 0, nullptr);
}

json stage::perform(const json& action, long step) {
  const std::string op = action.at("op");
  if (op == "sig" || op == "sigr") {
    hand& whom = *hands_.at(action.at("t").get<size_t>());
    if (whom.busy()) whom.signal(op == "sig" ? SIGUSR1 : SIGUSR2);
    return nullptr;
  }
  if (op == "pipe") return make_pipe(action.at("nb").get<int>() != 0);
  if (op == "tun") {
    return result_of(
        quay_tunable_set(action.at("name").get<std::string>().c_str(), action.at("v").get<long>()));
  }
  const size_t e = action.at("e");
  const int fd = ends_.at(e);
  if (op == "nb") {
    const int flags = quay_fcntl(fd, F_GETFL);
    if (flags < 0) return name_of_error(errno);
    const bool on = action.at("v").get<int>() != 0;
    return result_of(quay_fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
  }
  if (op == "poll") {
    pollfd asked{fd, 0, 0};
    for (const char c : action.at("ev").get<std::string>()) {
      asked.events = static_cast<short>(asked.events | (c == 'I' ? POLLIN : POLLOUT));
    }
    if (quay_poll(&asked, 1, 0) < 0) return name_of_error(errno);
    return poll_letters(asked.revents);
  }
  if (op == "fionread") {
    int n = 0;
    return quay_ioctl(fd, FIONREAD, &n) < 0 ? json(name_of_error(errno)) : json(n);
  }
  if (op == "stat") {
    struct stat own {};
    struct stat other {};
    if (quay_fstat(fd, &own) < 0) return name_of_error(errno);
    json out = {{"fifo", S_ISFIFO(own.st_mode)}, {"perm", own.st_mode & 07777u},
                {"size", own.st_size},           {"blksize", own.st_blksize},
                {"blocks", own.st_blocks},       {"nlink", own.st_nlink}};
    if (open_[e ^ 1] && quay_fstat(ends_[e ^ 1], &other) == 0) {
      out["ino_differ"] = own.st_ino != other.st_ino;
      out["dev_equal"] = own.st_dev == other.st_dev;
    }
    return out;
  }
  if (op == "kadd" || op == "kdel") {
    const unsigned flags = op == "kdel" ? EV_DELETE : EV_ADD | (edges_ ? EV_CLEAR : 0u);
    return result_of(watch(queue_, e, action.at("flt").get<std::string>()[0], flags));
  }

  const size_t t = action.at("t");
  if (op == "close") {
    open_[e] = false;
    reads_[t] = false;
    hands_[t]->begin([fd] { return long{quay_close(fd)}; });
    return nullptr;
  }
  std::vector<size_t> sizes;
  if (action.at("n").is_array()) {
    sizes = action.at("n").get<std::vector<size_t>>();
  } else {
    sizes.push_back(action.at("n"));
  }
  size_t total = 0;
  for (const size_t n : sizes) total += n;
  std::vector<unsigned char>& bytes = buffers_[t];
  bytes.assign(total + kMargin, kUntouched);
  std::vector<iovec> parts;
  size_t at = 0;
  for (const size_t n : sizes) {
    parts.push_back({bytes.data() + at, n});
    at += n;
  }
  reads_[t] = op[0] == 'r';
  if (!reads_[t]) {
    for (size_t i = 0; i < total; ++i) bytes[i] = pattern(id_, step, i);
  }
  const bool list = op == "readv" || op == "writev";
  hands_[t]->begin([fd, parts, list, reading = bool{reads_[t]}]() -> long {
    const int count = static_cast<int>(parts.size());
    if (list) {
      return reading ? quay_readv(fd, parts.data(), count) : quay_writev(fd, parts.data(), count);
    }
    return reading ? quay_read(fd, parts[0].iov_base, parts[0].iov_len)
                   : quay_write(fd, parts[0].iov_base, parts[0].iov_len);
  });
  return nullptr;
}

void stage::settle() {
  std::vector<hand*> all;
  for (const auto& h : hands_) all.push_back(h.get());
  traces::settle(all);
}

json stage::returned() {
  json out = json::array();
  for (size_t t = 0; t < hands_.size(); ++t) {
    const std::optional<outcome> done = hands_[t]->take();
    if (!done) continue;
    json one = {t};
    if (done->error != 0) {
      one.push_back(name_of_error(done->error));
    } else {
      one.push_back(done->value);
      const auto n = static_cast<size_t>(done->value);
      if (reads_[t] && n > 0) one.push_back(checksum(buffers_[t].data(), n));
      if (reads_[t] && std::any_of(buffers_[t].begin() + done->value, buffers_[t].end(),
                                   [](unsigned char c) { return c != kUntouched; })) {
        one.push_back("wrote beyond what it returned");
      }
    }
    if (done->sigpipe != (done->error == EPIPE)) one.push_back("SIGPIPE and EPIPE disagree");
    out.push_back(one);
  }
  return out;
}

json stage::events() {
  struct kevent found[64];
  const timespec now{0, 0};
  const int n = kevent(queue_, nullptr, 0, found, 64, &now);
  json out = json::array();
  for (int i = 0; i < n; ++i) {
    const auto name = reinterpret_cast<uintptr_t>(found[i].udata);
    std::string flags;
    if (found[i].flags & EV_EOF) flags += 'E';
    if (found[i].flags & EV_ONESHOT) flags += '1';
    out.push_back({fmt::format("{}{}", name / 2, name % 2 != 0 ? 'w' : 'r'), found[i].data, flags});
  }
  return out;
}

// The size of the ring read at `end`: the free space its other end sees, and what is in it.
json stage::capacity(size_t end) {
  if (watch(probe_, end ^ 1, 'w', EV_ADD | EV_ONESHOT) < 0) return name_of_error(errno);
  struct kevent found;
  const timespec now{0, 0};
  int held = 0;
  quay_ioctl(ends_[end], FIONREAD, &held);
  if (kevent(probe_, nullptr, 0, &found, 1, &now) == 1) return found.data + held;
  watch(probe_, end ^ 1, 'w', EV_DELETE);
  return nullptr;
}

json stage::look(const json& action) {
  json held = json::array();
  json ready = json::array();
  for (size_t e = 0; e < ends_.size(); ++e) {
    if (!open_[e]) {
      held.push_back(nullptr);
      ready.push_back(nullptr);
      continue;
    }
    int n = -1;
    quay_ioctl(ends_[e], FIONREAD, &n);
    struct stat st {};
    quay_fstat(ends_[e], &st);
    held.push_back(st.st_size == n ? json(n) : json("FIONREAD and st_size disagree"));
    pollfd asked{ends_[e], POLLIN | POLLOUT, 0};
    quay_poll(&asked, 1, 0);
    ready.push_back(poll_letters(asked.revents));
  }
  json out = {{"f", held}};
  if (!several_) out["p"] = ready;
  if (watched_) out["k"] = events();
  if (several_ && !ends_.empty()) {
    const size_t touched = action.contains("e") ? action.at("e").get<size_t>() : ends_.size() - 1;
    json sizes = json::object();
    for (const size_t e : {touched & ~size_t{1}, touched | 1}) {
      if (open_[e] && open_[e ^ 1]) sizes[std::to_string(e)] = capacity(e);
    }
    out["z"] = sizes;
    out["a"] = quay_tunable_get("pipekva");
  }
  return out;
}

}  // namespace quay::traces
