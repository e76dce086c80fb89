// SPDX-License-Identifier: BSD-2-Clause
//
// What: one_queue by quay and one_queue by epoll, timerfd, signalfd, pidfd and inotify are led through the same day and
//       say the same.
// Contract: examples/one_queue/quay.cc. Every order is given when the answer to the one before has come.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "program.hpp"

namespace quay::test {
namespace {

class One_Queue : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    QUAY_SKIP_UNLESS_BUILT(example(GetParam()));
    // Closed again: a file that somebody has open does not end with its name.
    unique_fd(checked(::mkstemp(file_.data()), "mkstemp")).close();
    program_.emplace(std::vector<std::string>{example(GetParam()), file_}, ends_.reader.get());
    ends_.reader.close();
    EXPECT_EQ(says(), "ready");
  }
  void TearDown() override { ::unlink(file_.c_str()); }

  std::string says() { return program_->read_line(); }
  std::string answer(const std::string& order) {
    const std::string line = order + "\n";
    checked(static_cast<int>(::write(ends_.writer, line.data(), line.size())), "write");
    return says();
  }

  std::string file_ = ::testing::TempDir() + "quay-one-queue-XXXXXX";
  pipe_ends ends_ = blocking_pipe();
  std::optional<program> program_;

 private:
  static pipe_ends blocking_pipe() {
    pipe_ends ends = make_pipe();
    checked(::fcntl(ends.reader, F_SETFL, 0), "fcntl");
    return ends;
  }
};

TEST_P(One_Queue, TellsOfEverythingAsItHappens) {
  EXPECT_EQ(answer("good morning"), "input: good morning");
  EXPECT_EQ(answer("timer 5"), "timer: 5 ms");
  EXPECT_EQ(answer("timer 0"), "timer: 0 ms");
  EXPECT_EQ(answer("run exit 3"), "child: code 3");
  EXPECT_EQ(answer("run kill -9 $$"), "child: code 137");
  EXPECT_EQ(answer("run kill -TERM $$"), "child: code 143") << "commands get their signals back";
  std::ofstream(file_, std::ios::app) << "x";
  EXPECT_EQ(says(), "file: written");
  program_->send_signal(SIGHUP);
  EXPECT_EQ(says(), "signal: reload");
  ::unlink(file_.c_str());
  EXPECT_EQ(says(), "file: removed");
  program_->send_signal(SIGTERM);
  EXPECT_EQ(says(), "signal: end");
  EXPECT_EQ(program_->exit_status(), 0);
}

TEST_P(One_Queue, TheEndOfTheInputWaitsForTheCommands) {
  EXPECT_EQ(answer("run read line < \"$0\"; exit 4\nnext"), "input: next");
  ends_.writer.close();
  std::vector<std::string> lines = {says(), says()};
  EXPECT_THAT(lines, testing::UnorderedElementsAre("input: end", testing::StartsWith("child: ")));
  EXPECT_EQ(program_->exit_status(), 0);
}

TEST_P(One_Queue, TwoOrdersInOneReadAreTwo) {
  EXPECT_EQ(answer("one\ntwo"), "input: one");
  EXPECT_EQ(says(), "input: two");
}

INSTANTIATE_TEST_SUITE_P(By, One_Queue, testing::Values("one_queue_quay", "one_queue_linux"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace quay::test
