// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that user events from one thread to another, on two processors and a private
//   queue, cost a fraction of an eventfd: per event in a stream, and for a round trip of one event.
// Contract: the stream is bounded by a window that the consumer's count opens, the same for both
//   sides. The subject triggers kNotes different notes in turn, because triggers of one note merge;
//   the baseline is one EFD_SEMAPHORE eventfd, one read per event. The extra case gives the
//   baseline an eventfd per identity too, edge-triggered, so that it need not read them.
// Invariants: the window is smaller than the number of notes, so no event can merge with another;
//   were one lost, the consumer would wait and the harness's watchdog end the case.

#include <sys/eventfd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/harness.hpp"
#include "support/queue.hpp"

namespace quay::bench {
namespace {

constexpr std::size_t kNotes = 1024;
constexpr std::size_t kWindow = kNotes - 256;
constexpr std::size_t kMaxEvents = 64;
constexpr std::size_t kStampEvery = 1024;

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

// Runs `first` and `second` in a thread each, bound to a processor of its own; both begin together.
// The caller stays unbound: a library that looks at the process must not conclude that there is
// one processor only.
template <typename First, typename Second>
void run_together(const std::vector<int>& cpus, First first, Second second) {
  std::atomic<int> arrived{0};
  const auto guarded = [&](std::size_t index, auto& body) {
    try {
      pin_to(cpus[index]);
      ++arrived;
      while (arrived.load() < 2) relax();
      body();
    } catch (const std::exception& problem) {
      // The other thread may wait for this one: only leaving together ends the case.
      std::fprintf(stderr, "%s\n", problem.what());
      std::_Exit(1);
    }
  };
  std::thread one([&] { guarded(0, first); });
  std::thread two([&] { guarded(1, second); });
  one.join();
  two.join();
}

class note_stream {
 public:
  note_stream() : queue_(privacy::exclusive) {
    for (std::size_t i = 0; i < kNotes; ++i) {
      queue_.apply(change(i, EVFILT_USER, EV_ADD | EV_CLEAR));
      triggers_.push_back(change(i, EVFILT_USER, 0, NOTE_TRIGGER));
    }
  }
  void post(std::size_t number) { queue_.apply(triggers_[number % kNotes]); }
  std::size_t get() { return queue_.get_events(events_.data(), events_.size(), nullptr); }

