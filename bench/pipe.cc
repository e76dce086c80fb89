// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promises of pipes against pipe(2): bytes streamed between two processes and two threads,
//   a byte there and back, a small message within a thread, making and closing.
// Contract: both sides do the same calls in the same binary. Streams are timed by the reader, from its
//   first byte to its last. Ratios are times: a promise of three times the throughput is 0.33.

#include <quay/quay.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>

#include "support/harness.hpp"
#include "support/system.hpp"

namespace quay::bench {
namespace {

struct mechanism {
  int (*make)(int*, int);
  ssize_t (*read)(int, void*, size_t);
  ssize_t (*write)(int, const void*, size_t);
  int (*close)(int);
};
const mechanism kOurs{quay_pipe2, quay_read, quay_write, quay_close};
const mechanism kKernels{pipe2, ::read, ::write, ::close};

class ends {
 public:
  explicit ends(const mechanism& m) : m_(m) { check(m_.make(fds_, O_CLOEXEC), "making a pipe"); }
  ~ends() {
    close(0);
    close(1);
  }
  ends(const ends&) = delete;
  ends& operator=(const ends&) = delete;

  void close(int end) {
    if (fds_[end] >= 0) m_.close(std::exchange(fds_[end], -1));
  }
  void put(const char* bytes, std::size_t n) {
    while (n > 0) {
      const auto done = static_cast<std::size_t>(check(m_.write(fds_[1], bytes, n), "a write"));
      bytes += done;
      n -= done;
    }
  }
  std::size_t get(char* bytes, std::size_t n) {
    return static_cast<std::size_t>(check(m_.read(fds_[0], bytes, n), "a read"));
  }

