// SPDX-License-Identifier: BSD-2-Clause
//
// What: what growing and shrinking cost, and that they leave the bytes alone.
// Contract: semantics/pipes-signalfd.md A2, A13 P12, P16, P17, P19.
#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

long in_use() { return quay_tunable_get("pipekva"); }

std::string pattern(size_t n) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += static_cast<char>('a' + i % 23);
  return out;
}

TEST(Pipe_Budget, AGrowingPipeDoubles) {
  const long before = in_use();
  const pipe_pair p(O_NONBLOCK);
  EXPECT_EQ(in_use(), before + 16384 + 8192);
  EXPECT_EQ(put(p.writer(), 20000), 20000);
  EXPECT_EQ(in_use(), before + 32768 + 8192);
}

// With FreeBSD's constants a small pipe holds less than a direct write needs.
TEST(Pipe_Budget, UnderPressureALargeWriteGoesThroughASmallPipe) {
  const tuned freebsd{{"pipe_buf", 512}, {"small_pipe_size", 4096}};
  const tuned tight{{"maxpipekva", in_use() + 32768}};
  const pipe_pair first;
  const pipe_pair p;
  call writer([&] { return put(p.writer(), 8192); });
  writer.until_asleep();
  EXPECT_FALSE(writer.done());
  EXPECT_EQ(held(p.reader()), 4096);
  EXPECT_EQ(take(p.reader(), 10000), 4096);
  EXPECT_EQ(writer.result(), 8192);
  EXPECT_EQ(held(p.reader()), 4096);
}

TEST(Pipe_Budget, UnderPressureAReadShrinksWhatHoldsLittle) {
  const long before = in_use();
  const pipe_pair p(O_NONBLOCK);
  EXPECT_EQ(put(p.writer(), 20000), 20000);
  const long grown = in_use();
  const tuned tight{{"maxpipekva", grown + 8192}};
  EXPECT_EQ(take(p.reader(), 1), 1);
  EXPECT_EQ(take(p.reader(), 12000), 12000);  // it held more when the call began
  EXPECT_EQ(in_use(), grown);
  EXPECT_EQ(take(p.reader(), 1), 1);
  EXPECT_EQ(in_use(), before + 8192 + 8192);
  EXPECT_EQ(take(p.reader(), 10000), 20000 - 12002);
}

TEST(Pipe_Budget, ResizingKeepsBytesThatLieAcrossTheEdge) {
  const pipe_pair p(O_NONBLOCK);
  EXPECT_EQ(put(p.writer(), 62000), 62000);
  EXPECT_EQ(take(p.reader(), 62000), 62000);
  const std::string bytes = pattern(7000);
  EXPECT_EQ(put(p.writer(), bytes), 7000);
  {
    const tuned tight{{"maxpipekva", in_use() + 8192}};
    const long large = in_use();
    EXPECT_EQ(take_text(p.reader(), 500), bytes.substr(0, 500));
    EXPECT_LT(in_use(), large);
  }
  const std::string more = pattern(30000);
  EXPECT_EQ(put(p.writer(), more), 30000);
  EXPECT_EQ(take_text(p.reader(), 65536), bytes.substr(500) + more);
}

}  // namespace
}  // namespace quay::test::pipes
