// SPDX-License-Identifier: BSD-2-Clause
//
// What: PORT_SOURCE_AIO: asynchronous requests that tell a port of their ends.
// Contract: semantics of event ports, 4.6; the slot is reserved when the request is accepted, and an
//           event says that the result is there.
#include "support/aio.hpp"
#include "support/port.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class Port_Aio : public aio_test {
 protected:
  // The program's words are read when the request is accepted, and may go then.
  static void tell(request& r, int to, uintptr_t user) {
    notify = {to, cookie(user)};
    r.block.aio_sigevent.sigev_notify = SIGEV_PORT;
    r.block.aio_sigevent.sigev_value.sival_ptr = &notify;
  }
  static inline port_notify_t notify;

  test_port port;
  scratch_file file{"0123456789"};
};
QUAY_TEST_EVERY_BACKEND(Port_Aio);

TEST_P(Port_Aio, AnEventSaysThatTheResultIsThere) {
  request r = request::room_for(file, 4);
  tell(r, port, 7);
  ASSERT_EQ(::aio_read(&r.block), 0);
  notify = {};
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_AIO, AIOAREAD, r.ident(), 7)));
  EXPECT_EQ(r.error(), 0);
  EXPECT_EQ(::aio_return(&r.block), 4);
  EXPECT_THAT(taken(port), IsEmpty());
}

TEST_P(Port_Aio, EveryOperationHasItsCode) {
  request written(file, "xyz");
  tell(written, port, 1);
  ASSERT_EQ(::aio_write(&written.block), 0);
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_AIO, AIOAWRITE, written.ident(), 1)));
  EXPECT_EQ(::aio_return(&written.block), 3);
  request synced = request::room_for(file, 0);
  tell(synced, port, 2);
  ASSERT_EQ(::aio_fsync(O_SYNC, &synced.block), 0);
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_AIO, AIOFSYNC, synced.ident(), 2)));
  EXPECT_EQ(::aio_return(&synced.block), 0);
}

TEST_P(Port_Aio, AListIsToldByTheAddressOfItsSigevent) {
  request first = request::room_for(file, 2);
  request second = request::room_for(file, 2, 4);
  first.block.aio_lio_opcode = second.block.aio_lio_opcode = LIO_READ;
  tell(first, port, 1);
  port_notify_t whole{port, cookie(9)};
  sigevent event{};
  event.sigev_notify = SIGEV_PORT;
  event.sigev_value.sival_ptr = &whole;
  aiocb* list[] = {&first.block, &second.block};
  ASSERT_EQ(::lio_listio(LIO_NOWAIT, list, 2, &event), 0);
  EXPECT_THAT(arrivals(port, 2),
              testing::UnorderedElementsAre(
                  Is(PORT_SOURCE_AIO, AIOAREAD, first.ident(), 1),
                  Is(PORT_SOURCE_AIO, AIOLIO, reinterpret_cast<uintptr_t>(&event), 9)));
  EXPECT_EQ(::aio_return(&first.block), 2);
  EXPECT_EQ(::aio_return(&second.block), 2);
}

TEST_P(Port_Aio, NothingIsToldBeforeTheEndAndASleeperIsWoken) {
  pipe_ends pipe = make_pipe();
  request r = request::room_for(pipe.reader, 4);
  tell(r, port, 3);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_THAT(taken(port), IsEmpty());
  std::vector<port_event_t> got;
  std::thread getter([&] { got = arrivals(port); });
  put(pipe.writer, "x");
  getter.join();
  EXPECT_THAT(got, ElementsAre(Is(PORT_SOURCE_AIO, AIOAREAD, r.ident(), 3)));
  EXPECT_EQ(::aio_return(&r.block), 1);
}

