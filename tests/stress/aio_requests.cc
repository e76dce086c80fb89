// SPDX-License-Identifier: BSD-2-Clause
//
// What: many threads that read, write, sync, cancel, wait and are told, at the same time.
// Contract: QUAY_STRESS_SECONDS, 5 unless set. No request is lost: each ends once, with what it
// asked for or as cancelled, and each that names a queue is one event.
#include <array>
#include <atomic>
#include <map>
#include <random>

#include "support/aio.hpp"
#include "support/length.hpp"

namespace quay::test {
namespace {

class Stress_Aio : public aio_test {};
QUAY_TEST_EVERY_BACKEND(Stress_Aio);

constexpr size_t kBlock = 4096;
constexpr size_t kBlocks = 64;

TEST_P(Stress_Aio, FilesOfManyThreadsStayWhole) {
  const std::string content = pattern(kBlock * kBlocks);
  const scratch_file shared(content);
  const time_limit limit(stress_time() / 3);
  std::atomic<long> rounds{0};
  const auto work = [&](unsigned seed) {
    std::minstd_rand random(seed);
    const scratch_file own;
    queue kq = make_queue();
    do {
      std::map<uintptr_t, std::unique_ptr<request>> told;
      std::vector<std::unique_ptr<request>> silent;
      for (int i = 0; i < 16; ++i) {
        const off_t at = static_cast<off_t>(random() % kBlocks * kBlock);
        auto r = std::make_unique<request>(shared, std::string(kBlock, '\0'), at);
        const bool tells = random() % 2 == 0;
        if (tells) r->tells(kq, nullptr, EV_ONESHOT);
        ASSERT_EQ(::aio_read(&r->block), 0);
        if (tells) {
          told.emplace(r->ident(), std::move(r));
        } else {
          silent.push_back(std::move(r));
        }
      }
      request w(own, pattern(random() % 20000 + 1), 0);
      ASSERT_EQ(::aio_write(&w.block), 0);
      request s = request::room_for(own, 0);
      if (random() % 8 == 0) {
        ASSERT_EQ(::aio_fsync(O_DSYNC, &s.block), 0);
        ASSERT_EQ(s.finish(), 0);
        ASSERT_EQ(w.error(), 0);
      }
      const auto right = [&](request& r) {
        return ::aio_return(&r.block) == static_cast<ssize_t>(kBlock) &&
               r.bytes() == std::string_view(content).substr(
                                static_cast<size_t>(r.block.aio_offset), kBlock);
      };
      while (!told.empty()) {
        for (const struct kevent& e : await(kq)) {
          const auto found = told.find(e.ident);
          ASSERT_NE(found, told.end()) << "an event of nobody, or a second one";
          ASSERT_TRUE(right(*found->second));
          told.erase(found);
        }
        ASSERT_FALSE(testing::Test::HasFailure());
      }
      for (auto& r : silent) {
        const aiocb* list[] = {&r->block};
        ASSERT_EQ(::aio_suspend(list, 1, nullptr), 0);
        ASSERT_TRUE(right(*r));
      }
      ASSERT_EQ(w.finish(), static_cast<ssize_t>(w.bytes().size()));
      ASSERT_TRUE(poll(kq).empty());
      rounds.fetch_add(1);
    } while (!limit.over());
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i) threads.emplace_back(work, i + 1);
  for (auto& t : threads) t.join();
  EXPECT_GT(rounds.load(), 0);
}

TEST_P(Stress_Aio, WhatIsNotCancelledArrivesInOrder) {
  const time_limit limit(stress_time() / 3);
  const auto work = [&](unsigned seed) {
    std::minstd_rand random(seed);
    while (!limit.over()) {
      const pipe_ends pipe = make_pipe();
      std::vector<std::unique_ptr<request>> all;
      for (int i = 0; i < 12; ++i) {
        all.push_back(std::make_unique<request>(pipe.reader, "."));
        ASSERT_EQ(::aio_read(&all.back()->block), 0);
      }
      std::thread other([&, from = random() % 12] {
        for (size_t i = from; i < all.size(); i += 2) ::aio_cancel(pipe.reader, &all[i]->block);
      });
      put(pipe.writer, "abcdefghijkl");
      other.join();
      char next = 'a';
      for (auto& r : all) {
        const ssize_t n = r->finish();
        if (n == -1) {
          ASSERT_EQ(errno, ECANCELED);
          continue;
        }
        ASSERT_EQ(n, 1);
        ASSERT_EQ(r->bytes(), std::string(1, next));
        ++next;
      }
      ASSERT_EQ(take(pipe.reader, 12).size(), static_cast<size_t>('m' - next));
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 3; ++i) threads.emplace_back(work, i + 1);
  for (auto& t : threads) t.join();
}

}  // namespace
}  // namespace quay::test
