// SPDX-License-Identifier: BSD-2-Clause
//
// What: plays one sequence of a port trace with real processes and compares every answer.
// Contract: a step may be answered as the kernel's code did (`res`, `done`), as one of the accepted
//           forms beside it (`alt`), or as the documentation promises (`doc`). After a step marked
//           `div` the two worlds hold different state: who answered as only one of them did must
//           stay in it, until a step marked `sync`.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace quay::traces::port {

struct verdict {
  bool matches = true;
  std::string why;
};

verdict play(const nlohmann::json& sequence, double stretch);

}  // namespace quay::traces::port
