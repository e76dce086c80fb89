// SPDX-License-Identifier: BSD-2-Clause
//
// What: requests and the rest of the process: fork, threads that exit, closed descriptors, hidden
// threads, and processes to which the kernel gives no ring.
// Contract: fork(2) and close(2) of POSIX on asynchronous requests; docs/man/aio.3.
#include <dlfcn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <filesystem>
#include <functional>
#include <thread>

#include "support/aio.hpp"
#include "support/matchers.hpp"
#include "support/refusal.hpp"

namespace quay::test {
namespace {

class Aio_Process : public aio_test {};
QUAY_TEST_EVERY_BACKEND(Aio_Process);

// Runs `body` in a forked child; true when it returned true there.
bool in_a_child(const std::function<bool()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body() ? 0 : 1);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// A child that is to start threads, where its parent has some.
#if defined(__SANITIZE_THREAD__)
#define QUAY_THREADS_AFTER_FORK 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define QUAY_THREADS_AFTER_FORK 0
#endif
#endif
#if !defined(QUAY_THREADS_AFTER_FORK)
#define QUAY_THREADS_AFTER_FORK 1
#endif
#define QUAY_SKIP_UNLESS_CHILDREN_MAY_START_THREADS() \
  if (!QUAY_THREADS_AFTER_FORK)                       \
  GTEST_SKIP() << "the thread sanitizer ends a forked child of a threaded process that starts one"

long threads() {
  namespace fs = std::filesystem;
  return std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator());
}

// POSIX, fork: "No asynchronous input or asynchronous output operations shall be inherited."
TEST_P(Aio_Process, AChildHasNoneOfItsParentsRequests) {
  const pipe_ends pipe = make_pipe();
  request r = request::room_for(pipe.reader, 4);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_TRUE(in_a_child(
      [&] { return r.error() == EINVAL && ::aio_cancel(pipe.reader, nullptr) == AIO_ALLDONE; }));
  put(pipe.writer, "abcd");
  EXPECT_EQ(r.finish(), 4);
}

TEST_P(Aio_Process, AChildMakesRequestsOfItsOwn) {
  QUAY_SKIP_UNLESS_CHILDREN_MAY_START_THREADS();
  const pipe_ends before = make_pipe();
  request r = request::room_for(before.reader, 4);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_TRUE(in_a_child([&] {
    const pipe_ends pipe = make_pipe();
    request own = request::room_for(pipe.reader, 4);
    if (::aio_read(&own.block) != 0) return false;
    put(pipe.writer, "1234");
    return own.finish() == 4 && own.bytes() == "1234";
  }));
  put(before.writer, "abcd");
  EXPECT_EQ(r.finish(), 4);
  EXPECT_EQ(r.bytes(), "abcd");
}

// io_uring gives up what a thread has asked for when the thread exits; here nothing may notice.
TEST_P(Aio_Process, ARequestOutlivesTheThreadThatMadeIt) {
  const pipe_ends pipe = make_pipe();
  request r = request::room_for(pipe.reader, 4);
  std::thread([&] { ASSERT_EQ(::aio_read(&r.block), 0); }).join();
  EXPECT_TRUE(r.in_progress());
  put(pipe.writer, "abcd");
  EXPECT_EQ(r.finish(), 4);
}

TEST_P(Aio_Process, WhatIsInMemoryNeedsNoThread) {
  if (GetParam() != by::any) GTEST_SKIP() << "this way hands every request over";
  const scratch_file file(pattern(4096));
  request probe = request::room_for(file, 4096);
  iovec whole{const_cast<void*>(probe.block.aio_buf), 4096};
  if (::preadv2(file, &whole, 1, 0, RWF_NOWAIT) != 4096) {
    GTEST_SKIP() << "this file system cannot tell what is in memory: " << std::strerror(errno);
  }
  EXPECT_TRUE(in_a_child([&] {  // where no earlier test has left a thread
    for (int i = 0; i < 1000; ++i) {
      request r = request::room_for(file, 4096);
      if (::aio_read(&r.block) != 0 || r.error() != 0 || ::aio_return(&r.block) != 4096)
        return false;
    }
    return threads() == 1;
  }));
}

// A closed number may be another file's the next moment: what has not begun must not meet it.
TEST_P(Aio_Process, ClosingCancelsWhatHasNotBegun) {
  QUAY_SKIP_UNLESS_HOOKED();
  pipe_ends pipe = make_pipe();
  const unique_fd also(::dup(pipe.reader));  // the first read goes on
  request first = request::room_for(pipe.reader, 4);
  request second = request::room_for(pipe.reader, 4);
  ASSERT_EQ(::aio_read(&first.block), 0);
  ASSERT_EQ(::aio_read(&second.block), 0);
  pipe.reader.close();
  EXPECT_EQ(second.error(), ECANCELED);
  put(pipe.writer, "abcd");
  const ssize_t result = first.finish();
  EXPECT_TRUE(result == 4 || (result == -1 && (errno == ECANCELED || errno == EBADF)))
      << result << " " << std::strerror(errno);
}

TEST_P(Aio_Process, ATransferThatHasBegunSurvivesTheClose) {
  const std::string content = pattern(size_t{8} << 20);
  scratch_file file(content);
  for (int i = 0; i < 20; ++i) {
    const unique_fd again(open_file(file.path(), O_RDONLY));
    request r = request::room_for(again, content.size());
    ASSERT_EQ(::aio_read(&r.block), 0);
    const_cast<unique_fd&>(again).close();
    const ssize_t result = r.finish();
    if (result == -1) {
      EXPECT_TRUE(errno == ECANCELED || errno == EBADF) << errno;
    } else {
      EXPECT_TRUE(r.bytes() == content);
    }
  }
}

// What the engine opens for its first request must not get the number that the program closes: read
// there, the request would be refused (EINVAL).
TEST_P(Aio_Process, TheFirstRequestMayBeFollowedByACloseAtOnce) {
  QUAY_SKIP_UNLESS_CHILDREN_MAY_START_THREADS();
  const std::string content = pattern(size_t{1} << 20);
  const scratch_file file(content);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(in_a_child([&] {
      unique_fd again(open_file(file.path(), O_RDONLY));
      request r = request::room_for(again, content.size());
      if (::aio_read(&r.block) != 0) return false;
      again.close();
      const ssize_t result = r.finish();
      if (result == -1) return errno == ECANCELED || errno == EBADF;
      return r.bytes() == content;
    }));
  }
}

