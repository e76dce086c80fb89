// SPDX-License-Identifier: BSD-2-Clause
//
// What: a named pipe of a test's own, and the notes of a queue that watches one filter of it.
#pragma once

#include <sys/event.h>

#include "pipe.hpp"

namespace quay::test::pipes {

class named_pipe : public ::testing::Test {
 protected:
  void SetUp() override {
    char place[] = "/tmp/quay-named-XXXXXX";
    ASSERT_NE(mkdtemp(place), nullptr);
    folder_ = place;
    path_ = folder_ + "/fifo";
    ASSERT_EQ(quay_mkfifo(path(), 0600), 0);
  }
  void TearDown() override {
    for (const int fd : opened_) quay_close(fd);
    unlink(path());
    rmdir(folder_.c_str());
  }

  const char* path() const { return path_.c_str(); }
  int open(int flags) {
    const int fd = quay_open(path(), flags);
    EXPECT_GE(fd, 0) << errno;
    opened_.push_back(fd);
    return fd;
  }
  void close(int fd) {
    std::erase(opened_, fd);
    quay_close(fd);
  }
  int reader() { return open(O_RDONLY | O_NONBLOCK); }
  int writer() { return open(O_WRONLY | O_NONBLOCK); }

 private:
  std::string folder_;
  std::string path_;
  std::vector<int> opened_;
};

// A queue for one note.
class notes {
 public:
  struct told {
    bool came;
    int flags;
    int64_t data;
  };
  notes() : queue_(kqueue()) {}
  ~notes() { ::close(queue_); }
  notes(const notes&) = delete;
  notes& operator=(const notes&) = delete;

  void watch(int fd, int filter, unsigned more = 0) const {
    struct kevent change {};
    EV_SET(&change, static_cast<uintptr_t>(fd), static_cast<short>(filter),
           static_cast<unsigned short>(EV_ADD | more), 0, 0, nullptr);
    EXPECT_EQ(kevent(queue_, &change, 1, nullptr, 0, nullptr), 0) << errno;
  }
  // What is told now.
  told next() const {
    struct kevent event {};
    const timespec now{0, 0};
    if (kevent(queue_, nullptr, 0, &event, 1, &now) != 1) return {false, 0, -1};
    return {true, event.flags, event.data};
  }

 private:
  int queue_;
};

}  // namespace quay::test::pipes
