// SPDX-License-Identifier: BSD-2-Clause
//
// What: asking after requests, waiting for them, cancelling them, lists.
// Contract: aio_error(3), aio_return(3), aio_suspend(3), aio_cancel(3), lio_listio(3) of POSIX and
// FreeBSD; every test with every way of performing requests.
#include <signal.h>
#include <algorithm>

#include <memory>
#include <vector>

#include "support/aio.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

class Aio_Results : public aio_test {};
QUAY_TEST_EVERY_BACKEND(Aio_Results);

#define EXPECT_REFUSED(call, expected) \
  do {                                 \
    errno = 0;                         \
    EXPECT_EQ(call, -1);               \
    EXPECT_EQ(errno, expected);        \
  } while (false)

TEST_P(Aio_Results, AResultIsGivenOnce) {
  const scratch_file file("abc");
  request r = request::room_for(file, 3);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_EQ(r.finish(), 3);
  EXPECT_EQ(r.error(), EINVAL);
  EXPECT_REFUSED(::aio_return(&r.block), EINVAL);
}

TEST_P(Aio_Results, ABlockThatWasNeverSubmittedHasNone) {
  request r = request::room_for(0, 1);
  EXPECT_EQ(r.error(), EINVAL);
  EXPECT_REFUSED(::aio_return(&r.block), EINVAL);
  std::memset(static_cast<void*>(&r.block), 0xa5, sizeof r.block);
  EXPECT_EQ(r.error(), EINVAL);
  EXPECT_REFUSED(::aio_return(&r.block), EINVAL);
}

TEST_P(Aio_Results, ACopyOfAFinishedBlockIsNotFinished) {
  const scratch_file file("abc");
  request r = request::room_for(file, 3);
  ASSERT_EQ(::aio_read(&r.block), 0);
  const aiocb* list[] = {&r.block};
  ASSERT_EQ(::aio_suspend(list, 1, nullptr), 0);
  const aiocb copy = r.block;
  EXPECT_EQ(::aio_error(&copy), EINVAL);
  EXPECT_EQ(r.finish(), 3);
}

TEST_P(Aio_Results, WhatIsUnderWayHasNoResultYet) {
  const pipe_ends pipe = make_pipe();
  request r = request::room_for(pipe.reader, 1);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_REFUSED(::aio_return(&r.block), EINVAL);
  EXPECT_EQ(r.error(), EINPROGRESS);
  put(pipe.writer, "x");
  EXPECT_EQ(r.finish(), 1);
}

TEST_P(Aio_Results, ABlockServesAgain) {
  const scratch_file file("abcdef");
  request r = request::room_for(file, 1);
  for (off_t i = 0; i < 6; ++i) {
    r.block.aio_offset = i;
    ASSERT_EQ(::aio_read(&r.block), 0);
    EXPECT_EQ(r.finish(), 1);
    EXPECT_EQ(r.bytes(), std::string(1, static_cast<char>('a' + i)));
  }
}

// --- aio_suspend ----------------------------------------------------------------------------------

TEST_P(Aio_Results, SuspendReturnsForTheFirstOfMany) {
  const pipe_ends one = make_pipe();
  const pipe_ends two = make_pipe();
  request a = request::room_for(one.reader, 1);
  request b = request::room_for(two.reader, 1);
  ASSERT_EQ(::aio_read(&a.block), 0);
  ASSERT_EQ(::aio_read(&b.block), 0);
  const aiocb* list[] = {&a.block, nullptr, &b.block};
  thread_in_call<int> waiter([&] { return ::aio_suspend(list, 3, nullptr); });
  ASSERT_TRUE(waiter.falls_asleep());
  put(two.writer, "x");
  EXPECT_EQ(waiter.result(), 0);
  EXPECT_TRUE(a.in_progress());
  EXPECT_EQ(b.error(), 0);
  put(one.writer, "x");
  EXPECT_EQ(a.finish(), 1);
  EXPECT_EQ(b.finish(), 1);
}

