// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's own calls on the ends, where the hooks library stands in front of them.
// Contract: src/hooks/pipes.cc. Without the hooks these cases are skipped.
#include <sys/select.h>
#include <sys/uio.h>

#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

class Pipe_Hooks : public testing::Test {
 protected:
  void SetUp() override {
    quay_stats stats{};
    quay_stats_get(&stats, sizeof stats);
    if (stats.hooked == 0) GTEST_SKIP() << "the hooks library is not in front of libc";
  }
};

TEST_F(Pipe_Hooks, ReadAndWriteAreOurs) {
  pipe_pair p;
  ASSERT_EQ(write(p.reader(), "backward", 8), 8);  // a kernel's pipe would refuse
  char got[20] = {};
  EXPECT_EQ(read(p.writer(), got, sizeof got), 8);
  EXPECT_STREQ(got, "backward");
  iovec parts[2] = {{got, 3}, {got + 3, 2}};
  EXPECT_EQ(writev(p.writer(), parts, 2), 5);
  EXPECT_EQ(readv(p.reader(), parts, 2), 5);
}

TEST_F(Pipe_Hooks, CloseIsTheEndOfFile) {
  int fds[2];
  ASSERT_EQ(quay_pipe2(fds, 0), 0);
  close(fds[1]);
  char c = 0;
  EXPECT_EQ(read(fds[0], &c, 1), 0);
  close(fds[0]);
}

TEST_F(Pipe_Hooks, PollAndSelectSeeOurBytes) {
  pipe_pair p;
  pollfd asked{p.reader(), POLLIN, 0};
  EXPECT_EQ(poll(&asked, 1, 0), 0);
  ASSERT_EQ(write(p.writer(), "x", 1), 1);
  EXPECT_EQ(poll(&asked, 1, -1), 1);
  EXPECT_EQ(asked.revents, POLLIN);
  EXPECT_EQ(ppoll(&asked, 1, nullptr, nullptr), 1);
  fd_set reading;
  fd_set writing;
  FD_ZERO(&reading);
  FD_ZERO(&writing);
  FD_SET(p.reader(), &reading);
  FD_SET(p.writer(), &reading);
  FD_SET(p.writer(), &writing);
  EXPECT_EQ(select(p.writer() + 1, &reading, &writing, nullptr, nullptr), 2);
  EXPECT_TRUE(FD_ISSET(p.reader(), &reading));
  EXPECT_FALSE(FD_ISSET(p.writer(), &reading));
  EXPECT_TRUE(FD_ISSET(p.writer(), &writing));
}

}  // namespace
}  // namespace quay::test::pipes
