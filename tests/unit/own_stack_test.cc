// SPDX-License-Identifier: BSD-2-Clause
//
// What: which memory is taken for the caller's own frames, and asked nobody about.
// Contract: core/own_stack.hpp.
#include "core/own_stack.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <cstdint>
#include <memory>
#include <thread>

namespace {

using quay::core::own_stack;

// A function of the library's, as it were: what it is asked about lies in its callers' frames or not.
[[gnu::noinline]] bool holds(const void* p, std::size_t n) { return own_stack().holds(p, n); }

// Runs f(first, end) in a thread: memory of its own frame, from the real stack under any sanitizer, and the
// end of the stack. Between the two lies more than the page of the thread's control block, of which nothing is held.
template <class F>
void in_a_thread(std::size_t bytes, F f) {
  std::thread([&] {
    pthread_attr_t about;
    ASSERT_EQ(pthread_getattr_np(pthread_self(), &about), 0);
    void* lowest = nullptr;
    std::size_t size = 0;
    ASSERT_EQ(pthread_attr_getstack(&about, &lowest, &size), 0);
    pthread_attr_destroy(&about);
    f(static_cast<char*>(__builtin_alloca(bytes + 8192)), static_cast<char*>(lowest) + size);
  }).join();
}

TEST(OwnStack, ACallersFrameIsHeld) {
  in_a_thread(64, [](char* mine, char*) {
    EXPECT_TRUE(holds(mine, 1));
    EXPECT_TRUE(holds(mine, 64));
    EXPECT_TRUE(holds(mine + 63, 1));
  });
}

TEST(OwnStack, MemoryElsewhereIsNot) {
  static char fixed[64];
  const auto heap = std::make_unique<char[]>(64);
  in_a_thread(64, [&](char* mine, char*) {
    EXPECT_FALSE(holds(nullptr, 1));
    EXPECT_FALSE(holds(fixed, sizeof fixed));
    EXPECT_FALSE(holds(heap.get(), 64));
    EXPECT_FALSE(holds(mine - 65536, 1)) << "below the frame";
    EXPECT_FALSE(holds(mine - 65536, 2 * 65536)) << "from below the frame into it";
    EXPECT_FALSE(holds(reinterpret_cast<const void*>(UINTPTR_MAX), 1));
    EXPECT_FALSE(holds(mine, SIZE_MAX));
  });
}

TEST(OwnStack, NothingIsHeldBeyondTheEndOfAThreadsStack) {
  in_a_thread(64, [](char* mine, char* end) {
    const auto rest = static_cast<std::size_t>(end - mine);
    ASSERT_LT(rest, 65536u);
    EXPECT_FALSE(holds(mine, rest + 1));
    EXPECT_FALSE(holds(end, 1));
  });
}

TEST(OwnStack, NorWhatIsFarAboveTheFrame) {
  in_a_thread(3 * 65536, [](char* mine, char*) {
    EXPECT_TRUE(holds(mine, 1024));
    EXPECT_FALSE(holds(mine, 2 * 65536));
    EXPECT_FALSE(holds(mine + 2 * 65536, 1));
  });
}

}  // namespace