TEST_P(Aio_Results, SuspendEndsAtItsTimeout) {
  const pipe_ends pipe = make_pipe();
  request r = request::room_for(pipe.reader, 1);
  ASSERT_EQ(::aio_read(&r.block), 0);
  const aiocb* list[] = {&r.block};
  const timespec soon{0, 1'000'000};
  EXPECT_REFUSED(::aio_suspend(list, 1, &soon), EAGAIN);
  const timespec now{};
  EXPECT_REFUSED(::aio_suspend(list, 1, &now), EAGAIN);
  const timespec bad{0, 1'000'000'000};
  EXPECT_REFUSED(::aio_suspend(list, 1, &bad), EINVAL);
  EXPECT_REFUSED(::aio_suspend(list, -1, nullptr), EINVAL);
  put(pipe.writer, "x");
  EXPECT_EQ(r.finish(), 1);
}

TEST_P(Aio_Results, ASignalEndsSuspend) {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  const pipe_ends pipe = make_pipe();
  request r = request::room_for(pipe.reader, 1);
  ASSERT_EQ(::aio_read(&r.block), 0);
  const aiocb* list[] = {&r.block};
  thread_in_call<int> waiter([&] { return ::aio_suspend(list, 1, nullptr) == 0 ? 0 : errno; });
  ASSERT_TRUE(waiter.falls_asleep());
  ASSERT_EQ(::pthread_kill(waiter.handle(), SIGUSR1), 0);
  EXPECT_EQ(waiter.result(), EINTR);
  ::sigaction(SIGUSR1, &before, nullptr);
  put(pipe.writer, "x");
  EXPECT_EQ(r.finish(), 1);
}

TEST_P(Aio_Results, SeveralThreadsMayWaitForOneRequest) {
  const pipe_ends pipe = make_pipe();
  request r = request::room_for(pipe.reader, 1);
  ASSERT_EQ(::aio_read(&r.block), 0);
  const aiocb* list[] = {&r.block};
  std::vector<std::unique_ptr<thread_in_call<int>>> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.push_back(
        std::make_unique<thread_in_call<int>>([&] { return ::aio_suspend(list, 1, nullptr); }));
    ASSERT_TRUE(waiters.back()->falls_asleep());
  }
  put(pipe.writer, "x");
  for (auto& w : waiters) EXPECT_EQ(w->result(), 0);
  EXPECT_EQ(r.finish(), 1);
}

// --- aio_cancel -----------------------------------------------------------------------------------

TEST_P(Aio_Results, NothingUnderWayIsAllDone) {
  const scratch_file file("abc");
  request r = request::room_for(file, 3);
  EXPECT_EQ(::aio_cancel(file, nullptr), AIO_ALLDONE);
  ASSERT_EQ(::aio_read(&r.block), 0);
  const aiocb* list[] = {&r.block};
  ASSERT_EQ(::aio_suspend(list, 1, nullptr), 0);
  EXPECT_EQ(::aio_cancel(file, &r.block), AIO_ALLDONE);
  EXPECT_EQ(r.finish(), 3);
}

TEST_P(Aio_Results, ADescriptorThatIsNotTheRequestsIsRefused) {
  const scratch_file file("abc");
  const scratch_file other("abc");
  request r = request::room_for(file, 3);
  EXPECT_REFUSED(::aio_cancel(other, &r.block), EINVAL);
  EXPECT_REFUSED(::aio_cancel(1'000'000, nullptr), EBADF);
}

// The second read waits for the first: nobody has begun it.
TEST_P(Aio_Results, ARequestThatHasNotBegunIsCancelled) {
  const pipe_ends pipe = make_pipe();
  request first = request::room_for(pipe.reader, 1);
  request second = request::room_for(pipe.reader, 1);
  ASSERT_EQ(::aio_read(&first.block), 0);
  ASSERT_EQ(::aio_read(&second.block), 0);
  EXPECT_EQ(::aio_cancel(pipe.reader, &second.block), AIO_CANCELED);
  EXPECT_EQ(second.error(), ECANCELED);
  EXPECT_REFUSED(::aio_return(&second.block), ECANCELED);
  EXPECT_TRUE(first.in_progress());
  put(pipe.writer, "x");
  EXPECT_EQ(first.finish(), 1);
}

// A thread that sleeps in read() cannot be called back, the ring can.
TEST_P(Aio_Results, AReadThatWaitsForDataIsCancelledByTheRing) {
  if (GetParam() == by::threads || !ring_is_possible()) GTEST_SKIP() << "needs the ring";
  const pipe_ends pipe = make_pipe();
  request r = request::room_for(pipe.reader, 1);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_EQ(::aio_cancel(pipe.reader, &r.block), AIO_CANCELED);
  EXPECT_EQ(r.error(), ECANCELED);
  EXPECT_REFUSED(::aio_return(&r.block), ECANCELED);
  put(pipe.writer, "x");
  EXPECT_EQ(take(pipe.reader, 1), "x");
}

