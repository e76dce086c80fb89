// SPDX-License-Identifier: BSD-2-Clause
//
// What: programs that know nothing of us, at the other end of a pipe of ours.
// Contract: semantics/pipes-signalfd.md A12.16, A13 P56. What the hooks do before exec is called by
// its name here, so that the cases run without them too.
#include "pipe.hpp"

extern "C" void quay_hook_before_exec(void);

namespace quay::test::pipes {
namespace {

// Becomes cat, reading from `in` and writing to `out`.
int become_cat(int in, int out) {
  quay_hook_before_exec();
  dup2(in, 0);
  dup2(out, 1);
  execlp("cat", "cat", nullptr);
  return 9;
}

std::string all_of(int fd) {
  std::string all;
  for (std::string got; !(got = take_text(fd, 70000)).empty();) all += got;
  return all;
}

TEST(Pipe_Exec, AnUnawareReaderGetsWhatWasInTheRingFirst) {
  for (const size_t early : {5ul, 60000ul}) {
    pipe_pair p;
    int out[2];
    ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
    set_nonblocking(p.writer(), true);
    ASSERT_EQ(put(p.writer(), early, 'e'), static_cast<long>(early));
    set_nonblocking(p.writer(), false);
    child cat([&] {
      alarm(60);
      p.close(1);
      return become_cat(p.reader(), out[1]);
    });
    close(out[1]);
    p.close(0);
    std::thread writer([&] {
      EXPECT_EQ(put(p.writer(), 100000, 'l'), 100000);
      p.close(1);
    });
    EXPECT_EQ(all_of(out[0]), std::string(early, 'e') + std::string(100000, 'l'));
    writer.join();
    close(out[0]);
    EXPECT_EQ(cat.wait(), 0);
  }
}

TEST(Pipe_Exec, AnUnawareWritersBytesAndEndArrive) {
  pipe_pair p;
  int in[2];
  ASSERT_EQ(pipe2(in, O_CLOEXEC), 0);
  child cat([&] {
    alarm(60);
    p.close(0);
    return become_cat(in[0], p.writer());
  });
  close(in[0]);
  p.close(1);
  ASSERT_EQ(write(in[1], "from cat", 8), 8);
  close(in[1]);
  EXPECT_EQ(all_of(p.reader()), "from cat");
  EXPECT_EQ(cat.wait(), 0);
}

TEST(Pipe_Exec, AnUnawareReadersDeathIsABrokenPipe) {
  const ignored_signal pipe(SIGPIPE);
  pipe_pair p;
  {
    child gone([&] {
      p.close(1);
      quay_hook_before_exec();
      execlp("true", "true", nullptr);
      return 9;
    });
    p.close(0);
    EXPECT_EQ(gone.wait(), 0);
  }
  EXPECT_EQ(put(p.writer(), 1), -EPIPE);
}

}  // namespace
}  // namespace quay::test::pipes
