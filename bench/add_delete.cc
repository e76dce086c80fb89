// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that adding and deleting a note on a descriptor costs little more than
//   EPOLL_CTL_ADD and EPOLL_CTL_DEL.
// Contract: two calls on both sides, one descriptor after another among kDescriptors idle ones;
//   the extra cases put add and delete into one changelist.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/channels.hpp"
#include "support/harness.hpp"
#include "support/queue.hpp"

namespace quay::bench {
namespace {

constexpr std::size_t kDescriptors = 64;

enum class calls { two, one };

struct shape {
  object_kind kind;
  int batches;
  privacy how = privacy::pollable;
  calls grouping = calls::two;
};

template <typename Mechanism>
variant_factory churn(shape what) {
  return [=] {
    auto channels = std::make_shared<std::vector<channel>>(make_channels(what.kind, kDescriptors));
    auto state = std::make_shared<Mechanism>(what);
    return variant([=](slice& out) {
      for (int i = 0; i < what.batches; ++i) {
        const std::int64_t start = now_ns();
        for (const channel& each : *channels) state->add_and_delete(each.reader.get());
        out.add(now_ns() - start, channels->size());
      }
    });
  };
}

class kqueue_notes {
 public:
  explicit kqueue_notes(shape what) : queue_(what.how), grouping_(what.grouping) {}
  void add_and_delete(int fd) {
    const auto ident = static_cast<std::uintptr_t>(fd);
    const struct kevent both[] = {change(ident, EVFILT_READ, EV_ADD),
                                  change(ident, EVFILT_READ, EV_DELETE)};
    if (grouping_ == calls::one) {
      queue_.apply(both, 2);
    } else {
      queue_.apply(both[0]);
      queue_.apply(both[1]);
    }
  }

 private:
  kernel_queue queue_;
  calls grouping_;
};

class epoll_registrations {
 public:
  explicit epoll_registrations(shape) {}
  void add_and_delete(int fd) {
    queue_.control(EPOLL_CTL_ADD, fd, EPOLLIN);
    queue_.control(EPOLL_CTL_DEL, fd, 0);
  }

 private:
  epoll_queue queue_;
};

bench_case make_case(const std::string& label, object_kind kind) {
  const std::string name = "register." + label;
  return {name, [=](context& ctx) {
            pin_to_last();
            shape what{kind, ctx.sized(4, 1)};
            comparison row;
            row.name = name;
            row.subject = "kevent EV_ADD, kevent EV_DELETE";
            row.baseline = "epoll_ctl ADD, epoll_ctl DEL";
            row.target = 1.15;
            row.repetitions = 500;
            row.ours = churn<kqueue_notes>(what);
            row.base = churn<epoll_registrations>(what);
            ctx.compare(row);
            if (!ctx.extra()) return;
            row.target.reset();
            what.how = privacy::exclusive;
            row.name = name + ".private";
            row.subject = "kevent EV_ADD, kevent EV_DELETE, private queue";
            row.ours = churn<kqueue_notes>(what);
            ctx.compare(row);
            what = {kind, what.batches, privacy::pollable, calls::one};
            row.name = name + ".one_call";
            row.subject = "EV_ADD and EV_DELETE in one kevent";
            row.ours = churn<kqueue_notes>(what);
            ctx.compare(row);
          }};
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(
      argc, argv, "Adding and deleting a descriptor against epoll_ctl",
      {make_case("unix", object_kind::unix_socket), make_case("pipe", object_kind::pipe)});
}
