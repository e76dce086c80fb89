// SPDX-License-Identifier: BSD-2-Clause
//
// What: how the end of a request is told: SIGEV_KEVENT (EVFILT_AIO, EVFILT_LIO), signals, threads.
// Contract: aio(4) of FreeBSD; kqueue semantics, 5.0 and 5.10 (AIO, LIO); POSIX, 2.4.1.
#include <semaphore.h>
#include <signal.h>

#include <memory>

#include "support/aio.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Aio_Notify : public aio_test {
 protected:
  static event_matcher ended(const request& r) {
    return Event(r.ident(), EVFILT_AIO).flags(EV_EOF);
  }
  // Collects the result without waiting: an event has told that it is there.
  static ssize_t collect(request& r) { return ::aio_return(&r.block); }

  queue kq = make_queue();
  scratch_file file{"0123456789"};
  pipe_ends pipe = make_pipe();
};
QUAY_TEST_EVERY_BACKEND(Aio_Notify);

TEST_P(Aio_Notify, TheEndOfARequestIsAnEventOfItsBlock) {
  int mark = 0;
  request r = request::room_for(file, 4);
  ASSERT_EQ(::aio_read(&r.tells(kq, &mark).block), 0);
  EXPECT_THAT(await(kq), ElementsAre(ended(r).flags(EV_EOF).fflags(0).data(0).udata(&mark)));
  EXPECT_EQ(r.error(), 0);
  EXPECT_EQ(collect(r), 4);
}

TEST_P(Aio_Notify, NothingIsToldBeforeTheEnd) {
  request r = request::room_for(pipe.reader, 4);
  ASSERT_EQ(::aio_read(&r.tells(kq).block), 0);
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_FALSE(looks_readable(kq));
  put(pipe.writer, "x");
  EXPECT_TRUE(becomes_readable(kq));
  EXPECT_THAT(poll(kq), ElementsAre(ended(r)));
  EXPECT_EQ(collect(r), 1);
}

TEST_P(Aio_Notify, AWaiterIsWoken) {
  request r = request::room_for(pipe.reader, 4);
  ASSERT_EQ(::aio_read(&r.tells(kq).block), 0);
  waiter w(kq);
  ASSERT_TRUE(w.falls_asleep());
  put(pipe.writer, "x");
  EXPECT_THAT(w.result().events, ElementsAre(ended(r)));
  EXPECT_EQ(collect(r), 1);
}

TEST_P(Aio_Notify, APrivateQueueIsToldToo) {
  queue own = make_queue(QUAY_DIALECT_FREEBSD, QUAY_PRIVATE);
  request r = request::room_for(pipe.reader, 4);
  ASSERT_EQ(::aio_read(&r.tells(own).block), 0);
  waiter w(own);
  ASSERT_TRUE(w.falls_asleep());
  put(pipe.writer, "x");
  EXPECT_THAT(w.result().events, ElementsAre(ended(r)));
  EXPECT_EQ(collect(r), 1);
}

TEST_P(Aio_Notify, TheEventStaysUntilTheResultIsCollected) {
  request r = request::room_for(file, 4);
  ASSERT_EQ(::aio_read(&r.tells(kq).block), 0);
  EXPECT_THAT(await(kq), ElementsAre(ended(r)));
  EXPECT_THAT(poll(kq), ElementsAre(ended(r)));
  EXPECT_EQ(collect(r), 4);
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(alter(kq, {remove(r.ident(), EVFILT_AIO)}), FailsWith(ENOENT));
}

TEST_P(Aio_Notify, WithClearItIsDeliveredOnce) {
  request r = request::room_for(file, 4);
  ASSERT_EQ(::aio_read(&r.tells(kq, nullptr, EV_CLEAR).block), 0);
  EXPECT_THAT(await(kq), ElementsAre(ended(r).flags(EV_CLEAR | EV_EOF)));
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_EQ(collect(r), 4);
}

