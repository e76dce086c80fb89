// SPDX-License-Identifier: BSD-2-Clause
//
// What: the pipes of one sequence, the actions on them and what can be seen of them afterwards, in
// the words of the trace.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "crew.hpp"

namespace quay::traces {

class stage {
 public:
  // `constants` of the file, `config` of the sequence; `id` seeds the data that is written.
  stage(const nlohmann::json& constants, const nlohmann::json& config, long id);
  ~stage();
  stage(const stage&) = delete;
  stage& operator=(const stage&) = delete;

  // Begins a call or does what the main thread does; returns the result of the latter, else null.
  nlohmann::json perform(const nlohmann::json& action, long step);
  void settle();
  // Calls that returned since the last time.
  nlohmann::json returned();
  // The state now: members f, p, k, z, a of the format; what the trace cannot have is left out.
  nlohmann::json look(const nlohmann::json& action);
  bool edges() const { return edges_; }

 private:
  nlohmann::json make_pipe(bool nonblocking);
  int watch(int queue, size_t end, char filter, unsigned flags);
  nlohmann::json events();
  nlohmann::json capacity(size_t end);

  long id_;
  bool several_;
  bool watched_;
  bool edges_;
  int queue_ = -1;
  int probe_ = -1;
  std::vector<int> ends_;
  std::vector<bool> open_;
  std::vector<std::unique_ptr<hand>> hands_;
  std::vector<std::vector<unsigned char>> buffers_;
  std::vector<bool> reads_;
};

std::string name_of_error(int error);

}  // namespace quay::traces
