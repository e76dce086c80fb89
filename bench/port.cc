// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promises of event ports: a send and its get against an eventfd, in one thread, between
//   threads and between processes; associating again against EPOLLONESHOT and EPOLL_CTL_MOD;
//   port_sendn against writes; the memory of a slot.
// Contract: a stream is kEvents sent by one side and fetched by the other, the same for both sides;
//   the baseline is one EFD_SEMAPHORE eventfd, one read per event.

#include <fcntl.h>
#include <port.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <memory>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/harness.hpp"
#include "support/queue.hpp"

namespace quay::bench {
namespace {

class event_port {
 public:
  explicit event_port(int flags) : fd_(check(::port_create1(flags | O_CLOEXEC), "port_create1")) {}
  event_port(const event_port&) = delete;
  event_port& operator=(const event_port&) = delete;
  ~event_port() { quay_close(fd_); }

  int get() const { return fd_; }
  void post() { check(::port_send(fd_, 1, nullptr), "port_send"); }
  // One at least, as many as there are.
  unsigned take() {
    unsigned n = 1;
    check(::port_getn(fd_, events_, kMost, &n, nullptr), "port_getn");
    return n;
  }
  void take_one() { check(::port_get(fd_, events_, nullptr), "port_get"); }
  port_event_t* events() { return events_; }

 private:
  static constexpr unsigned kMost = 64;
  int fd_;
  port_event_t events_[kMost];
};

class event_descriptor {
 public:
  explicit event_descriptor(int)
      : counter_(check(eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC), "eventfd")) {
    queue_.control(EPOLL_CTL_ADD, counter_.get(), EPOLLIN);
  }
  void post() {
    const std::uint64_t one = 1;
    if (::write(counter_.get(), &one, sizeof one) != sizeof one) fail("write of an eventfd");
  }
  unsigned take() {
    take_one();
    return 1;
  }
  void take_one() {
    epoll_event event;
    if (queue_.get_events(&event, 1, -1) != 1) throw std::runtime_error("no eventfd event");
    std::uint64_t count;
    if (::read(counter_.get(), &count, sizeof count) != sizeof count) fail("read of an eventfd");
  }

