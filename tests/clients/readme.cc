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
  const std::filesystem::path here = std::filesystem::path(__FILE__).parent_path();
  program check(
      {here / "readme_program.sh", here.parent_path().parent_path(), example("hello_kqueue")});
  const std::string said = check.read_all();
  EXPECT_EQ(check.exit_status(), 0) << said;
}

}  // namespace
}  // namespace quay::test
