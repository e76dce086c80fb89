// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_VNODE on files: which bits an operation raises, by descriptor.
// Contract: semantics/kqueue.md 5.5; docs/differences.md for what Linux tells differently.
#include <sys/stat.h>
#include <sys/time.h>

#include <cstdio>
#include <functional>

#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr unsigned kSeedBits =
    NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK | NOTE_RENAME | NOTE_REVOKE;

// An event of the filter, whatever its flags.
event_matcher Told(int fd) { return Event(static_cast<uintptr_t>(fd), EVFILT_VNODE).any_flags(); }

change watch(int fd, unsigned bits, unsigned flags = EV_CLEAR) {
  return add(static_cast<uintptr_t>(fd), EVFILT_VNODE, flags).fflags(bits);
}

class Kqueue_Vnode : public dialect_test {
 protected:
  std::string path(const std::string& name = "file") const {
    return directory_.path() + "/" + name;
  }
  unique_fd make(std::string_view content, const std::string& name = "file") {
    return directory_.make_file(content, name);
  }
  // The bits that one operation raises on a note that asks for `bits`; 0 when it raises none.
  unsigned bits_of(int fd, const std::function<void()>& operation, unsigned bits = kSeedBits) {
    EXPECT_THAT(submit(kq, {watch(fd, bits)}), Succeeds());
    operation();
    const events got = poll(kq);
    EXPECT_LE(got.size(), 1U);
    return got.empty() ? 0 : got.front().fflags;
  }
  temporary_directory directory_;
};

TEST_P(Kqueue_Vnode, AWriteThatDoesNotGrowTheFileIsAWrite) {
  const unique_fd file = make("0123");
  EXPECT_EQ(bits_of(file, [&] { ::pwrite(file, "ab", 2, 1); }), unsigned{NOTE_WRITE});
}

TEST_P(Kqueue_Vnode, AGrowingWriteExtendsToo) {
  const unique_fd file = make("0123");
  EXPECT_EQ(bits_of(file, [&] { ::pwrite(file, "ab", 2, 4); }), unsigned{NOTE_WRITE | NOTE_EXTEND});
}

TEST_P(Kqueue_Vnode, ExtendIsToldToWhoAskedForWriteButInDragonfly) {
  const unique_fd file = make("0123");
  const unsigned bits = bits_of(
      file, [&] { ::pwrite(file, "ab", 2, 4); }, NOTE_WRITE);
  EXPECT_EQ(bits, expected<unsigned>({NOTE_WRITE | NOTE_EXTEND, NOTE_WRITE | NOTE_EXTEND,
                                      NOTE_WRITE, NOTE_WRITE | NOTE_EXTEND}));
}

TEST_P(Kqueue_Vnode, TruncatingShowsWhichWayTheSizeWent) {
  const unique_fd file = make("0123");
  EXPECT_EQ(bits_of(file, [&] { checked(::ftruncate(file, 100), "ftruncate"); }),
            unsigned{NOTE_WRITE | NOTE_EXTEND});
  const unsigned bits = bits_of(
      file, [&] { checked(::ftruncate(file, 1), "ftruncate"); }, kSeedBits | NOTE_TRUNCATE);
  EXPECT_EQ(bits,
            expected<unsigned>({NOTE_WRITE, NOTE_WRITE, NOTE_WRITE, NOTE_WRITE | NOTE_TRUNCATE}));
}

TEST_P(Kqueue_Vnode, ModeAndTimesAreAttributes) {
  const unique_fd file = make("");
  EXPECT_EQ(bits_of(file, [&] { ::fchmod(file, 0640); }), unsigned{NOTE_ATTRIB});
  EXPECT_EQ(bits_of(file, [&] { ::futimes(file, nullptr); }), unsigned{NOTE_ATTRIB});
  EXPECT_EQ(bits_of(file, [&] { checked(::fchown(file, ::getuid(), ::getgid()), "fchown"); }),
            unsigned{NOTE_ATTRIB});
}

TEST_P(Kqueue_Vnode, ALinkMadeIsALink) {
  const unique_fd file = make("");
  EXPECT_EQ(bits_of(file, [&] { std::filesystem::create_hard_link(path(), path("second")); }),
            unsigned{NOTE_LINK});
}

