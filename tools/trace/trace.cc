// SPDX-License-Identifier: BSD-2-Clause
//
// What: where a trace goes: lines to standard error or a file, or counts to the ledger of `quay trace -c`.
// Ownership: the descriptors are the library's own and close on exec; those of a process that closes numbers it does
//            not know are lost, and the trace with them.
#include "traced.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace quay::trace {
namespace {

constexpr int kFirstNumber = 500;  // out of the way of a program that counts on low ones

int g_output = -1;
std::uint64_t g_start = 0;
ledger* g_ledger = nullptr;

int open_output() noexcept {
  int fd = STDERR_FILENO;
  const char* path = getenv(kOutputVariable);
  if (path != nullptr) fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return -1;
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, kFirstNumber);
  if (moved < 0) moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (path != nullptr) close(fd);
  return moved;
}

[[gnu::constructor]] void begin() {
  if (const char* start = getenv(kStartVariable); start != nullptr) {
    g_start = strtoull(start, nullptr, 10);
  }
  const char* number = getenv(kLedgerVariable);
  if (number == nullptr) {
    g_output = open_output();
    return;
  }
  void* memory = mmap(nullptr, sizeof(ledger), PROT_READ | PROT_WRITE, MAP_SHARED,
                      static_cast<int>(strtol(number, nullptr, 10)), 0);
  if (memory != MAP_FAILED) g_ledger = static_cast<ledger*>(memory);
}

void put(line& out) noexcept {
  const std::string_view text = out.finish();
  // Not write(): that is one of the calls that are traced.
  syscall(SYS_write, g_output, text.data(), text.size());
}

}  // namespace

thread_local int nesting::depth_ = 0;

std::uint64_t now() noexcept {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1000000000U + static_cast<std::uint64_t>(t.tv_nsec);
}

bool fetch(void* to, const void* from, std::size_t size) noexcept {
  const iovec local{to, size};
  const iovec remote{const_cast<void*>(from), size};
  return size == 0 || (from != nullptr && process_vm_readv(getpid(), &local, 1, &remote, 1, 0) ==
                                              static_cast<ssize_t>(size));
}

bool prints() noexcept { return g_output >= 0; }

void count(call which, bool failed, std::uint64_t nanoseconds) noexcept {
  if (g_ledger == nullptr) return;
  ledger::entry& e = g_ledger->entries[static_cast<std::size_t>(which)];
  e.calls.fetch_add(1, std::memory_order_relaxed);
  if (failed) e.errors.fetch_add(1, std::memory_order_relaxed);
  e.nanoseconds.fetch_add(nanoseconds, std::memory_order_relaxed);
}

void begin_line(line& out, std::uint64_t at, call which) noexcept {
  out << "[" << static_cast<long>(syscall(SYS_gettid)) << "] ";
  out.seconds(at - g_start) << " " << kCallNames[static_cast<std::size_t>(which)] << "(";
}

void end_line(line& out, long result, int error, line& results, std::uint64_t took) noexcept {
  out << " = " << result;
  if (error != 0) {
    const char* name = strerrorname_np(error);
    out << " " << (name != nullptr ? name : "?");
  }
  out << results << " <";
  out.seconds(took) << ">";
  put(out);
}

}  // namespace quay::trace
