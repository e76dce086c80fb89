// SPDX-License-Identifier: BSD-2-Clause
//
// What: kqueue beside the loops of libevent, libuv and libev, on the work of level.cc and clear.cc: 1,000 sockets are
//   watched and 50 get a byte. No promise: they are other interfaces, most of them above the same epoll.
// Contract: none of them counts the bytes that there are to read, so neither does kqueue here.

#include "loops/loop.hpp"
#include "support/readers.hpp"

namespace quay::bench {
namespace {

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

template <std::uint16_t Flags>
bench_case beside(const std::string& name, const std::string& library, loop_maker make) {
  return {name, [=](context& ctx) {
            pin_to_last();
            raise_descriptor_limit();
            const round_sizes sizes = sizes_of_rounds(ctx);
            comparison row;
            row.name = name;
            row.subject =
                std::string("kqueue ") + (Flags == 0 ? "level" : "EV_CLEAR") + ", QUAY_NOTE_NODATA";
            row.baseline = library + (Flags == 0 ? "" : ", EV_ET");
            row.repetitions = 500;
            row.ours = rounds_of<kqueue_reader<Flags, false>>(sizes, object_kind::unix_socket);
            row.base = rounds_of<foreign_side>(sizes, object_kind::unix_socket, make);
            ctx.compare(row);
          }};
}

std::vector<bench_case> cases() {
  std::vector<bench_case> all;
#ifdef QUAY_BENCH_LIBEVENT
  all.push_back(beside<0>("loop.libevent.level", libevent_version(), libevent_level));
  all.push_back(beside<EV_CLEAR>("loop.libevent.edge", libevent_version(), libevent_edge));
#endif
#ifdef QUAY_BENCH_LIBUV
  all.push_back(beside<0>("loop.libuv.level", libuv_version(), libuv_level));
#endif
#ifdef QUAY_BENCH_LIBEV
  all.push_back(beside<0>("loop.libev.level", libev_version(), libev_level));
#endif
  return all;
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "EVFILT_READ beside the loops of other libraries", cases());
}