TEST_P(Aio_Notify, AOneShotIsGoneAfterItsEvent) {
  request r = request::room_for(file, 4);
  ASSERT_EQ(::aio_read(&r.tells(kq, nullptr, EV_ONESHOT).block), 0);
  EXPECT_THAT(await(kq), ElementsAre(ended(r).flags(EV_ONESHOT | EV_EOF)));
  EXPECT_THAT(alter(kq, {enable(r.ident(), EVFILT_AIO)}), FailsWith(ENOENT));
  EXPECT_EQ(collect(r), 4);
}

TEST_P(Aio_Notify, DispatchDisablesAfterTheEvent) {
  request r = request::room_for(file, 4);
  ASSERT_EQ(::aio_read(&r.tells(kq, nullptr, EV_DISPATCH).block), 0);
  EXPECT_THAT(await(kq), ElementsAre(ended(r).flags(EV_DISPATCH | EV_EOF)));
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {enable(r.ident(), EVFILT_AIO)}),
              Returns(ElementsAre(ended(r).flags(EV_DISPATCH | EV_EOF))));
  EXPECT_EQ(collect(r), 4);
}

TEST_P(Aio_Notify, TheEndOfADisabledOneIsRemembered) {
  request r = request::room_for(pipe.reader, 4);
  ASSERT_EQ(::aio_read(&r.tells(kq).block), 0);
  ASSERT_THAT(alter(kq, {disable(r.ident(), EVFILT_AIO)}), Succeeds());
  put(pipe.writer, "x");
  const aiocb* list[] = {&r.block};
  ASSERT_EQ(::aio_suspend(list, 1, nullptr), 0);
  EXPECT_THAT(poll(kq), IsEmpty());
  ASSERT_THAT(alter(kq, {enable(r.ident(), EVFILT_AIO)}), Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(ended(r)));
  EXPECT_EQ(collect(r), 1);
}

TEST_P(Aio_Notify, TheErrorOfTheRequestIsTheData) {
  const unique_fd directory(open_file("/", O_RDONLY | O_DIRECTORY));
  request r = request::room_for(directory, 4);
  ASSERT_EQ(::aio_read(&r.tells(kq).block), 0);
  EXPECT_THAT(await(kq), ElementsAre(ended(r).data(EISDIR)));
  EXPECT_EQ(collect(r), -1);
  EXPECT_EQ(errno, EISDIR);
}

TEST_P(Aio_Notify, ACancelledRequestIsToldToo) {
  request first = request::room_for(pipe.reader, 1);
  request second = request::room_for(pipe.reader, 1);
  ASSERT_EQ(::aio_read(&first.block), 0);
  ASSERT_EQ(::aio_read(&second.tells(kq).block), 0);
  ASSERT_EQ(::aio_cancel(pipe.reader, &second.block), AIO_CANCELED);
  EXPECT_THAT(await(kq), ElementsAre(ended(second).data(ECANCELED)));
  EXPECT_EQ(collect(second), -1);
  put(pipe.writer, "x");
  EXPECT_EQ(first.finish(), 1);
}

TEST_P(Aio_Notify, ASyncIsToldToo) {
  request s = request::room_for(file, 0);
  ASSERT_EQ(::aio_fsync(O_SYNC, &s.tells(kq).block), 0);
  EXPECT_THAT(await(kq), ElementsAre(ended(s)));
  EXPECT_EQ(collect(s), 0);
}

TEST_P(Aio_Notify, AQueueInAQueueIsToldToo) {
  queue outer = make_queue();
  ASSERT_THAT(alter(outer, {add(static_cast<uintptr_t>(kq), EVFILT_READ)}), Succeeds());
  request r = request::room_for(pipe.reader, 4);
  ASSERT_EQ(::aio_read(&r.tells(kq).block), 0);
  waiter w(outer);
  ASSERT_TRUE(w.falls_asleep());
  put(pipe.writer, "x");
  EXPECT_THAT(w.result().events,
              ElementsAre(Event(static_cast<uintptr_t>(kq), EVFILT_READ).data(1)));
  EXPECT_THAT(poll(kq), ElementsAre(ended(r)));
  EXPECT_EQ(collect(r), 1);
}