TEST_P(Port_Aio, ACancelledRequestIsToldToo) {
  pipe_ends pipe = make_pipe();
  request first = request::room_for(pipe.reader, 1);
  request second = request::room_for(pipe.reader, 1);
  ASSERT_EQ(::aio_read(&first.block), 0);
  tell(second, port, 4);
  ASSERT_EQ(::aio_read(&second.block), 0);
  ASSERT_EQ(::aio_cancel(pipe.reader, &second.block), AIO_CANCELED);
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_AIO, AIOAREAD, second.ident(), 4)));
  EXPECT_EQ(second.error(), ECANCELED);
  EXPECT_EQ(::aio_return(&second.block), -1);
  put(pipe.writer, "x");
  EXPECT_EQ(first.finish(), 1);
}

TEST_P(Port_Aio, CollectingTheResultLeavesTheEvent) {
  request r = request::room_for(file, 4);
  tell(r, port, 5);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_EQ(r.finish(), 4);
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_AIO, AIOAREAD, r.ident(), 5)));
}

TEST_P(Port_Aio, TheSlotIsReservedAtSubmission) {
  const long before = quay_tunable_get("port_max_events");
  ASSERT_EQ(quay_tunable_set("port_max_events", 2), 0);
  const test_port small;
  quay_tunable_set("port_max_events", before);
  pipe_ends pipe = make_pipe();
  request waiting = request::room_for(pipe.reader, 1);
  tell(waiting, small, 1);
  ASSERT_EQ(::aio_read(&waiting.block), 0);
  ASSERT_THAT(::port_send(small, 1, nullptr), Works());
  EXPECT_THAT(::port_send(small, 2, nullptr), Fails(EAGAIN));
  request refused = request::room_for(file, 1);
  tell(refused, small, 2);
  EXPECT_THAT(::aio_read(&refused.block), Fails(EAGAIN));
  put(pipe.writer, "x");
  EXPECT_THAT(arrivals(small, 2), SizeIs(2));
  EXPECT_EQ(::aio_return(&waiting.block), 1);
  // Both slots are there again.
  ASSERT_THAT(::port_send(small, 3, nullptr), Works());
  ASSERT_THAT(::port_send(small, 4, nullptr), Works());
}

TEST_P(Port_Aio, ARefusedRequestKeepsNoSlot) {
  const long before = quay_tunable_get("port_max_events");
  ASSERT_EQ(quay_tunable_set("port_max_events", 1), 0);
  const test_port small;
  quay_tunable_set("port_max_events", before);
  request bad = request::room_for(-1, 1);
  tell(bad, small, 1);
  EXPECT_EQ(::aio_read(&bad.block), -1);
  EXPECT_THAT(::port_send(small, 1, nullptr), Works());
}

TEST_P(Port_Aio, WhatIsNoPortIsInvalid) {
  request r = request::room_for(file, 1);
  tell(r, kNeverOpenPort, 1);
  EXPECT_THAT(::aio_read(&r.block), Fails(EINVAL));
  tell(r, file, 1);
  EXPECT_THAT(::aio_read(&r.block), Fails(EINVAL));
  r.block.aio_sigevent.sigev_value.sival_ptr = nullptr;
  EXPECT_THAT(::aio_read(&r.block), Fails(EFAULT));
}

TEST_P(Port_Aio, APortThatIsClosedMeanwhileHearsNothing) {
  pipe_ends pipe = make_pipe();
  request r = request::room_for(pipe.reader, 1);
  {
    const test_port gone;
    tell(r, gone, 1);
    ASSERT_EQ(::aio_read(&r.block), 0);
  }
  const test_port next;  // in the memory of the former, if it can
  put(pipe.writer, "x");
  EXPECT_EQ(r.finish(), 1);
  EXPECT_THAT(taken(next), IsEmpty());
  EXPECT_EQ(queued(next), 0u);
}

TEST_P(Port_Aio, AnotherProcessCannotFetchIt) {
  request r = request::room_for(file, 4);
  tell(r, port, 6);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_EQ(r.finish(), 4);
  EXPECT_TRUE(in_child([&] { return taken(port).empty(); }));
  EXPECT_THAT(arrivals(port), SizeIs(1));
}

}  // namespace
}  // namespace quay::test