// Programs that become daemons close every number they can think of.
TEST_P(Aio_Process, SurvivesThatItsDescriptorsAreClosed) {
  QUAY_SKIP_UNLESS_CHILDREN_MAY_START_THREADS();
  EXPECT_TRUE(in_a_child([] {
    const pipe_ends pipe = make_pipe();
    request r = request::room_for(pipe.reader, 4);
    if (::aio_read(&r.block) != 0) return false;
    // Let the library's thread take it in: a second request through the same channel has ended.
    const pipe_ends other = make_pipe();
    request sign = request::room_for(other.reader, 1);
    if (::aio_read(&sign.block) != 0) return false;
    put(other.writer, "x");
    if (sign.finish() != 1) return false;
    const int keep[] = {pipe.reader, pipe.writer};
    for (int fd = 3; fd < 1024; ++fd) {
      if (fd != keep[0] && fd != keep[1]) ::close(fd);
    }
    put(pipe.writer, "abcd");
    if (r.finish() != 4) return false;
    const pipe_ends fresh = make_pipe();
    request again = request::room_for(fresh.reader, 4);
    if (::aio_read(&again.block) != 0) return false;
    put(fresh.writer, "1234");
    return again.finish() == 4;
  }));
}

// A program that was built with libc's <aio.h> calls libc's names.
TEST_P(Aio_Process, LibcsNamesReachTheEngine) {
  QUAY_SKIP_UNLESS_HOOKED();
  if (sizeof(off_t) < 8) GTEST_SKIP() << "where offsets have two sizes libc keeps its own names";
  const scratch_file file("0123456789");
  queue kq = make_queue();
  for (const char* name : {"aio_read", "aio_read64"}) {
    auto* const read = reinterpret_cast<int (*)(aiocb*)>(::dlsym(RTLD_DEFAULT, name));
    auto* const result = reinterpret_cast<ssize_t (*)(aiocb*)>(::dlsym(RTLD_DEFAULT, "aio_return"));
    ASSERT_NE(read, nullptr);
    ASSERT_NE(result, nullptr);
    request r = request::room_for(file, 4, 2);
    ASSERT_EQ(read(&r.tells(kq).block), 0);
    EXPECT_THAT(await(kq), testing::ElementsAre(Event(r.ident(), EVFILT_AIO).flags(EV_EOF)));
    EXPECT_EQ(result(&r.block), 4);
    EXPECT_EQ(r.bytes(), "2345");
  }
}

// --- without io_uring -----------------------------------------------------------------------------

TEST_P(Aio_Process, WorksWhereTheKernelRefusesRings) {
  QUAY_SKIP_UNLESS_CHILDREN_MAY_START_THREADS();
  EXPECT_TRUE(in_a_child([] {
    if (!refuse_call(SYS_io_uring_setup) || ring_is_possible()) return false;
    queue kq = make_queue();
    const pipe_ends pipe = make_pipe();
    request r = request::room_for(pipe.reader, 4);
    if (::aio_read(&r.tells(kq).block) != 0) return false;
    put(pipe.writer, "abcd");
    return await(kq).size() == 1 && ::aio_return(&r.block) == 4;
  }));
}

}  // namespace
}  // namespace quay::test