TEST_P(Kqueue_Vnode, EachNameRemovedIsADeleteAndALinkLostInNetbsdTheLatterOnly) {
  const unique_fd file = make("");
  std::filesystem::create_hard_link(path(), path("second"));
  make("", "third");
  std::filesystem::create_hard_link(path(), path("fourth"));
  constexpr unsigned kBoth = NOTE_DELETE | NOTE_LINK;
  const auto removed = expected<unsigned>({kBoth, NOTE_LINK, kBoth, kBoth});
  EXPECT_EQ(bits_of(file, [&] { std::filesystem::remove(path()); }), removed);
  EXPECT_EQ(bits_of(file, [&] { std::filesystem::rename(path("third"), path("fourth")); }),
            removed);
  EXPECT_EQ(bits_of(file, [&] { std::filesystem::remove(path("second")); }), unsigned{NOTE_DELETE});
}

TEST_P(Kqueue_Vnode, RemovingTheLastNameIsADelete) {
  const unique_fd file = make("");
  EXPECT_EQ(bits_of(file, [&] { std::filesystem::remove(path()); }), unsigned{NOTE_DELETE});
}

TEST_P(Kqueue_Vnode, ARenameIsARename) {
  const unique_fd file = make("");
  EXPECT_EQ(bits_of(file, [&] { std::filesystem::rename(path(), path("other")); }),
            unsigned{NOTE_RENAME});
}

TEST_P(Kqueue_Vnode, BeingRenamedOverIsADeleteAndComesFirst) {
  const unique_fd target = make("", "target");
  const unique_fd source = make("", "source");
  ASSERT_THAT(submit(kq, {watch(source, kSeedBits), watch(target, kSeedBits)}), Succeeds());
  std::filesystem::rename(path("source"), path("target"));
  EXPECT_THAT(poll(kq),
              ElementsAre(Told(target).fflags(NOTE_DELETE), Told(source).fflags(NOTE_RENAME)));
}

TEST_P(Kqueue_Vnode, ModeAndRemovalBeforeALookAreBothTold) {
  const unique_fd file = make("");
  EXPECT_EQ(bits_of(file,
                    [&] {
                      ::fchmod(file, 0604);
                      std::filesystem::remove(path());
                    }),
            unsigned{NOTE_ATTRIB | NOTE_DELETE});
}

TEST_P(Kqueue_Vnode, WhatHappensBetweenTwoLooksIsOneEvent) {
  const unique_fd file = make("0123");
  EXPECT_EQ(bits_of(file,
                    [&] {
                      ::pwrite(file, "a", 1, 0);
                      std::filesystem::rename(path(), path("other"));
                      ::fchmod(file, 0640);
                    }),
            unsigned{NOTE_WRITE | NOTE_RENAME | NOTE_ATTRIB});
}

TEST_P(Kqueue_Vnode, OnlyWhatWasAskedForIsTold) {
  const unique_fd file = make("0123");
  EXPECT_EQ(bits_of(
                file, [&] { ::fchmod(file, 0640); }, NOTE_DELETE | NOTE_RENAME),
            0U);
  EXPECT_EQ(bits_of(
                file,
                [&] {
                  ::fchmod(file, 0600);
                  std::filesystem::rename(path(), path("other"));
                },
                NOTE_RENAME),
            unsigned{NOTE_RENAME});
}

TEST_P(Kqueue_Vnode, WhatWasBeforeTheNoteIsNotTold) {
  const unique_fd file = make("0123");
  const unique_fd twin(::dup(file));
  ASSERT_THAT(submit(kq, {watch(twin, kSeedBits)}), Succeeds());
  ::pwrite(file, "a", 1, 0);
  EXPECT_THAT(submit(kq, {watch(file, kSeedBits)}),
              Returns(ElementsAre(Told(twin).fflags(NOTE_WRITE))));
}

TEST_P(Kqueue_Vnode, WithoutClearTheBitsComeForEver) {
  const unique_fd file = make("0123");
  ASSERT_THAT(submit(kq, {watch(file, kSeedBits, 0)}), Succeeds());
  ::pwrite(file, "a", 1, 0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(poll(kq), ElementsAre(Told(file).fflags(NOTE_WRITE).data(0)));
  }
  ::fchmod(file, 0640);
  EXPECT_THAT(poll(kq), ElementsAre(Told(file).fflags(NOTE_WRITE | NOTE_ATTRIB)));
}

