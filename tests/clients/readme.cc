// SPDX-License-Identifier: BSD-2-Clause
//
// What: runs readme_program.sh with the built example.
#include <gtest/gtest.h>

#include <filesystem>

#include "program.hpp"

namespace quay::test {
namespace {

TEST(Readme, ShowsTheProgramThatIsBuilt) {
  QUAY_SKIP_UNLESS_BUILT(example("hello_kqueue"));
  const std::filesystem::path root = QUAY_SOURCE_DIR;
  program check({root / "tests/clients/readme_program.sh", root, example("hello_kqueue")});
  const std::string said = check.read_all();
  EXPECT_EQ(check.exit_status(), 0) << said;
}

}  // namespace
}  // namespace quay::test
