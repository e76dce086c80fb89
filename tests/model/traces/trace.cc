// SPDX-License-Identifier: BSD-2-Clause
//
// What: reads trace files.
#include "trace.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <quay/quay.h>
#include <sys/event.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "names.hpp"

namespace quay::traces {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 9> kActionNames = {
    "kqueue", "opipe", "write", "read", "fill", "drain", "close", "advance", "kevent"};

action action_of(const std::string& name) {
  for (size_t i = 0; i < kActionNames.size(); ++i) {
    if (kActionNames[i] == name) return static_cast<action>(i);
  }
  throw std::runtime_error(fmt::format("the trace has an unknown operation '{}'", name));
}

// The member that names the object an operation acts on differs by operation.
std::string object_of(const json& op) {
  for (const char* key : {"as", "to", "from", "what", "on"}) {
    if (op.contains(key)) return op.at(key).get<std::string>();
  }
  return {};
}

entry parse_entry(const json& in) {
  entry out;
  const json& ident = in.at("ident");
  out.object =
      ident.is_string() ? ident.get<std::string>() : fmt::format("{}", ident.get<long long>());
  const json& filter = in.at("filter");
  out.filter = filter.is_string() ? filter_value(filter.get<std::string>()) : filter.get<int>();
  out.flags = flag_bits(in.value("flags", ""));
  out.fflags = fflag_bits(in.value("fflags", ""));
  out.udata = in.value("udata", 0ULL);
  if (const auto data = in.find("data"); data != in.end()) {
    out.data = data->is_string() ? errno_value(data->get<std::string>()) : data->get<long long>();
  }
  const bool is_error = (out.flags & EV_ERROR) != 0;
  const bool free_space = out.filter == EVFILT_WRITE && !is_error;  // Linux counts it otherwise
  out.data_matters = !free_space && in.value("mask", "") != "data";
  return out;
}

std::vector<entry> parse_entries(const json& op, const char* key) {
  std::vector<entry> out;
  if (const auto list = op.find(key); list != op.end()) {
    for (const json& item : *list) out.push_back(parse_entry(item));
  }
  return out;
}

operation parse_operation(const json& in) {
  operation out;
  out.what = action_of(in.at("op").get<std::string>());
  out.object = object_of(in);
  out.by_pipe = in.value("via", "") == "pipe";
  out.amount = in.value("n", in.value("ms", 0L));
  out.result = in.value("ret", 0L);
  if (in.contains("errno")) out.error = errno_value(in.at("errno").get<std::string>());
  out.changes = parse_entries(in, "changes");
  out.room = in.value("nevents", 0);
  out.any_of = in.contains("any_of");
  out.expected = parse_entries(in, out.any_of ? "any_of" : "events");
  return out;
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 65536> chunk;
  for (;;) {
    const ssize_t n = ::read(fd, chunk.data(), chunk.size());
    if (n < 0) throw std::runtime_error("cannot read from gzip");
    if (n == 0) return text;
    text.append(chunk.data(), static_cast<size_t>(n));
  }
}

std::string unpack(const std::string& path) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) throw std::runtime_error("cannot make a pipe for gzip");
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::execlp("gzip", "gzip", "-dc", "--", path.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string text = read_all(ends[0]);
  ::close(ends[0]);
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) {
    throw std::runtime_error(fmt::format("gzip cannot unpack {}", path));
  }
  return text;
}

}  // namespace

std::string read_whole_file(const std::string& path) {
  if (path.ends_with(".gz")) return unpack(path);
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(fmt::format("cannot open {}", path));
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string_view action_name(action what) { return kActionNames.at(static_cast<size_t>(what)); }

sequence parse_sequence(const std::string& line) {
  const json in = json::parse(line);
  sequence out;
  out.id = in.at("id").get<std::string>();
  const std::string dialect = in.at("dialect").get<std::string>();
  if (dialect == "netbsd") {
    out.dialect = QUAY_DIALECT_NETBSD;
  } else if (dialect == "dragonfly") {
    out.dialect = QUAY_DIALECT_DRAGONFLY;
  } else {
    throw std::runtime_error(fmt::format("the trace has an unknown dialect '{}'", dialect));
  }
  out.tier = in.value("tier", 0);
  out.strict_order = in.value("order", "set") == "strict";
  for (const json& op : in.at("ops")) {
    out.operations.push_back(parse_operation(op));
    out.timed |= out.operations.back().what == action::advance;
  }
  return out;
}

std::vector<sequence> read_trace_file(const std::string& path) {
  std::vector<sequence> out;
  std::istringstream text(read_whole_file(path));
  for (std::string line; std::getline(text, line);) {
    if (!line.empty()) out.push_back(parse_sequence(line));
  }
  if (out.empty()) throw std::runtime_error(fmt::format("{} holds no sequence", path));
  return out;
}

}  // namespace quay::traces