TEST_P(Kqueue_Vnode, WithClearTheBitsStartAnew) {
  const unique_fd file = make("0123");
  ASSERT_THAT(submit(kq, {watch(file, kSeedBits)}), Succeeds());
  ::pwrite(file, "a", 1, 0);
  EXPECT_THAT(poll(kq), ElementsAre(Told(file).fflags(NOTE_WRITE)));
  EXPECT_THAT(poll(kq), IsEmpty());
  ::fchmod(file, 0640);
  EXPECT_THAT(poll(kq), ElementsAre(Told(file).fflags(NOTE_ATTRIB)));
}

TEST_P(Kqueue_Vnode, ClearIsNotSetUnasked) {
  const unique_fd file = make("0123");
  ASSERT_THAT(submit(kq, {watch(file, NOTE_WRITE, 0)}), Succeeds());
  ::pwrite(file, "a", 1, 0);
  EXPECT_THAT(poll(kq), ElementsAre(Event(file, EVFILT_VNODE).flags(0).fflags(NOTE_WRITE)));
}

TEST_P(Kqueue_Vnode, AOneShotIsGoneAfterItsEvent) {
  const unique_fd file = make("0123");
  ASSERT_THAT(submit(kq, {watch(file, kSeedBits, EV_ONESHOT)}), Succeeds());
  ::pwrite(file, "a", 1, 0);
  EXPECT_THAT(poll(kq), ElementsAre(Told(file).fflags(NOTE_WRITE)));
  EXPECT_THAT(alter(kq, {remove(file, EVFILT_VNODE)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Vnode, ADispatchedNoteIsSilentUntilEnabled) {
  const unique_fd file = make("0123");
  ASSERT_THAT(submit(kq, {watch(file, NOTE_ATTRIB, EV_CLEAR | EV_DISPATCH)}), Succeeds());
  ::fchmod(file, 0640);
  EXPECT_THAT(poll(kq), ElementsAre(Told(file).fflags(NOTE_ATTRIB)));
  if (is(QUAY_DIALECT_NETBSD)) return;  // there EV_CLEAR wins
  ::fchmod(file, 0600);
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {change(file, EVFILT_VNODE, EV_ENABLE).fflags(NOTE_ATTRIB)}),
              Returns(ElementsAre(Told(file).fflags(NOTE_ATTRIB))));
}

TEST_P(Kqueue_Vnode, ADisabledNoteCollects) {
  const unique_fd file = make("0123");
  ASSERT_THAT(submit(kq, {watch(file, NOTE_ATTRIB | NOTE_WRITE),
                          disable(file, EVFILT_VNODE).fflags(NOTE_ATTRIB | NOTE_WRITE)}),
              Succeeds());
  ::fchmod(file, 0640);
  EXPECT_THAT(poll(kq), IsEmpty());
  ::pwrite(file, "a", 1, 0);
  EXPECT_THAT(submit(kq, {change(file, EVFILT_VNODE, EV_ENABLE).fflags(NOTE_ATTRIB | NOTE_WRITE)}),
              Returns(ElementsAre(Told(file).fflags(NOTE_ATTRIB | NOTE_WRITE))));
}

TEST_P(Kqueue_Vnode, AddAgainReplacesTheRequestAndKeepsWhatWasTold) {
  const unique_fd file = make("0123");
  int first = 0;
  int second = 0;
  ASSERT_THAT(submit(kq, {watch(file, NOTE_WRITE).udata(&first)}), Succeeds());
  ::pwrite(file, "a", 1, 0);
  ASSERT_TRUE(becomes_readable(kq));
  EXPECT_THAT(submit(kq, {watch(file, NOTE_ATTRIB).udata(&second)}), Succeeds());
  ::pwrite(file, "a", 1, 0);
  EXPECT_THAT(poll(kq), IsEmpty()) << "writes are not asked for any more";
  ::fchmod(file, 0640);
  EXPECT_THAT(poll(kq), ElementsAre(Told(file).fflags(NOTE_ATTRIB).udata(&second)));
}

TEST_P(Kqueue_Vnode, ReceiptStaysOnTheNote) {
  if (is(QUAY_DIALECT_NETBSD)) GTEST_SKIP() << "covered by Kqueue_Receipt for this dialect";
  const unique_fd file = make("0123");
  EXPECT_THAT(submit(kq, {watch(file, NOTE_WRITE, EV_CLEAR | EV_RECEIPT)}),
              Returns(ElementsAre(Receipt(file, EVFILT_VNODE))));
  ::pwrite(file, "a", 1, 0);
  const events got = poll(kq);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_NE(got.front().flags & EV_RECEIPT, 0);
}

TEST_P(Kqueue_Vnode, EveryDescriptorAndEveryQueueIsTold) {
  const unique_fd file = make("0123");
  const unique_fd twin(::dup(file));
  const unique_fd other = open_file(path(), O_WRONLY);
  const queue second = make_queue(dialect());
  ASSERT_THAT(submit(kq, {watch(file, kSeedBits), watch(twin, kSeedBits), watch(other, kSeedBits)}),
              Succeeds());
  ASSERT_THAT(submit(second, {watch(file, kSeedBits)}), Succeeds());
  ::pwrite(file, "a", 1, 0);
  EXPECT_EQ(poll(kq).size(), 3U);
  EXPECT_EQ(poll(second).size(), 1U);
  // One note less takes nothing from the others.
  ASSERT_THAT(alter(kq, {remove(twin, EVFILT_VNODE)}), Succeeds());
  ::fchmod(file, 0640);
  EXPECT_EQ(poll(kq).size(), 2U);
  EXPECT_EQ(poll(second).size(), 1U);
}

TEST_P(Kqueue_Vnode, TheClosedDescriptorTakesOnlyItsOwnNoteAlong) {
  QUAY_SKIP_UNLESS_HOOKED();
  const unique_fd file = make("0123");
  unique_fd middle(::dup(file));
  const unique_fd last(::dup(file));
  ASSERT_THAT(
      submit(kq, {watch(file, kSeedBits), watch(middle, kSeedBits), watch(last, kSeedBits)}),
      Succeeds());
  middle.close();
  ::pwrite(file, "a", 1, 0);
  EXPECT_EQ(poll(kq).size(), 2U);
}

TEST_P(Kqueue_Vnode, AnyWayOfOpeningServes) {
  const unique_fd file = make("0123");
  for (const int flags : {O_RDONLY, O_WRONLY, O_PATH}) {
    const unique_fd fd(checked(::open(path().c_str(), flags | O_CLOEXEC), "open"));
    EXPECT_EQ(bits_of(fd, [&] { ::pwrite(file, "a", 1, 0); }), unsigned{NOTE_WRITE}) << flags;
    ASSERT_THAT(alter(kq, {remove(fd, EVFILT_VNODE)}), Succeeds());
  }
}

TEST_P(Kqueue_Vnode, ASymbolicLinkCanBeWatchedItself) {
  const unique_fd file = make("0123");
  std::filesystem::create_symlink(path(), path("name"));
  const unique_fd fd(
      checked(::open(path("name").c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC), "open"));
  EXPECT_EQ(bits_of(fd, [&] { ::pwrite(file, "a", 1, 0); }), 0U) << "that is the file's";
  EXPECT_EQ(bits_of(fd, [&] { std::filesystem::remove(path("name")); }), unsigned{NOTE_DELETE});
}

TEST_P(Kqueue_Vnode, AnUnlinkedFileGoesOnReporting) {
  const unique_fd file = make("0123");
  std::filesystem::remove(path());
  EXPECT_EQ(bits_of(file, [&] { ::pwrite(file, "a", 1, 0); }), unsigned{NOTE_WRITE});
  EXPECT_EQ(bits_of(file, [&] { ::fchmod(file, 0640); }), unsigned{NOTE_ATTRIB});
}

TEST_P(Kqueue_Vnode, AFifoByItsNameIsAFile) {
  const std::string name = directory_.make_fifo();
  const unique_fd fd = open_file(name, O_RDWR);
  EXPECT_EQ(bits_of(
                fd, [&] { std::filesystem::remove(name); }, NOTE_DELETE),
            unsigned{NOTE_DELETE});
}

TEST_P(Kqueue_Vnode, WhatIsNoFileIsRefused) {
  const pipe_ends pipe = make_pipe();
  const socket_pair sockets = make_socketpair();
  const unique_fd counter = make_eventfd();
  const queue inner = make_queue(dialect());
  const int refusal = is(QUAY_DIALECT_DRAGONFLY) ? EOPNOTSUPP : EINVAL;
  for (const int fd : {pipe.reader.get(), sockets.here.get(), counter.get()}) {
    EXPECT_THAT(alter(kq, {watch(fd, NOTE_DELETE)}), FailsWith(refusal));
  }
  EXPECT_THAT(alter(kq, {watch(inner, NOTE_DELETE)}),
              FailsWith(expected<int>({EINVAL, EPERM, EOPNOTSUPP, EINVAL})));
  EXPECT_THAT(alter(kq, {watch(1 << 20, NOTE_DELETE)}), FailsWith(EBADF));
  const unique_fd file = make("");
  EXPECT_THAT(alter(kq, {remove(file, EVFILT_VNODE)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Vnode, AWaiterIsWoken) {
  const unique_fd file = make("0123");
  ASSERT_THAT(submit(kq, {watch(file, kSeedBits)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  ::fchmod(file, 0640);
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Told(file).fflags(NOTE_ATTRIB))));
}

TEST_P(Kqueue_Vnode, ReadingAndWatchingOneFileDoNotDisturbEachOther) {
  const unique_fd file = make("abc");
  take(file, 3);
  ASSERT_THAT(submit(kq, {add(file, EVFILT_READ), watch(file, NOTE_DELETE)}), Succeeds());
  ASSERT_THAT(alter(kq, {remove(file, EVFILT_VNODE)}), Succeeds());
  ::pwrite(file, "de", 2, 3);
  EXPECT_THAT(await(kq), ElementsAre(Event(file, EVFILT_READ).data(2)));
}

TEST_P(Kqueue_Vnode, OneWatcherServesThousandsOfFiles) {
  constexpr int kFiles = 2000;
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  std::vector<unique_fd> files;
  for (int i = 0; i < kFiles; ++i) files.push_back(make("", std::to_string(i)));
  const auto before = descriptors();
  for (const unique_fd& fd : files) ASSERT_THAT(alter(kq, {watch(fd, NOTE_WRITE)}), Succeeds());
  EXPECT_LE(descriptors() - before, 3);
  for (int i = 0; i < kFiles; i += 100) put(files[static_cast<size_t>(i)], "x");
  EXPECT_EQ(poll(kq, kFiles).size(), static_cast<size_t>(kFiles / 100));
}

QUAY_IN_ALL_DIALECTS(Kqueue_Vnode);

// NOTE_OPEN and its like are of FreeBSD and NetBSD.
class Kqueue_VnodeAccess : public Kqueue_Vnode {
 protected:
  static constexpr unsigned kAll = NOTE_OPEN | NOTE_CLOSE | NOTE_CLOSE_WRITE | NOTE_READ;
};

TEST_P(Kqueue_VnodeAccess, OpenReadWriteAndCloseAreToldApart) {
  const unique_fd file = make("0123");
  unique_fd other;
  char byte = 0;
  EXPECT_EQ(bits_of(
                file, [&] { other = open_file(path(), O_RDONLY); }, kAll),
            unsigned{NOTE_OPEN});
  EXPECT_EQ(bits_of(
                file, [&] { EXPECT_EQ(::read(other, &byte, 1), 1); }, kAll),
            unsigned{NOTE_READ});
  EXPECT_EQ(bits_of(
                file, [&] { other.close(); }, kAll),
            unsigned{NOTE_CLOSE});
  other = open_file(path(), O_WRONLY);
  EXPECT_EQ(poll(kq).size(), 1U);
  EXPECT_EQ(bits_of(
                file, [&] { put(other, "x"); }, kAll | NOTE_WRITE),
            unsigned{NOTE_WRITE});
  EXPECT_EQ(bits_of(
                file, [&] { other.close(); }, kAll),
            unsigned{NOTE_CLOSE_WRITE});
}

INSTANTIATE_TEST_SUITE_P(Dialect, Kqueue_VnodeAccess,
                         testing::Values(QUAY_DIALECT_FREEBSD, QUAY_DIALECT_NETBSD),
                         name_of_parameter);

class Kqueue_VnodeNoAccess : public Kqueue_Vnode {};

TEST_P(Kqueue_VnodeNoAccess, BitsThatTheSystemLacksAreNeverTold) {
  const unique_fd file = make("0123");
  EXPECT_EQ(bits_of(
                file, [&] { const unique_fd other = open_file(path(), O_RDONLY); },
                NOTE_OPEN | NOTE_CLOSE),
            0U);
}

INSTANTIATE_TEST_SUITE_P(Dialect, Kqueue_VnodeNoAccess,
                         testing::Values(QUAY_DIALECT_DRAGONFLY, QUAY_DIALECT_OPENBSD),
                         name_of_parameter);

}  // namespace
}  // namespace quay::test
