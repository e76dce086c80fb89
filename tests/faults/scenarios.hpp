// SPDX-License-Identifier: BSD-2-Clause
//
// What: public calls whose system calls are made to fail: what must be there before, the call, and
//       the proof that it took effect.
// Contract: `act` may be repeated after it failed, and then has its whole effect: a failure left
//           everything as it was.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace quay::faults {

class scenario {
 public:
  virtual ~scenario() = default;
  virtual void prepare() {}
  virtual int act() = 0;     // -1 and errno: failed
  virtual bool works() = 0;  // after a success
};

struct named_scenario {
  std::string name;
  std::unique_ptr<scenario> (*make)();
};
const std::vector<named_scenario>& scenarios();

}  // namespace quay::faults