TEST_P(Aio_Notify, AQueueMayEndBeforeTheRequest) {
  request r = request::room_for(pipe.reader, 4);
  ASSERT_EQ(::aio_read(&r.tells(kq).block), 0);
  kq.close();
  queue other = make_queue();  // of the same storage, perhaps: the end is not told to it
  put(pipe.writer, "x");
  EXPECT_EQ(r.finish(), 1);
  EXPECT_THAT(poll(other), IsEmpty());
}

TEST_P(Aio_Notify, ABlockSubmittedAgainGivesUpItsFormerEvent) {
  queue other = make_queue();
  request r = request::room_for(file, 4);
  ASSERT_EQ(::aio_read(&r.tells(kq).block), 0);
  EXPECT_THAT(await(kq), ElementsAre(ended(r)));
  ASSERT_EQ(::aio_read(&r.tells(other).block), 0);
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(await(other), ElementsAre(ended(r)));
  EXPECT_EQ(collect(r), 4);
}

// --- refusals -------------------------------------------------------------------------------------

TEST_P(Aio_Notify, WhatIsNoQueueIsRefused) {
  request r = request::room_for(file, 4);
  EXPECT_EQ(::aio_read(&r.tells(pipe.reader).block), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(::aio_read(&r.tells(-1).block), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(r.error(), EINVAL);
}

TEST_P(Aio_Notify, OnlyClearDispatchAndOneshotMayBeAsked) {
  request r = request::room_for(file, 4);
  for (const unsigned flags : {EV_ADD, EV_DELETE, EV_DISABLE, EV_RECEIPT, EV_FLAG1, EV_EOF}) {
    errno = 0;
    EXPECT_EQ(::aio_read(&r.tells(kq, nullptr, flags).block), -1) << flags;
    EXPECT_EQ(errno, EINVAL) << flags;
  }
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Aio_Notify, ARequestThatIsRefusedLeavesNoEvent) {
  request r = request::room_for(1'000'000, 4);
  EXPECT_EQ(::aio_read(&r.tells(kq).block), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(alter(kq, {remove(r.ident(), EVFILT_AIO)}), FailsWith(ENOENT));
}

TEST_P(Aio_Notify, AChangeCannotRegisterARequest) {
  EXPECT_THAT(alter(kq, {add(1, EVFILT_AIO)}), FailsWith(EPERM));
  EXPECT_THAT(alter(kq, {add(1, EVFILT_AIO, EV_FLAG1)}), FailsWith(EPERM));
  EXPECT_THAT(alter(kq, {add(1, EVFILT_LIO)}), FailsWith(EPERM));
  EXPECT_THAT(alter(kq, {enable(1, EVFILT_AIO)}), FailsWith(ENOENT));
}

// NetBSD and OpenBSD list the filter and do not serve it; DragonFly's refuses to attach.
TEST_P(Aio_Notify, OnlyFreeBsdQueuesTakeRequests) {
  queue netbsd = make_queue(QUAY_DIALECT_NETBSD);
  queue dragonfly = make_queue(QUAY_DIALECT_DRAGONFLY);
  request r = request::room_for(file, 4);
  EXPECT_EQ(::aio_read(&r.tells(netbsd).block), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(::aio_read(&r.tells(dragonfly).block), -1);
  EXPECT_EQ(errno, ENXIO);
}

// --- lists ----------------------------------------------------------------------------------------

TEST_P(Aio_Notify, TheFlagsOfAListAreNotLookedAt) {
  request r = request::room_for(file, 4);
  r.block.aio_lio_opcode = LIO_READ;
  aiocb* list[] = {&r.block};
  sigevent told{};
  told.sigev_notify = SIGEV_KEVENT;
  told.sigev_notify_kqueue = kq;
  told.sigev_notify_kevent_flags = -1;
  ASSERT_EQ(::lio_listio(LIO_NOWAIT, list, 1, &told), 0);
  EXPECT_THAT(
      await(kq),
      ElementsAre(Event(reinterpret_cast<uintptr_t>(list), EVFILT_LIO).flags(EV_ONESHOT | EV_EOF)));
  EXPECT_EQ(collect(r), 4);
}

TEST_P(Aio_Notify, TheEndOfAListIsAnEventOfTheList) {
  request a = request::room_for(file, 4);
  request b = request::room_for(pipe.reader, 1);
  a.block.aio_lio_opcode = b.block.aio_lio_opcode = LIO_READ;
  aiocb* list[] = {&a.block, &b.block};
  int mark = 0;
  sigevent told{};
  told.sigev_notify = SIGEV_KEVENT;
  told.sigev_notify_kqueue = kq;
  told.sigev_value.sival_ptr = &mark;
  ASSERT_EQ(::lio_listio(LIO_NOWAIT, list, 2, &told), 0);
  EXPECT_EQ(a.finish(), 4);
  EXPECT_THAT(poll(kq), IsEmpty());
  put(pipe.writer, "x");
  EXPECT_THAT(await(kq), ElementsAre(Event(reinterpret_cast<uintptr_t>(list), EVFILT_LIO)
                                         .udata(&mark)
                                         .flags(EV_ONESHOT | EV_EOF)));
  EXPECT_EQ(b.error(), 0);
  EXPECT_EQ(collect(b), 1);
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Aio_Notify, AnEmptyListHasEnded) {
  aiocb* list[] = {nullptr};
  sigevent told{};
  told.sigev_notify = SIGEV_KEVENT;
  told.sigev_notify_kqueue = kq;
  ASSERT_EQ(::lio_listio(LIO_NOWAIT, list, 1, &told), 0);
  EXPECT_THAT(poll(kq),
              ElementsAre(Event(reinterpret_cast<uintptr_t>(list), EVFILT_LIO).any_flags()));
}

// --- signals and threads --------------------------------------------------------------------------

TEST_P(Aio_Notify, ASignalCarriesTheValue) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigset_t before;
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &set, &before), 0);
  for (const int fd : {static_cast<int>(file), static_cast<int>(pipe.reader)}) {
    request r = request::room_for(fd, 4);
    r.block.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
    r.block.aio_sigevent.sigev_signo = SIGRTMIN;
    r.block.aio_sigevent.sigev_value.sival_ptr = &r;
    ASSERT_EQ(::aio_read(&r.block), 0);
    if (fd == pipe.reader) put(pipe.writer, "abcd");
    siginfo_t info{};
    const timespec limit = to_timespec(kPatience);
    EXPECT_EQ(::sigtimedwait(&set, &info, &limit), SIGRTMIN);
    EXPECT_EQ(info.si_code, SI_ASYNCIO);
    EXPECT_EQ(info.si_value.sival_ptr, &r);
    EXPECT_EQ(info.si_pid, ::getpid());
    EXPECT_EQ(r.error(), 0);
    EXPECT_EQ(collect(r), 4);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_P(Aio_Notify, AFunctionRunsInAThreadOfItsOwn) {
  struct seen {
    sem_t done;
    pthread_t thread;
  } told{};
  ASSERT_EQ(::sem_init(&told.done, 0, 0), 0);
  request r = request::room_for(file, 4);
  r.block.aio_sigevent.sigev_notify = SIGEV_THREAD;
  r.block.aio_sigevent.sigev_value.sival_ptr = &told;
  r.block.aio_sigevent.sigev_notify_function = [](sigval value) {
    auto* t = static_cast<seen*>(value.sival_ptr);
    t->thread = ::pthread_self();
    ::sem_post(&t->done);
  };
  ASSERT_EQ(::aio_read(&r.block), 0);
  ASSERT_EQ(::sem_wait(&told.done), 0);
  EXPECT_FALSE(::pthread_equal(told.thread, ::pthread_self()));
  EXPECT_EQ(collect(r), 4);
  ::sem_destroy(&told.done);
}

TEST_P(Aio_Notify, SignalsThatDoNotExistAreRefused) {
  request r = request::room_for(file, 4);
  r.block.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
  r.block.aio_sigevent.sigev_signo = 1000;
  EXPECT_EQ(::aio_read(&r.block), -1);
  EXPECT_EQ(errno, EINVAL);
}

}  // namespace
}  // namespace quay::test