TEST_P(Aio_Results, WithoutABlockEverythingOnTheDescriptorIsCancelled) {
  const pipe_ends pipe = make_pipe();
  const pipe_ends other = make_pipe();
  std::vector<std::unique_ptr<request>> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(std::make_unique<request>(pipe.reader, "."));
    ASSERT_EQ(::aio_read(&all.back()->block), 0);
  }
  request spared = request::room_for(other.reader, 1);
  ASSERT_EQ(::aio_read(&spared.block), 0);
  const int result = ::aio_cancel(pipe.reader, nullptr);
  // One may have begun.
  const auto begun = [](const auto& each) { return each->error() != ECANCELED; };
  const auto one = std::find_if(all.begin(), all.end(), begun);
  if (one == all.end()) {
    EXPECT_EQ(result, AIO_CANCELED);
  } else {
    EXPECT_EQ(result, AIO_NOTCANCELED);
    EXPECT_EQ(std::count_if(all.begin(), all.end(), begun), 1);
    put(pipe.writer, "x");
    EXPECT_EQ((*one)->finish(), 1);
  }
  EXPECT_TRUE(spared.in_progress());
  put(other.writer, "x");
  EXPECT_EQ(spared.finish(), 1);
}

// --- lists ----------------------------------------------------------------------------------------

TEST_P(Aio_Results, AListIsPerformedWhole) {
  const scratch_file file("0123456789");
  const scratch_file out;
  request a = request::room_for(file, 5, 0);
  request b = request::room_for(file, 5, 5);
  request w(out, "written");
  request nothing = request::room_for(file, 5);
  a.block.aio_lio_opcode = b.block.aio_lio_opcode = LIO_READ;
  w.block.aio_lio_opcode = LIO_WRITE;
  nothing.block.aio_lio_opcode = LIO_NOP;
  aiocb* list[] = {&a.block, nullptr, &b.block, &nothing.block, &w.block};
  ASSERT_EQ(::lio_listio(LIO_WAIT, list, 5, nullptr), 0);
  EXPECT_EQ(::aio_return(&a.block), 5);
  EXPECT_EQ(::aio_return(&b.block), 5);
  EXPECT_EQ(::aio_return(&w.block), 7);
  EXPECT_EQ(a.bytes(), "01234");
  EXPECT_EQ(b.bytes(), "56789");
  EXPECT_EQ(out.content(), "written");
  EXPECT_EQ(nothing.error(), EINVAL);
}

TEST_P(Aio_Results, AMemberThatFailsIsEio) {
  const scratch_file file("0123456789");
  request good = request::room_for(file, 5);
  request bad = request::room_for(1'000'000, 5);
  good.block.aio_lio_opcode = bad.block.aio_lio_opcode = LIO_READ;
  aiocb* list[] = {&bad.block, &good.block};
  EXPECT_REFUSED(::lio_listio(LIO_WAIT, list, 2, nullptr), EIO);
  EXPECT_EQ(bad.error(), EBADF);
  EXPECT_EQ(::aio_return(&good.block), 5);
}

TEST_P(Aio_Results, AListNeedNotBeWaitedFor) {
  const pipe_ends pipe = make_pipe();
  request r = request::room_for(pipe.reader, 1);
  r.block.aio_lio_opcode = LIO_READ;
  aiocb* list[] = {&r.block};
  ASSERT_EQ(::lio_listio(LIO_NOWAIT, list, 1, nullptr), 0);
  EXPECT_TRUE(r.in_progress());
  put(pipe.writer, "x");
  EXPECT_EQ(r.finish(), 1);
}

TEST_P(Aio_Results, ImpossibleListsAreRefused) {
  aiocb* none[] = {nullptr};
  EXPECT_REFUSED(::lio_listio(77, none, 1, nullptr), EINVAL);
  EXPECT_REFUSED(::lio_listio(LIO_WAIT, none, -1, nullptr), EINVAL);
  EXPECT_EQ(::lio_listio(LIO_WAIT, none, 1, nullptr), 0);
}

}  // namespace
}  // namespace quay::test
