// SPDX-License-Identifier: BSD-2-Clause
//
// What: what the hooks cost programs: close and dup2 of descriptors that no queue watches, through
//   the hooks library and straight through libc, with queues in use.
// Contract: a figure without a promised number. The baseline calls libc's functions by the address
//   that libc itself gives; a row is skipped when nothing stands in front of them.

#include <dlfcn.h>
#include <fcntl.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "support/harness.hpp"
#include "support/queue.hpp"

namespace quay::bench {
namespace {

using close_function = int (*)(int);
using dup2_function = int (*)(int, int);

struct libc {
  libc() : handle(dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD)) {
    if (handle == nullptr) throw std::runtime_error("libc.so.6 is not loaded");
  }
  template <typename Function>
  Function find(const char* name) const {
    return reinterpret_cast<Function>(dlsym(handle, name));
  }
  void* handle;
};

template <typename Function>
Function first_in_scope(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

// A queue that watches one descriptor, so that the hooks have something to look up.
struct watched {
  watched() {
    int ends[2];
    check(pipe2(ends, O_CLOEXEC), "pipe2");
    reader = unique_fd(ends[0]);
    source = unique_fd(ends[1]);
    queue.apply(change(static_cast<std::uintptr_t>(reader.get()), EVFILT_READ, EV_ADD));
  }
  kernel_queue queue;
  unique_fd reader;
  unique_fd source;  // what the operations duplicate; nobody watches it
};

template <typename Operation>
variant repeated(batch_sizes size, Operation operation) {
  auto state = std::make_shared<watched>();
  return [=](slice& out) { run_batches(size, out, [&] { operation(state->source.get()); }); };
}

batch_sizes sizes_of(const context& ctx) {
  return ctx.sized(batch_sizes{5, 200}, batch_sizes{2, 20, 0});
}

void run_close(context& ctx) {
  pin_to_last();
  const auto raw = libc().find<close_function>("close");
  const auto hooked = first_in_scope<close_function>("close");
  if (raw == hooked) return ctx.skip("hooks.close", "no hooks library in front of libc");
  const batch_sizes size = sizes_of(ctx);
  const auto with = [size](close_function function) {
    return variant_factory([=] {
      return repeated(size,
                      [=](int source) { check(function(check(::dup(source), "dup")), "close"); });
    });
  };
  comparison row;
  row.name = "hooks.close";
  row.subject = "dup + close, hooked";
  row.baseline = "dup + close of libc";
  row.repetitions = 500;
  row.ours = with(hooked);
  row.base = with(raw);
  ctx.compare(row);
}

void run_dup2(context& ctx) {
  pin_to_last();
  const auto raw = libc().find<dup2_function>("dup2");
  const auto hooked = first_in_scope<dup2_function>("dup2");
  if (raw == hooked) return ctx.skip("hooks.dup2", "no hooks library in front of libc");
  const batch_sizes size = sizes_of(ctx);
  const auto with = [size](dup2_function function) {
    return variant_factory([=] {
      auto target =
          std::make_shared<unique_fd>(check(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open"));
      return repeated(size, [=](int source) { check(function(source, target->get()), "dup2"); });
    });
  };
  comparison row;
  row.name = "hooks.dup2";
  row.subject = "dup2 onto an open descriptor, hooked";
  row.baseline = "dup2 of libc";
  row.repetitions = 500;
  row.ours = with(hooked);
  row.base = with(raw);
  ctx.compare(row);
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "close and dup2 through the hooks against libc's",
                    {{"hooks.close", run_close}, {"hooks.dup2", run_dup2}});
}