 private:
  const mechanism& m_;
  int fds_[2] = {-1, -1};
};

enum class between { threads, processes };

// Runs `other` in a thread or a child, `own` here, each on its processor.
void run_both(between what, int own_cpu, int other_cpu, const std::function<void()>& own,
              const std::function<void()>& other) {
  if (what == between::threads) {
    std::thread t([&] {
      pin_to(other_cpu);
      other();
    });
    pin_to(own_cpu);
    own();
    t.join();
    return;
  }
  const pid_t child = check(fork(), "fork");
  if (child == 0) {
    pin_to(other_cpu);
    other();
    _exit(0);
  }
  pin_to(own_cpu);
  own();
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) throw std::runtime_error("the writing process failed");
}

variant_factory stream(const mechanism& m, between what, std::size_t size, std::size_t total,
                       int reader_cpu, int writer_cpu) {
  return [=, &m] {
    return variant([=, &m](slice& out) {
      ends p(m);
      const std::size_t messages = total / size;
      run_both(
          what, reader_cpu, writer_cpu,
          [&] {
            std::vector<char> bytes(size);
            std::size_t left = messages * size - p.get(bytes.data(), size);
            const std::size_t timed = left;
            const std::int64_t start = now_ns();
            while (left > 0) left -= p.get(bytes.data(), std::min(size, left));
            out.add(now_ns() - start, std::max<std::size_t>(timed / size, 1));
          },
          [&] {
            const std::vector<char> bytes(size, 'x');
            for (std::size_t i = 0; i < messages; ++i) p.put(bytes.data(), size);
          });
    });
  };
}

variant_factory round_trips(const mechanism& m, int trips, int cpu, int other_cpu) {
  return [=, &m] {
    return variant([=, &m](slice& out) {
      ends there(m);
      ends back(m);
      char c = 'x';
      run_both(
          between::processes, cpu, other_cpu,
          [&] {
            const std::int64_t start = now_ns();
            for (int i = 0; i < trips; ++i) {
              there.put(&c, 1);
              back.get(&c, 1);
            }
            out.add(now_ns() - start, static_cast<std::size_t>(trips));
          },
          [&] {
            for (int i = 0; i < trips; ++i) {
              there.get(&c, 1);
              back.put(&c, 1);
            }
          });
    });
  };
}

struct promise {
  std::size_t size;
  double processes;
  double threads;
};
constexpr promise kPromises[] = {{64, 3, 3},     {512, 2.5, 3},   {4096, 2.5, 5},
                                 {16384, 8, 20}, {65536, 30, 40}, {1 << 20, 30, 30}};

void streams(context& ctx, between what, bool one_cpu) {
  const std::vector<int> cpus = allowed_cpus();
  const std::string where = what == between::threads ? "threads" : "processes";
  const std::string name = "pipe.stream." + where + (one_cpu ? ".one_cpu" : "");
  if (!one_cpu && cpus.size() < 2) return ctx.skip(name, "needs two processors");
  for (const promise& p : kPromises) {
    const std::size_t total = std::max<std::size_t>(
        ctx.sized<std::size_t>(std::min<std::size_t>(20'000 * p.size, 16 << 20), 20 * p.size),
        2 * p.size);
    comparison row;
    row.name = name + "." + std::to_string(p.size);
    row.subject = "quay_pipe2, per message";
    row.baseline = "pipe2, per message";
    row.target = one_cpu ? 1.0 : 1 / (what == between::threads ? p.threads : p.processes);
    row.repetitions = 20;
    const int other = one_cpu ? cpus[0] : cpus[1];
    row.ours = stream(kOurs, what, p.size, total, cpus[0], other);
    row.base = stream(kKernels, what, p.size, total, cpus[0], other);
    ctx.compare(row);
  }
}

void ping_pong(context& ctx, bool one_cpu) {
  const std::vector<int> cpus = allowed_cpus();
  comparison row;
  row.name = std::string("pipe.round_trip.") + (one_cpu ? "one_cpu" : "two_cpus");
  if (!one_cpu && cpus.size() < 2) return ctx.skip(row.name, "needs two processors");
  row.subject = "a byte there and back between processes, quay_pipe2";
  row.baseline = "the same, pipe2";
  row.target = one_cpu ? 1.0 : 0.01;
  row.repetitions = 30;
  const int trips = ctx.sized(2000, 20);
  const int other = one_cpu ? cpus[0] : cpus[1];
  row.ours = round_trips(kOurs, trips, cpus[0], other);
  row.base = round_trips(kKernels, trips, cpus[0], other);
  ctx.compare(row);
}

variant_factory same_thread(const mechanism& m, batch_sizes size) {
  return [=, &m] {
    auto p = std::make_shared<ends>(m);
    return variant([=](slice& out) {
      char bytes[64] = {};
      run_batches(size, out, [&] {
        p->put(bytes, sizeof bytes);
        p->get(bytes, sizeof bytes);
      });
    });
  };
}

variant_factory creation(const mechanism& m, int pipes) {
  return [=, &m] {
    return variant([=, &m](slice& out) {
      const std::int64_t start = now_ns();
      for (int i = 0; i < pipes; ++i) ends made(m);
      out.add(now_ns() - start, static_cast<std::size_t>(pipes));
    });
  };
}

void within_a_thread(context& ctx) {
  comparison row;
  row.name = "pipe.same_thread.64";
  row.subject = "64 bytes written and read by one thread, quay_pipe2";
  row.baseline = "the same, pipe2";
  row.target = 0.1;
  const batch_sizes size = ctx.sized(batch_sizes{4, 200}, batch_sizes{2, 20, 0});
  row.ours = same_thread(kOurs, size);
  row.base = same_thread(kKernels, size);
  ctx.compare(row);
}

void making(context& ctx) {
  comparison row;
  row.name = "pipe.create";
  row.subject = "quay_pipe2 and two closes";
  row.baseline = "pipe2 and two closes";
  row.target = 1.5;
  row.ours = creation(kOurs, ctx.sized(500, 10));
  row.base = creation(kKernels, ctx.sized(500, 10));
  ctx.compare(row);
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(
      argc, argv, "Pipes against pipe(2)",
      {{"pipe.stream.processes", [](context& c) { streams(c, between::processes, false); }},
       {"pipe.stream.threads", [](context& c) { streams(c, between::threads, false); }},
       {"pipe.stream.one_cpu", [](context& c) { streams(c, between::processes, true); }},
       {"pipe.round_trip.two_cpus", [](context& c) { ping_pong(c, false); }},
       {"pipe.round_trip.one_cpu", [](context& c) { ping_pong(c, true); }},
       {"pipe.same_thread", within_a_thread},
       {"pipe.create", making}});
}
