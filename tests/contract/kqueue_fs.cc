// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_FS: mounts and unmounts.
// Contract: semantics/kqueue.md 5.9. The tests mount in a child with mounts of its own, so nothing
//           outside is touched; where that is not allowed they are skipped.
#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/mounts.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;

class Kqueue_Fs : public testing::TestWithParam<int> {
 protected:
  static event_matcher Told(unsigned bits) {
    return Event(0, EVFILT_FS).flags(EV_CLEAR).fflags(bits).data(0);
  }
};

TEST_P(Kqueue_Fs, AMountAndAnUnmountAreToldOnceEach) {
  with_mounts([](const std::string& where) {
    const queue kq = make_queue(GetParam());
    EXPECT_THAT(submit(kq, {add(0, EVFILT_FS)}), Succeeds());
    EXPECT_TRUE(mount_at(where));
    EXPECT_THAT(poll(kq), ElementsAre(Told(VQ_MOUNT)));
    EXPECT_THAT(poll(kq), testing::IsEmpty()) << "it clears itself";
    EXPECT_EQ(::umount(where.c_str()), 0);
    EXPECT_THAT(poll(kq), ElementsAre(Told(VQ_UNMOUNT)));
    return true;
  });
}

TEST_P(Kqueue_Fs, BothBetweenTwoLooksAreOneEvent) {
  if (!mounts_have_numbers()) {
    GTEST_SKIP() << "without listmount the second mount looks like the first";
  }
  with_mounts([](const std::string& where) {
    const queue kq = make_queue(GetParam());
    EXPECT_TRUE(mount_at(where));
    EXPECT_THAT(submit(kq, {add(0, EVFILT_FS)}), Succeeds()) << "what was before is not told";
    EXPECT_EQ(::umount(where.c_str()), 0);
    EXPECT_TRUE(mount_at(where));
    const events got = poll(kq);
    EXPECT_EQ(got.size(), 1U);
    EXPECT_NE(got.empty() ? 0 : got.front().fflags & (VQ_MOUNT | VQ_UNMOUNT), 0U);
    return true;
  });
}

TEST_P(Kqueue_Fs, AnyIdentifierAndEveryQueueIsTold) {
  with_mounts([](const std::string& where) {
    const queue kq = make_queue(GetParam());
    const queue second = make_queue(GetParam());
    EXPECT_THAT(submit(kq, {add(0, EVFILT_FS), add(12345, EVFILT_FS)}), Succeeds());
    EXPECT_THAT(submit(second, {add(0, EVFILT_FS)}), Succeeds());
    EXPECT_TRUE(mount_at(where));
    EXPECT_EQ(poll(kq).size(), 2U);
    EXPECT_EQ(poll(second).size(), 1U);
    EXPECT_THAT(alter(kq, {remove(0, EVFILT_FS), remove(12345, EVFILT_FS)}), Succeeds());
    EXPECT_EQ(::umount(where.c_str()), 0);
    EXPECT_EQ(poll(kq).size(), 0U);
    EXPECT_THAT(poll(second), ElementsAre(Told(VQ_UNMOUNT)));
    return true;
  });
}

TEST_P(Kqueue_Fs, OptionsThatChangeAreNoMount) {
  with_mounts([](const std::string& where) {
    const queue kq = make_queue(GetParam());
    EXPECT_TRUE(mount_at(where));
    EXPECT_THAT(submit(kq, {add(0, EVFILT_FS)}), Succeeds());
    EXPECT_EQ(::mount("quay", where.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
    EXPECT_THAT(poll(kq), testing::IsEmpty());
    return true;
  });
}

TEST_P(Kqueue_Fs, AWaiterIsWoken) {
  with_mounts([](const std::string& where) {
    const queue kq = make_queue(GetParam());
    EXPECT_THAT(submit(kq, {add(0, EVFILT_FS)}), Succeeds());
    waiter thread(kq);
    EXPECT_TRUE(thread.falls_asleep());
    EXPECT_TRUE(mount_at(where));
    EXPECT_THAT(thread.result(), Returns(ElementsAre(Told(VQ_MOUNT))));
    return true;
  });
}

INSTANTIATE_TEST_SUITE_P(Dialect, Kqueue_Fs,
                         testing::Values(QUAY_DIALECT_FREEBSD, QUAY_DIALECT_NETBSD,
                                         QUAY_DIALECT_DRAGONFLY),
                         name_of_parameter);

TEST(Kqueue_FsOpenbsd, HasNoSuchFilter) {
  const queue kq = make_queue(QUAY_DIALECT_OPENBSD);
  EXPECT_THAT(alter(kq, {add(0, EVFILT_FS)}), FailsWith(EINVAL));
}

}  // namespace
}  // namespace quay::test
