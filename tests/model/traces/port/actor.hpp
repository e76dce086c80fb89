// SPDX-License-Identifier: BSD-2-Clause
//
// What: one simulated process of a port trace: performs operations and tells their results in the
//       trace's own words.
// Invariants: results are compared as JSON: a result has the fields that the trace would have.
// Ownership: owns the descriptors it opened and the threads that it started.
#pragma once

#include <port.h>

#include <atomic>
#include <list>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

namespace quay::traces::port {

using nlohmann::json;

class actor {
 public:
  explicit actor(double stretch);

  // Performs a step; null when the trace expects no answer. Throws where the machine, not the port,
  // fails.
  json perform(const json& step);
  // Waits until every started thread sleeps or has returned; the results of those that have.
  json settle();
  // In a child of fork: threads and the other ends of sockets are the parent's.
  void become_child();

 private:
  struct sleeper {
    std::thread thread;
    std::atomic<pid_t> tid{0};
    std::atomic<bool> returned{false};
    json result;
  };

  int number(const std::string& name) const;
  json wait_for_events(const json& step, bool single);
  json get(const json& step, port_event_t* list, timespec* timeout);
  json getn(const json& step, port_event_t* list, timespec* timeout);
  json sendn(const json& step);
  json associate(const json& step, bool on);
  json dispatch(const json& step);
  json race(const json& step);
  json describe(const port_event_t& e) const;
  void open_socket(const std::string& name);
  bool on_socket(const std::string& op, const json& step);

  const double stretch_;
  mutable std::mutex names_;  // sleepers look names up: numbers_ and objects_
  std::map<std::string, int> numbers_;
  std::map<std::string, int> peers_;
  std::map<int, std::string> objects_;
  std::map<std::string, sleeper> sleepers_;
};

}  // namespace quay::traces::port
