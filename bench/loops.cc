// SPDX-License-Identifier: BSD-2-Clause
//
// What: kqueue beside the loops of libevent, libuv and libev, on the work of level.cc and clear.cc: 1,000 sockets are
//   watched and 50 get a byte. No promise: they are other interfaces, most of them above the same epoll.
// Contract: none of them counts the bytes that there are to read, so neither does kqueue here.

#include <array>

#include "loops/loop.hpp"
#include "support/rounds.hpp"

namespace quay::bench {
namespace {

class kqueue_side {
 public:
  kqueue_side(const std::vector<channel>& channels, unsigned how) {
    for (const channel& each : channels) {
      queue_.apply(change(static_cast<std::uintptr_t>(each.reader.get()), EVFILT_READ, EV_ADD | how,
                          QUAY_NOTE_NODATA));
    }
  }
  std::size_t consume() {
    const std::size_t count = queue_.get_events(events_.data(), events_.size(), nullptr);
    for (std::size_t i = 0; i < count; ++i) read_byte(static_cast<int>(events_[i].ident));
    return count;
  }

 private:
  kernel_queue queue_;
  std::array<struct kevent, kMaxEvents> events_;
};

class foreign_side {
 public:
  foreign_side(const std::vector<channel>& channels, loop_maker make) {
    std::vector<int> readers;
    for (const channel& each : channels) readers.push_back(each.reader.get());
    loop_ = make(readers);
  }
  std::size_t consume() { return loop_->consume(); }

 private:
  std::unique_ptr<foreign_loop> loop_;
};

bench_case beside(const std::string& name, const std::string& library, unsigned how,
                  loop_maker make) {
  return {name, [=](context& ctx) {
            pin_to_last();
            raise_descriptor_limit();
            const round_sizes sizes = sizes_of_rounds(ctx);
            comparison row;
            row.name = name;
            row.subject =
                std::string("kqueue ") + (how == 0 ? "level" : "EV_CLEAR") + ", QUAY_NOTE_NODATA";
            row.baseline = library + (how == 0 ? "" : ", EV_ET");
            row.repetitions = 500;
            row.ours = rounds_of<kqueue_side>(sizes, object_kind::unix_socket, how);
            row.base = rounds_of<foreign_side>(sizes, object_kind::unix_socket, make);
            ctx.compare(row);
          }};
}

std::vector<bench_case> cases() {
  std::vector<bench_case> all;
#ifdef QUAY_BENCH_LIBEVENT
  all.push_back(beside("loop.libevent.level", libevent_version(), 0, libevent_level));
  all.push_back(beside("loop.libevent.edge", libevent_version(), EV_CLEAR, libevent_edge));
#endif
#ifdef QUAY_BENCH_LIBUV
  all.push_back(beside("loop.libuv.level", libuv_version(), 0, libuv_level));
#endif
#ifdef QUAY_BENCH_LIBEV
  all.push_back(beside("loop.libev.level", libev_version(), 0, libev_level));
#endif
  return all;
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "EVFILT_READ beside the loops of other libraries", cases());
}
