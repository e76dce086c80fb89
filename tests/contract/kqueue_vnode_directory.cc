// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_VNODE on directories: entries that come, go and are renamed, and the directory
//       itself.
// Contract: semantics/kqueue.md 5.5.
#include <sys/stat.h>

#include <filesystem>
#include <functional>

#include "support/dialects.hpp"
#include "support/matchers.hpp"

namespace quay::test {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kSeedBits =
    NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK | NOTE_RENAME | NOTE_REVOKE;

// An event of the filter, whatever its flags.
event_matcher Told(int fd) { return Event(static_cast<uintptr_t>(fd), EVFILT_VNODE).any_flags(); }

class Kqueue_VnodeDirectory : public dialect_test {
 protected:
  Kqueue_VnodeDirectory() {
    fs::create_directory(path("outside"));
    fs::create_directory(path("watched"));
    fs::create_directory(path("watched/sub"));
    directory_.make_file("", "watched/file");
    directory_.make_file("", "outside/file2");
    fs::create_directory(path("outside/sub2"));
    fd_ = open_file(path("watched"), O_RDONLY | O_DIRECTORY);
  }
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
  unsigned bits_of(const std::function<void()>& operation, unsigned bits = kSeedBits) {
    EXPECT_THAT(submit(kq, {add(fd_, EVFILT_VNODE, EV_CLEAR).fflags(bits)}), Succeeds());
    operation();
    const events got = poll(kq);
    EXPECT_LE(got.size(), 1U);
    return got.empty() ? 0 : got.front().fflags;
  }
  // What a rename into or out of the directory adds.
  unsigned moved() const { return is(QUAY_DIALECT_FREEBSD) ? NOTE_EXTEND : 0; }