 private:
  kernel_queue queue_;
  std::vector<struct kevent> triggers_;
  std::array<struct kevent, kMaxEvents> events_;
};

void bump(int fd) {
  const std::uint64_t one = 1;
  if (::write(fd, &one, sizeof one) != sizeof one) fail("write of an eventfd");
}

class semaphore_stream {
 public:
  semaphore_stream()
      : counter_(check(eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {
    queue_.control(EPOLL_CTL_ADD, counter_.get(), EPOLLIN);
  }
  void post(std::size_t) { bump(counter_.get()); }
  std::size_t get() {
    epoll_event event;
    if (queue_.get_events(&event, 1, -1) != 1) throw std::runtime_error("no eventfd event");
    std::uint64_t count;
    if (::read(event.data.fd, &count, sizeof count) != sizeof count) fail("read of an eventfd");
    return 1;
  }

 private:
  epoll_queue queue_;
  unique_fd counter_;
};

class identity_stream {
 public:
  identity_stream() {
    for (std::size_t i = 0; i < kNotes; ++i) {
      counters_.emplace_back(check(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd"));
      queue_.control(EPOLL_CTL_ADD, counters_.back().get(), EPOLLIN | EPOLLET);
    }
  }
  void post(std::size_t number) { bump(counters_[number % kNotes].get()); }
  std::size_t get() { return queue_.get_events(events_.data(), events_.size(), -1); }

 private:
  epoll_queue queue_;
  std::vector<unique_fd> counters_;
  std::array<epoll_event, kMaxEvents> events_;
};

template <typename Stream>
void run_stream(Stream& stream, const std::vector<int>& cpus, std::size_t total, slice& out) {
  alignas(64) std::atomic<std::size_t> consumed{0};
  const auto produce = [&] {
    for (std::size_t i = 0; i < total; ++i) {
      while (i - consumed.load(std::memory_order_acquire) >= kWindow) relax();
      stream.post(i);
    }
  };
  const auto consume = [&] {
    std::size_t seen = 0;
    std::size_t stamped = 0;
    std::int64_t last = now_ns();
    while (seen < total) {
      seen += stream.get();
      consumed.store(seen, std::memory_order_release);
      if (seen - stamped >= kStampEvery || seen >= total) {
        const std::int64_t now = now_ns();
        out.add(now - last, seen - stamped);
        last = now;
        stamped = seen;
      }
    }
  };
  run_together(cpus, produce, consume);
}

template <typename Stream>
variant_factory stream_of(const std::vector<int>& cpus, std::size_t total) {
  return [=] {
    auto stream = std::make_shared<Stream>();
    return variant([=](slice& out) { run_stream(*stream, cpus, total, out); });
  };
}

class note_mailbox {
 public:
  note_mailbox() : queue_(privacy::exclusive) {
    queue_.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR));
  }
  void post() { queue_.apply(trigger_); }
  void get() {
    struct kevent event;
    if (queue_.get_events(&event, 1, nullptr) != 1) throw std::runtime_error("no user event");
  }

 private:
  kernel_queue queue_;
  struct kevent trigger_ = change(1, EVFILT_USER, 0, NOTE_TRIGGER);
};

class eventfd_mailbox {
 public:
  eventfd_mailbox() : counter_(check(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {
    queue_.control(EPOLL_CTL_ADD, counter_.get(), EPOLLIN);
  }
  void post() { bump(counter_.get()); }
  void get() {
    epoll_event event;
    if (queue_.get_events(&event, 1, -1) != 1) throw std::runtime_error("no eventfd event");
    std::uint64_t count;
    if (::read(event.data.fd, &count, sizeof count) != sizeof count) fail("read of an eventfd");
  }

 private:
  epoll_queue queue_;
  unique_fd counter_;
};

template <typename Mailbox>
variant_factory ping_pong(const std::vector<int>& cpus, int trips) {
  return [=] {
    struct pair {
      Mailbox there;
      Mailbox back;
    };
    auto boxes = std::make_shared<pair>();
    return variant([=](slice& out) {
      const auto ask = [&] {
        std::int64_t last = now_ns();
        for (int i = 0; i < trips; ++i) {
          boxes->there.post();
          boxes->back.get();
          const std::int64_t now = now_ns();
          out.add(now - last, 1);
          last = now;
        }
      };
      const auto answer = [&] {
        for (int i = 0; i < trips; ++i) {
          boxes->there.get();
          boxes->back.post();
        }
      };
      run_together(cpus, ask, answer);
    });
  };
}

// A stream through one note, or one counter: posts that were not fetched yet merge on both sides.
// Measured per post, until the consumer has seen the last.
template <typename Mailbox>
variant_factory merging_stream(const std::vector<int>& cpus, std::size_t total) {
  return [=] {
    auto box = std::make_shared<Mailbox>();
    return variant([=](slice& out) {
      std::atomic<std::size_t> posted{0};
      const auto produce = [&] {
        for (std::size_t i = 1; i <= total; ++i) {
          posted.store(i, std::memory_order_release);
          box->post();
        }
      };
      const auto consume = [&] {
        const std::int64_t start = now_ns();
        do {
          box->get();
        } while (posted.load(std::memory_order_acquire) < total);
        out.add(now_ns() - start, total);
      };
      run_together(cpus, produce, consume);
    });
  };
}

void one_way(context& ctx) {
  const std::vector<int> cpus = allowed_cpus();
  if (cpus.size() < 2) return ctx.skip("user.cross_thread.one_way", "needs two processors");
  const std::size_t total = ctx.sized<std::size_t>(5'000, 200);
  comparison row;
  row.name = "user.cross_thread.one_way";
  row.subject = "EVFILT_USER, thread to thread, private queue, per event";
  row.baseline = "eventfd (semaphore) + epoll + read, per event";
  row.target = 0.06;
  row.repetitions = 120;
  row.ours = stream_of<note_stream>(cpus, total);
  row.base = stream_of<semaphore_stream>(cpus, total);
  ctx.compare(row);
  if (!ctx.extra()) return;
  row.name += ".identities";
  row.baseline = "an eventfd each, epoll ET, no read, per event";
  row.target.reset();
  row.base = stream_of<identity_stream>(cpus, total);
  ctx.compare(row);
  row.name = "user.cross_thread.one_way.merging";
  row.subject = "EVFILT_USER, one note, thread to thread, private queue, per post";
  row.baseline = "eventfd (counter) + epoll + read, per post";
  row.ours = merging_stream<note_mailbox>(cpus, total);
  row.base = merging_stream<eventfd_mailbox>(cpus, total);
  ctx.compare(row);
}

void round_trip(context& ctx) {
  const std::vector<int> cpus = allowed_cpus();
  if (cpus.size() < 2) return ctx.skip("user.cross_thread.round_trip", "needs two processors");
  const int trips = ctx.sized(200, 10);
  comparison row;
  row.name = "user.cross_thread.round_trip";
  row.subject = "EVFILT_USER there and back, two CPUs, private queues";
  row.baseline = "eventfd + epoll + read there and back";
  row.target = 0.05;
  row.repetitions = 120;
  row.ours = ping_pong<note_mailbox>(cpus, trips);
  row.base = ping_pong<eventfd_mailbox>(cpus, trips);
  ctx.compare(row);
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(
      argc, argv, "User events between two threads against an eventfd",
      {{"user.cross_thread.one_way", one_way}, {"user.cross_thread.round_trip", round_trip}});
}
