// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that the C++ face costs what the C calls under it cost; and, without a promise, what a C++ program pays
//   that comes from epoll.
// Contract: user events and readable sockets are fetched and told apart by their kind: by quay::kqueue, typed events and
//   visit(), or by kevent(), EV_SET and a switch. The same library does the same work below both.

#include <quay/kqueue.hpp>

#include <array>
#include <memory>
#include <stdexcept>

#include "support/rounds.hpp"

namespace quay::bench {
namespace {

class by_face {
 public:
  by_face() { queue_.add(user(1)); }
  void turn() {
    queue_.trigger(1);
    for (const quay::event& e : queue_.poll(room_)) {
      seen_ += e.visit([](const user_event& u) { return u.id(); },
                       [](const timer_event& t) { return t.expirations(); },
                       [](const readable_event& r) { return static_cast<std::uintptr_t>(r.fd()); },
                       [](const auto&) { return std::uintptr_t{0}; });
    }
  }
  std::uintptr_t seen() const { return seen_; }

 private:
  quay::kqueue queue_;
  std::array<quay::event, 16> room_;
  std::uintptr_t seen_ = 0;
};

class by_calls {
 public:
  by_calls() : queue_(privacy::exclusive) {
    queue_.apply(bench::change(1, EVFILT_USER, EV_ADD | EV_CLEAR));
  }
  void turn() {
    queue_.apply(bench::change(1, EVFILT_USER, EV_KEEPUDATA, NOTE_TRIGGER));
    const std::size_t count = queue_.get_events(room_.data(), room_.size(), &kNoWait);
    for (std::size_t i = 0; i < count; ++i) {
      const struct ::kevent& e = room_[i];
      if (e.flags & EV_ERROR) throw std::runtime_error("EV_ERROR");
      switch (e.filter) {
        case EVFILT_USER:
        case EVFILT_READ:
          seen_ += e.ident;
          break;
        case EVFILT_TIMER:
          seen_ += static_cast<std::uintptr_t>(e.data);
          break;
        default:
          break;
      }
    }
  }
  std::uintptr_t seen() const { return seen_; }

 private:
  kernel_queue queue_;
  std::array<struct ::kevent, 16> room_;
  std::uintptr_t seen_ = 0;
};

template <class Mechanism>
variant_factory turns(int batches, int per_batch) {
  return [=] {
    auto state = std::make_shared<Mechanism>();
    return variant([=](slice& out) {
      for (int i = 0; i < batches; ++i) {
        const std::uintptr_t before = state->seen();
        const std::int64_t start = now_ns();
        for (int j = 0; j < per_batch; ++j) state->turn();
        out.add(now_ns() - start, static_cast<std::size_t>(per_batch));
        if (state->seen() - before != static_cast<std::uintptr_t>(per_batch)) {
          throw std::runtime_error("an event is missing");
        }
      }
    });
  };
}

// --- readable sockets -----------------------------------------------------------------------------

class read_by_face {
 public:
  explicit read_by_face(const std::vector<channel>& channels) {
    static_cast<void>(queue_.native_handle());  // pollable, as the other sides are
    for (const channel& each : channels) queue_.add(readable(each.reader.get()));
  }
  std::size_t consume() {
    std::size_t count = 0;
    for (const quay::event& e : queue_.wait(room_)) {
      count += e.visit(
          [](const readable_event& r) {
            read_byte(r.fd());
            return std::size_t{1};
          },
          [](const auto&) { return std::size_t{0}; });
    }
    return count;
  }

 private:
  quay::kqueue queue_;
  std::array<quay::event, kMaxEvents> room_;
};

class read_by_calls {
 public:
  explicit read_by_calls(const std::vector<channel>& channels) {
    for (const channel& each : channels) {
      queue_.apply(bench::change(static_cast<std::uintptr_t>(each.reader.get()), EVFILT_READ,
                                 EV_ADD, QUAY_NOTE_NODATA));
    }
  }
  std::size_t consume() {
    const std::size_t count = queue_.get_events(room_.data(), room_.size(), nullptr);
    for (std::size_t i = 0; i < count; ++i) {
      if (room_[i].filter == EVFILT_READ) read_byte(static_cast<int>(room_[i].ident));
    }
    return count;
  }

 private:
  kernel_queue queue_;
  std::array<struct ::kevent, kMaxEvents> room_;
};

class read_by_epoll {
 public:
  explicit read_by_epoll(const std::vector<channel>& channels) {
    for (const channel& each : channels) queue_.control(EPOLL_CTL_ADD, each.reader.get(), EPOLLIN);
  }
  std::size_t consume() {
    const std::size_t count = queue_.get_events(room_.data(), room_.size(), -1);
    for (std::size_t i = 0; i < count; ++i) read_byte(room_[i].data.fd);
    return count;
  }

 private:
  epoll_queue queue_;
  std::array<epoll_event, kMaxEvents> room_;
};

void compare_reads(context& ctx) {
  pin_to_last();
  raise_descriptor_limit();
  const round_sizes sizes = sizes_of_rounds(ctx);
  comparison row;
  row.name = "face.read.calls";
  row.subject = "quay::kqueue: wait, visit; 1,000 sockets, 50 ready";
  row.baseline = "kevent(): get, compare filter";
  row.target = 1.02;
  row.repetitions = 500;
  row.ours = rounds_of<read_by_face>(sizes, object_kind::unix_socket);
  row.base = rounds_of<read_by_calls>(sizes, object_kind::unix_socket);
  ctx.compare(row);
  row.name = "face.read.epoll";
  row.baseline = "epoll LT";
  row.target.reset();
  row.base = rounds_of<read_by_epoll>(sizes, object_kind::unix_socket);
  ctx.compare(row);
}

// --- user events ----------------------------------------------------------------------------------

void compare_turns(context& ctx) {
  pin_to_last();
  comparison row;
  row.name = "face.user";
  row.subject = "quay::kqueue: trigger, poll, visit";
  row.baseline = "kevent(): trigger, get, switch";
  row.target = 1.02;
  row.repetitions = 500;
  row.ours = turns<by_face>(4, ctx.sized(200, 20));
  row.base = turns<by_calls>(4, ctx.sized(200, 20));
  ctx.compare(row);
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "The C++ face against the C calls under it",
                    {{"face.user", compare_turns}, {"face.read", compare_reads}});
}