  temporary_directory directory_;
  unique_fd fd_;
};

TEST_P(Kqueue_VnodeDirectory, AFileThatComesOrGoesIsAWrite) {
  EXPECT_EQ(bits_of([&] { directory_.make_file("", "watched/new"); }), unsigned{NOTE_WRITE});
  EXPECT_EQ(bits_of([&] { fs::remove(path("watched/new")); }), unsigned{NOTE_WRITE});
}

TEST_P(Kqueue_VnodeDirectory, ADirectoryThatComesOrGoesIsALinkToo) {
  EXPECT_EQ(bits_of([&] { fs::create_directory(path("watched/new")); }),
            unsigned{NOTE_WRITE | NOTE_LINK});
  EXPECT_EQ(bits_of([&] { fs::remove(path("watched/new")); }), unsigned{NOTE_WRITE | NOTE_LINK});
}

TEST_P(Kqueue_VnodeDirectory, ARenameWithinIsAWriteAndNoLink) {
  EXPECT_EQ(bits_of([&] { fs::rename(path("watched/file"), path("watched/name")); }),
            unsigned{NOTE_WRITE});
  EXPECT_EQ(bits_of([&] { fs::rename(path("watched/sub"), path("watched/sub3")); }),
            unsigned{NOTE_WRITE});
}

TEST_P(Kqueue_VnodeDirectory, AFileMovedInOrOutIsAWrite) {
  EXPECT_EQ(bits_of([&] { fs::rename(path("watched/file"), path("outside/file")); }),
            NOTE_WRITE | moved());
  EXPECT_EQ(bits_of([&] { fs::rename(path("outside/file2"), path("watched/file2")); }),
            NOTE_WRITE | moved());
}

TEST_P(Kqueue_VnodeDirectory, ADirectoryMovedInOrOutIsALinkToo) {
  EXPECT_EQ(bits_of([&] { fs::rename(path("watched/sub"), path("outside/sub")); }),
            NOTE_WRITE | NOTE_LINK | moved());
  EXPECT_EQ(bits_of([&] { fs::rename(path("outside/sub2"), path("watched/sub2")); }),
            NOTE_WRITE | NOTE_LINK | moved());
}

// By the number of links, as the manual pages have it; FreeBSD's rename tells the same three apart.
TEST_P(Kqueue_VnodeDirectory, ADirectoryThatTakesAnothersPlaceIsALinkIfOneIsLessThen) {
  fs::create_directory(path("watched/sub3"));
  EXPECT_EQ(bits_of([&] { fs::rename(path("watched/sub3"), path("watched/sub")); }),
            unsigned{NOTE_WRITE | NOTE_LINK});
  EXPECT_EQ(bits_of([&] { fs::rename(path("outside/sub2"), path("watched/sub")); }),
            NOTE_WRITE | moved());
  fs::create_directory(path("outside/sub2"));
  EXPECT_EQ(bits_of([&] { fs::rename(path("watched/sub"), path("outside/sub2")); }),
            NOTE_WRITE | NOTE_LINK | moved());
}

TEST_P(Kqueue_VnodeDirectory, WhatHappensToAnEntrysContentIsNotTheDirectorys) {
  EXPECT_EQ(bits_of([&] {
              const unique_fd file = open_file(path("watched/file"), O_RDWR);
              put(file, "x");
              ::fchmod(file, 0640);
              directory_.make_file("", "watched/sub/deep");
            }),
            0U);
}

TEST_P(Kqueue_VnodeDirectory, ItsOwnModeIsAnAttribute) {
  EXPECT_EQ(bits_of([&] { ::fchmod(fd_, 0750); }), unsigned{NOTE_ATTRIB});
}

TEST_P(Kqueue_VnodeDirectory, ItsOwnRemovalIsADelete) {
  fs::remove(path("watched/sub"));
  fs::remove(path("watched/file"));
  EXPECT_EQ(bits_of([&] { fs::remove(path("watched")); }), unsigned{NOTE_DELETE});
}

TEST_P(Kqueue_VnodeDirectory, ItsRemovalIsSeenWhereItWasMovedTo) {
  fs::remove(path("watched/sub"));
  fs::remove(path("watched/file"));
  EXPECT_EQ(bits_of([&] { fs::rename(path("watched"), path("outside/watched")); }),
            unsigned{NOTE_RENAME});
  EXPECT_EQ(bits_of([&] { fs::remove(path("outside/watched")); }), unsigned{NOTE_DELETE});
}

TEST_P(Kqueue_VnodeDirectory, BeingRenamedOverIsADelete) {
  fs::remove(path("watched/sub"));
  fs::remove(path("watched/file"));
  EXPECT_EQ(bits_of([&] { fs::rename(path("outside/sub2"), path("watched")); }),
            unsigned{NOTE_DELETE});
}

TEST_P(Kqueue_VnodeDirectory, ANeighboursRemovalIsNotItsOwn) {
  EXPECT_EQ(bits_of([&] {
              fs::create_directory(path("neighbour"));
              fs::remove(path("neighbour"));
            }),
            0U);
}

TEST_P(Kqueue_VnodeDirectory, ParentAndChildMayBothBeWatched) {
  fs::remove(path("watched/file"));
  const unique_fd child = open_file(path("watched/sub"), O_RDONLY | O_DIRECTORY);
  ASSERT_THAT(submit(kq, {add(child, EVFILT_VNODE, EV_CLEAR).fflags(NOTE_DELETE)}), Succeeds());
  EXPECT_THAT(submit(kq, {add(fd_, EVFILT_VNODE, EV_CLEAR).fflags(kSeedBits)}), Succeeds());
  fs::remove(path("watched/sub"));
  EXPECT_THAT(poll(kq), testing::UnorderedElementsAre(Told(child).fflags(NOTE_DELETE),
                                                      Told(fd_).fflags(NOTE_WRITE | NOTE_LINK)));
}

QUAY_IN_ALL_DIALECTS(Kqueue_VnodeDirectory);

}  // namespace
}  // namespace quay::test
