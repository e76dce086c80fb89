// SPDX-License-Identifier: BSD-2-Clause
//
// What: the examples of the C++ face say what they are meant to say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "program.hpp"

namespace quay::test {
namespace {

struct expectation {
  const char* name;
  bool ordered;
  std::vector<std::string> lines;
};

class Cxx_Examples : public testing::TestWithParam<expectation> {};

TEST_P(Cxx_Examples, SayWhatTheyShow) {
  const std::string name = std::string("cxx_") + GetParam().name;
  QUAY_SKIP_UNLESS_BUILT(example(name.c_str()));
  program it({example(name.c_str())});
  std::vector<std::string> said;
  for (std::string line; !(line = it.read_line()).empty();) said.push_back(line);
  EXPECT_EQ(it.exit_status(), 0);
  if (GetParam().ordered) {
    EXPECT_THAT(said, testing::ElementsAreArray(GetParam().lines));
  } else {
    EXPECT_THAT(said, testing::UnorderedElementsAreArray(GetParam().lines));
  }
}

const std::vector<expectation>& expectations() {
  static const std::vector<expectation> all = {
      {"queue",
       false,
       {"write: room yes", "user: 42", "read: 10 bytes", "read: the end", "timer: tick",
        "removed twice: No such file or directory"}},
      {"children",
       false,
       {"exit 0: code 0", "exit 3: code 3", "exec sleep 60: killed by 15", "pidfd: killed by 15"}},
      {"files",
       true,
       {"file: written", "file: attributes", "file: renamed", "directory: written",
        "directory: written"}},
      {"signals",
       true,
       {"SIGHUP: yes, 2 times", "read: SIGUSR1 from myself", "read: SIGTERM from myself"}},
      {"port",
       true,
       {"descriptor: in", "file: modified", "file: removed", "timer: tea", "sent: 7", "alert: 1",
        "sent: 8"}},
      {"threads", true, {"left 0, two threads on one source: never"}},
      {"echo", true, {"50 of 50 answers right, the command's code is 5"}},
  };
  return all;
}

INSTANTIATE_TEST_SUITE_P(By, Cxx_Examples, testing::ValuesIn(expectations()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace quay::test