 private:
  epoll_queue queue_;
  unique_fd counter_;
};

// --- one thread -----------------------------------------------------------------------------------

template <class Mechanism>
variant_factory post_and_take(int flags, batch_sizes size) {
  return [=] {
    auto state = std::make_shared<Mechanism>(flags);
    return variant([=](slice& out) {
      run_batches(size, out, [&] {
        state->post();
        state->take_one();
      });
    });
  };
}

bench_case same_thread(const char* name, int flags, double target) {
  return {name, [=](context& ctx) {
            pin_to_last();
            comparison row;
            row.name = name;
            row.subject =
                flags != 0 ? "port_send + port_get, private port" : "port_send + port_get";
            row.baseline = "eventfd write + epoll_wait + read";
            row.target = target;
            row.repetitions = 300;
            const batch_sizes size = ctx.sized(batch_sizes{4, 200}, batch_sizes{2, 20, 0});
            row.ours = post_and_take<event_port>(flags, size);
            row.base = post_and_take<event_descriptor>(flags, size);
            ctx.compare(row);
          }};
}

// --- a stream to another thread or process --------------------------------------------------------

// A producer sleeps while it is not its turn, or it would take the processor from the other mechanism's.
struct gate {
  sem_t asked;  // for a stream, or for an end
  std::atomic<bool> stop{false};
};

template <class Mechanism>
void produce(Mechanism& to, gate& g, int events, int cpu) {
  pin_to(cpu);
  for (;;) {
    while (::sem_wait(&g.asked) != 0) {
    }
    if (g.stop.load(std::memory_order_acquire)) return;
    for (int i = 0; i < events; ++i) to.post();
  }
}

template <class Mechanism>
class stream {
 public:
  stream(int flags, int events, bool process, int own_cpu, int other_cpu)
      : events_(events), mechanism_(flags) {
    void* p =
        ::mmap(nullptr, sizeof(gate), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) fail("mmap");
    gate_ = ::new (p) gate;
    check(::sem_init(&gate_->asked, 1, 0), "sem_init");
    pin_to(own_cpu);
    if (!process) {
      thread_ = std::thread([=, this] { produce(mechanism_, *gate_, events_, other_cpu); });
      return;
    }
    child_ = check(::fork(), "fork");
    if (child_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody else would wake it
    produce(mechanism_, *gate_, events_, other_cpu);
    ::_exit(0);
  }
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  ~stream() {
    gate_->stop = true;
    ::sem_post(&gate_->asked);
    if (thread_.joinable()) thread_.join();
    if (child_ > 0) ::waitpid(child_, nullptr, 0);
    ::munmap(gate_, sizeof *gate_);
  }

  // From the first event on: until then the producer wakes up.
  void run(slice& out) {
    check(::sem_post(&gate_->asked), "sem_post");
    auto got = static_cast<int>(mechanism_.take());
    const int timed = events_ - got;
    const std::int64_t start = now_ns();
    while (got < events_) got += static_cast<int>(mechanism_.take());
    out.add(now_ns() - start, static_cast<std::size_t>(std::max(timed, 1)));
  }

 private:
  const int events_;
  Mechanism mechanism_;
  gate* gate_;
  std::thread thread_;
  pid_t child_ = -1;
};

template <class Mechanism>
variant_factory stream_of(int events, bool process, const std::vector<int>& cpus) {
  return [=] {
    auto state =
        std::make_shared<stream<Mechanism>>(QUAY_PRIVATE, events, process, cpus[0], cpus[1]);
    return variant([=](slice& out) { state->run(out); });
  };
}

bench_case one_way(const char* name, bool process, double target) {
  return {name, [=](context& ctx) {
            const std::vector<int> cpus = allowed_cpus();
            if (cpus.size() < 2) return ctx.skip(name, "needs two processors");
            comparison row;
            row.name = name;
            row.subject = process ? "port_send to port_getn of another process, private port"
                                  : "port_send to port_getn of another thread, private port";
            row.baseline = "eventfd write to epoll_wait + read";
            row.target = target;
            row.repetitions = 60;
            const int events = ctx.sized(20000, 200);
            row.ours = stream_of<event_port>(events, process, cpus);
            row.base = stream_of<event_descriptor>(events, process, cpus);
            ctx.compare(row);
          }};
}

// --- associating again ----------------------------------------------------------------------------

class pipes {
 public:
  explicit pipes(int n) {
    for (int i = 0; i < n; ++i) {
      int ends[2];
      check(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), "pipe2");
      readers_.emplace_back(ends[0]);
      writers_.emplace_back(ends[1]);
    }
  }
  const std::vector<unique_fd>& readers() const { return readers_; }
  // Makes `n` of them ready, others each time.
  void write(int n) {
    for (int i = 0; i < n; ++i) {
      at_ = (at_ + 17) % writers_.size();
      if (::write(writers_[at_].get(), "x", 1) != 1) fail("write");
    }
  }

 private:
  std::vector<unique_fd> readers_;
  std::vector<unique_fd> writers_;
  std::size_t at_ = 0;
};

void read_byte(int fd) {
  char byte;
  if (::read(fd, &byte, 1) != 1) fail("read");
}

class associations {
 public:
  explicit associations(int n) : pipes_(n), port_(0) {
    for (const unique_fd& fd : pipes_.readers()) arm(fd.get());
  }
  void round(int ready, slice& out) {
    const std::int64_t begin = now_ns();
    pipes_.write(ready);
    const std::int64_t start = now_ns();
    for (int got = 0; got < ready;) {
      const unsigned n = port_.take();
      for (unsigned i = 0; i < n; ++i) {
        const int fd = static_cast<int>(port_.events()[i].portev_object);
        read_byte(fd);
        arm(fd);
      }
      got += static_cast<int>(n);
    }
    out.add(now_ns() - start, static_cast<std::size_t>(ready));
    out.add_rest(start - begin);
  }

 private:
  void arm(int fd) {
    check(
        ::port_associate(port_.get(), PORT_SOURCE_FD, static_cast<uintptr_t>(fd), POLLIN, nullptr),
        "port_associate");
  }
  pipes pipes_;
  event_port port_;
};

class one_shots {
 public:
  explicit one_shots(int n) : pipes_(n) {
    for (const unique_fd& fd : pipes_.readers())
      queue_.control(EPOLL_CTL_ADD, fd.get(), EPOLLIN | EPOLLONESHOT);
  }
  void round(int ready, slice& out) {
    const std::int64_t begin = now_ns();
    pipes_.write(ready);
    const std::int64_t start = now_ns();
    epoll_event events[64];
    for (int got = 0; got < ready;) {
      const auto n = static_cast<int>(queue_.get_events(events, 64, -1));
      for (int i = 0; i < n; ++i) {
        read_byte(events[i].data.fd);
        queue_.control(EPOLL_CTL_MOD, events[i].data.fd, EPOLLIN | EPOLLONESHOT);
      }
      got += n;
    }
    out.add(now_ns() - start, static_cast<std::size_t>(ready));
    out.add_rest(start - begin);
  }

