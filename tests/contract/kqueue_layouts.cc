// SPDX-License-Identifier: BSD-2-Clause
//
// What: FreeBSD 12's 64-byte struct kevent, chosen by QUAY_KEVENT_EXT, in a process that uses the
// classic one as well.
// Contract: what programs need from the headers (two layouts, entry points of their own).
// Invariants: this file sees the extended layout only; it includes none of the tests' helpers,
// which see the classic one.
#define QUAY_KEVENT_EXT
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/event.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace {

static_assert(sizeof(struct kevent) == (sizeof(void*) == 8 ? 64 : 56));
static_assert(sizeof(kevent::data) == 8);

struct kevent change(uintptr_t ident, int filter, unsigned flags, unsigned fflags = 0,
                     int64_t data = 0) {
  struct kevent out;
  EV_SET(&out, ident, filter, flags, fflags, data, nullptr);
  return out;
}

class Kqueue_ExtendedLayout : public testing::Test {
 protected:
  ~Kqueue_ExtendedLayout() override { ::close(kq); }

  int kq = ::kqueue();
  const timespec zero{};
};

TEST_F(Kqueue_ExtendedLayout, SetZeroesTheExtraWords) {
  struct kevent entry;
  entry.ext[0] = entry.ext[1] = entry.ext[2] = entry.ext[3] = 7;
  EV_SET(&entry, 1, EVFILT_USER, EV_ADD, 0, 0, nullptr);
  for (const uint64_t word : entry.ext) EXPECT_EQ(word, 0u);
}

TEST_F(Kqueue_ExtendedLayout, EveryFieldMakesTheRoundTrip) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ASSERT_EQ(::write(ends[1], "abc", 3), 3);
  struct kevent list[2] = {change(static_cast<uintptr_t>(ends[0]), EVFILT_READ, EV_ADD), {}};
  list[0].udata = list;
  struct kevent got[2];
  ASSERT_EQ(::kevent(kq, list, 1, got, 2, &zero), 1);
  EXPECT_EQ(got[0].ident, static_cast<uintptr_t>(ends[0]));
  EXPECT_EQ(got[0].filter, EVFILT_READ);
  EXPECT_EQ(got[0].data, 3);
  EXPECT_EQ(got[0].udata, list);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(Kqueue_ExtendedLayout, TheProgramsOwnWordsComeBack) {
  struct kevent created = change(1, EVFILT_USER, EV_ADD);
  created.ext[2] = 0x1122334455667788;
  created.ext[3] = UINT64_MAX;
  struct kevent triggered = change(1, EVFILT_USER, 0, NOTE_TRIGGER);
  triggered.ext[2] = created.ext[2];
  triggered.ext[3] = created.ext[3];
  const struct kevent list[2] = {created, triggered};
  struct kevent got[2];
  ASSERT_EQ(::kevent(kq, list, 2, got, 2, &zero), 1);
  EXPECT_EQ(got[0].ext[2], created.ext[2]);
  EXPECT_EQ(got[0].ext[3], created.ext[3]);
}

TEST_F(Kqueue_ExtendedLayout, ManyEntriesKeepTheirPlaces) {
  std::vector<struct kevent> list;
  for (uintptr_t i = 0; i < 30; ++i) {
    list.push_back(change(i, EVFILT_USER, EV_ADD));
    list.push_back(change(i, EVFILT_USER, 0, NOTE_TRIGGER | NOTE_FFCOPY | static_cast<unsigned>(i),
                          1000 + static_cast<int64_t>(i)));
  }
  std::vector<struct kevent> got(30);
  ASSERT_EQ(::kevent(kq, list.data(), static_cast<int>(list.size()), got.data(), 30, &zero), 30);
  for (uintptr_t i = 0; i < 30; ++i) {
    EXPECT_EQ(got[i].ident, i);
    EXPECT_EQ(got[i].fflags, i);
    EXPECT_EQ(got[i].data, 1000 + static_cast<int64_t>(i));
  }
}

TEST_F(Kqueue_ExtendedLayout, ErrorsArePostedInTheSameLayout) {
  const struct kevent wrong[2] = {change(1, EVFILT_TIMER, EV_DELETE),
                                  change(2, EVFILT_TIMER, EV_DELETE)};
  struct kevent got[2];
  ASSERT_EQ(::kevent(kq, wrong, 2, got, 2, &zero), 2);
  for (uintptr_t i = 0; i < 2; ++i) {
    EXPECT_EQ(got[i].ident, i + 1);
    EXPECT_NE(got[i].flags & EV_ERROR, 0);
    EXPECT_EQ(got[i].data, ENOENT);
  }
}

}  // namespace
