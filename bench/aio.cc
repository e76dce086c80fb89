// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that asynchronous reads of a cached file cost a fraction of libc's.
// Contract: both sides submit a batch of 4 KiB reads at random places of one file, wait with
//   aio_suspend() until each has ended, and collect every result; libc's functions are taken from
//   libc itself, as the hooks stand in front of them. Both run on one processor, which spares libc
//   the waking of a sleeping one for each request.

#include <aio.h>
#include <dlfcn.h>
#include <fcntl.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

#include "support/harness.hpp"
#include "support/queue.hpp"

namespace quay::bench {
namespace {

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kBlocks = 4096;  // 16 MiB: in memory once it is written

// The calls that are compared.
struct calls {
  int (*read)(aiocb*);
  int (*error)(const aiocb*);
  ssize_t (*result)(aiocb*);
  int (*suspend)(const aiocb* const*, int, const timespec*);
};

calls ours() { return {::aio_read, ::aio_error, ::aio_return, ::aio_suspend}; }

calls libcs() {
  void* libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
  const auto find = [libc](auto& to, const char* name) {
    void* found = libc != nullptr ? dlsym(libc, name) : nullptr;
    if (found == nullptr) throw std::runtime_error(std::string("libc has no ") + name);
    to = reinterpret_cast<std::remove_reference_t<decltype(to)>>(found);
  };
  calls c{};
  find(c.read, "aio_read");
  find(c.error, "aio_error");
  find(c.result, "aio_return");
  find(c.suspend, "aio_suspend");
  return c;
}

class cached_file {
 public:
  cached_file() {
    const char* where = std::getenv("TMPDIR");
    std::string name = std::string(where != nullptr ? where : "/var/tmp") + "/quay-bench-XXXXXX";
    fd_.reset(check(mkstemp(name.data()), "mkstemp"));
    unlink(name.c_str());
    const std::string block(kBlock, 'x');
    for (std::size_t i = 0; i < kBlocks; ++i) {
      if (::write(fd_.get(), block.data(), kBlock) != static_cast<ssize_t>(kBlock)) fail("write");
    }
    check(fsync(fd_.get()), "fsync");
  }
  int get() const { return fd_.get(); }
  // Whether the file system can say that a block is in memory; where it cannot nothing is "at once".
  bool tells_what_is_cached() const {
    char byte;
    const iovec one{&byte, 1};
    return preadv2(fd_.get(), &one, 1, 0, RWF_NOWAIT) == 1;
  }

 private:
  unique_fd fd_;
};

class reader {
 public:
  reader(std::shared_ptr<cached_file> file, std::size_t depth, calls by)
      : file_(std::move(file)),
        by_(by),
        depth_(depth),
        blocks_(new aiocb[depth]()),
        memory_(depth * kBlock) {
    for (std::size_t i = 0; i < depth_; ++i) {
      blocks_[i].aio_fildes = file_->get();
      blocks_[i].aio_buf = &memory_[i * kBlock];
      blocks_[i].aio_nbytes = kBlock;
      blocks_[i].aio_sigevent.sigev_notify = SIGEV_NONE;
    }
  }

  void round() {
    for (std::size_t i = 0; i < depth_; ++i) {
      blocks_[i].aio_offset = static_cast<off_t>(places_.below(kBlocks) * kBlock);
      check(by_.read(&blocks_[i]), "aio_read");
    }
    for (std::size_t i = 0; i < depth_; ++i) {
      const aiocb* one = &blocks_[i];
      while (by_.error(one) == EINPROGRESS) by_.suspend(&one, 1, nullptr);
      if (by_.result(&blocks_[i]) != static_cast<ssize_t>(kBlock)) fail("a read");
    }
  }

 private:
  std::shared_ptr<cached_file> file_;
  calls by_;
  std::size_t depth_;
  std::unique_ptr<aiocb[]> blocks_;
  std::vector<char> memory_;
  quick_random places_;
};

variant_factory reads(const std::shared_ptr<cached_file>& file, std::size_t depth, int requests,
                      calls by) {
  return [=] {
    auto state = std::make_shared<reader>(file, depth, by);
    return variant([=](slice& out) {
      for (int batch = 0; batch < 4; ++batch) {
        const std::int64_t start = now_ns();
        for (int done = 0; done < requests; done += static_cast<int>(depth)) state->round();
        out.add(now_ns() - start, static_cast<std::size_t>(requests));
      }
    });
  };
}

bench_case make_case(const std::string& name, std::size_t depth, double target) {
  return {name, [=](context& ctx) {
            pin_to_last();
            auto file = std::make_shared<cached_file>();
            if (!file->tells_what_is_cached()) {
              return ctx.skip(name, "the file system does not serve RWF_NOWAIT");
            }
            const int requests = ctx.sized(128, 32);
            comparison row;
            row.name = name;
            row.subject = "aio_read of 4 KiB, " + std::to_string(depth) + " at a time";
            row.baseline = "libc's aio_read, the same";
            row.target = target;
            row.repetitions = 200;
            row.ours = reads(file, depth, requests, ours());
            row.base = reads(file, depth, requests, libcs());
            ctx.compare(row);
          }};
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(
      argc, argv, "Asynchronous 4 KiB reads of a cached file against libc's aio",
      {make_case("aio.read.depth1", 1, 0.25), make_case("aio.read.depth32", 32, 0.3)});
}