 private:
  pipes pipes_;
  epoll_queue queue_;
};

template <class Mechanism>
variant_factory rounds_of(int descriptors, int ready) {
  return [=] {
    auto state = std::make_shared<Mechanism>(descriptors);
    return variant([=](slice& out) {
      for (int i = 0; i < 10; ++i) state->round(ready, out);
    });
  };
}

void associate_again(context& ctx) {
  pin_to_last();
  comparison row;
  row.name = "port.associate";
  row.subject = "port_getn, read, port_associate again; 1,000 descriptors, 50 ready";
  row.baseline = "epoll_wait, read, EPOLL_CTL_MOD with EPOLLONESHOT";
  row.target = 0.85;
  row.repetitions = 200;
  const int descriptors = ctx.sized(1000, 50);
  row.ours = rounds_of<associations>(descriptors, ctx.sized(50, 5));
  row.base = rounds_of<one_shots>(descriptors, ctx.sized(50, 5));
  ctx.compare(row);
}

// --- many ports -----------------------------------------------------------------------------------

void send_to_many(context& ctx) {
  pin_to_last();
  comparison row;
  row.name = "port.sendn";
  row.subject = "port_sendn to 100 private ports, per port";
  row.baseline = "100 eventfd writes";
  row.target = 0.2;
  constexpr int kPorts = 100;
  row.ours = [] {
    auto ports = std::make_shared<std::vector<std::unique_ptr<event_port>>>();
    auto numbers = std::make_shared<std::vector<int>>();
    for (int i = 0; i < kPorts; ++i) {
      ports->push_back(std::make_unique<event_port>(QUAY_PRIVATE));
      numbers->push_back(ports->back()->get());
    }
    return variant([=](slice& out) {
      for (int i = 0; i < 20; ++i) {
        const std::int64_t start = now_ns();
        if (::port_sendn(numbers->data(), nullptr, kPorts, 1, nullptr) != kPorts)
          fail("port_sendn");
        out.add(now_ns() - start, kPorts);
        for (auto& port : *ports) port->take_one();
      }
    });
  };
  row.base = [] {
    auto counters = std::make_shared<std::vector<unique_fd>>();
    for (int i = 0; i < kPorts; ++i)
      counters->emplace_back(check(eventfd(0, EFD_CLOEXEC), "eventfd"));
    return variant([=](slice& out) {
      for (int i = 0; i < 20; ++i) {
        const std::int64_t start = now_ns();
        for (const unique_fd& fd : *counters) {
          const std::uint64_t one = 1;
          if (::write(fd.get(), &one, sizeof one) != sizeof one) fail("write");
        }
        out.add(now_ns() - start, kPorts);
        for (const unique_fd& fd : *counters) {
          std::uint64_t count;
          if (::read(fd.get(), &count, sizeof count) != sizeof count) fail("read");
        }
      }
    });
  };
  ctx.compare(row);
}

// --- memory ---------------------------------------------------------------------------------------

long shared_pages() {
  std::ifstream in("/proc/self/statm");
  long size = 0;
  long resident = 0;
  long shared = 0;
  in >> size >> resident >> shared;
  return shared;
}

void memory_of_slots(context& ctx) {
  event_port port(QUAY_PRIVATE);
  port.post();
  const int events = ctx.sized(60000, 600);
  const long before = shared_pages();
  for (int i = 0; i < events; ++i) port.post();
  const double bytes =
      static_cast<double>((shared_pages() - before) * ::sysconf(_SC_PAGESIZE)) / events;
  ctx.report({"port.memory", "an event that is queued", "bytes", bytes, 128, ""});
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "Event ports against eventfd and epoll",
                    {same_thread("port.same_thread.private", QUAY_PRIVATE, 0.06),
                     same_thread("port.same_thread.pollable", 0, 0.5),
                     one_way("port.between_threads", false, 0.06),
                     one_way("port.between_processes", true, 0.10),
                     {"port.associate", associate_again},
                     {"port.sendn", send_to_many},
                     {"port.memory", memory_of_slots}});
}
