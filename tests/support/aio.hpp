// SPDX-License-Identifier: BSD-2-Clause
//
// What: the vocabulary of aio tests: a request with its memory, files, and the ways in which the
//       library can perform requests, each of which every test runs with.
// Contract: a way that this machine refuses is skipped with the reason. `finish` waits up to a
//           generous limit, so that a lost completion is a failure and not a hang.
#pragma once

#include <aio.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "kqueue.hpp"

namespace quay::test {

// Values of the tunable aio_backend.
enum class by : long { any = 0, ring = 1, threads = 2 };

// Asked in a thread of its own: one that has had a ring is interrupted when the kernel ends it.
inline bool ring_is_possible() {
  bool possible = false;
  std::thread([&] {
    io_uring_params p{};
    const unique_fd ring(static_cast<int>(::syscall(SYS_io_uring_setup, 1, &p)));
    possible = ring >= 0;
  }).join();
  return possible;
}

class aio_test : public testing::TestWithParam<by> {
 protected:
  void SetUp() override {
    if (GetParam() == by::ring && !ring_is_possible()) {
      GTEST_SKIP() << "the kernel refuses io_uring to this process";
    }
    ASSERT_EQ(quay_tunable_set("aio_backend", static_cast<long>(GetParam())), 0);
  }
  void TearDown() override { quay_tunable_set("aio_backend", 0); }
};

#define QUAY_TEST_EVERY_BACKEND(suite)                                                           \
  INSTANTIATE_TEST_SUITE_P(                                                                      \
      By, suite,                                                                                 \
      testing::Values(::quay::test::by::any, ::quay::test::by::ring, ::quay::test::by::threads), \
      [](const auto& info) {                                                                     \
        return std::string(info.param == ::quay::test::by::any    ? "any"                        \
                           : info.param == ::quay::test::by::ring ? "ring"                       \
                                                                  : "threads");                  \
      })

// A request and its buffer. It must be finished, or cancelled, before it goes.
class request {
 public:
  request(int fd, std::string bytes, off_t offset = 0) : bytes_(std::move(bytes)) {
    block.aio_fildes = fd;
    block.aio_buf = bytes_.data();
    block.aio_nbytes = bytes_.size();
    block.aio_offset = offset;
    block.aio_sigevent.sigev_notify = SIGEV_NONE;
  }
  static request room_for(int fd, size_t count, off_t offset = 0) {
    return request(fd, std::string(count, '\0'), offset);
  }
  request(const request&) = delete;
  request& operator=(const request&) = delete;

  request& tells(int kq, const void* udata = nullptr, unsigned flags = 0) {
    block.aio_sigevent.sigev_notify = SIGEV_KEVENT;
    block.aio_sigevent.sigev_notify_kqueue = kq;
    block.aio_sigevent.sigev_notify_kevent_flags = static_cast<int>(flags);
    block.aio_sigevent.sigev_value.sival_ptr = const_cast<void*>(udata);
    return *this;
  }

  int error() const { return ::aio_error(&block); }
  bool in_progress() const { return error() == EINPROGRESS; }
  // Waits for the end and collects it; -1 with errno for a failed request.
  ssize_t finish() {
    const aiocb* list[] = {&block};
    const timespec limit = to_timespec(kPatience);
    if (::aio_suspend(list, 1, &limit) != 0) {
      ADD_FAILURE() << "the request did not finish: " << std::strerror(errno);
    }
    return ::aio_return(&block);
  }
  std::string_view bytes() const { return bytes_; }
  uintptr_t ident() const { return reinterpret_cast<uintptr_t>(&block); }

 private:
  std::string bytes_;
  // No member: libc's struct has an empty array, which may not lie inside another class.
  const std::unique_ptr<aiocb> memory_ = std::make_unique<aiocb>();

 public:
  aiocb& block = *memory_;
};

// A file in a directory of its own.
class scratch_file {
 public:
  explicit scratch_file(std::string_view content = {}, int flags = O_RDWR)
      : fd_(directory_.make_file(content)) {
    if (flags != O_RDWR) fd_ = open_file(path(), flags);
  }
  // NOLINTNEXTLINE(google-explicit-constructor): a descriptor is an int everywhere.
  operator int() const { return fd_; }
  void close() { fd_.close(); }
  std::string path() const { return directory_.path() + "/file"; }
  std::string content() const {
    const unique_fd again(open_file(path(), O_RDONLY));
    std::string all;
    for (std::string part; !(part = take(again, 65536)).empty();) all += part;
    return all;
  }

 private:
  temporary_directory directory_;
  unique_fd fd_;
};

// Bytes that tell their place, so that nothing swapped or shifted looks right.
inline std::string pattern(size_t count) {
  std::string out(count, '\0');
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<char>(i * 31 + (i >> 8) * 7);
  return out;
}

}  // namespace quay::test
