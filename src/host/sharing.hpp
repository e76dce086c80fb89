// SPDX-License-Identifier: BSD-2-Clause
//
// What: what processes that share memory ask of the system: the memory, sleeping on a word of it,
//       whether another process lives, and handing descriptors over a socket.
// Contract: functions return 0 or an errno, or a value that cannot be negative with -errno for
//           failure; none touches the caller's errno.
// Ownership: the caller closes the descriptors that it is given.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace quay::host {

// A memory object of `bytes` zeroes, as a close-on-exec descriptor; its size is for good.
int memory_create(const char* name, std::size_t bytes) noexcept;
std::size_t memory_size(int memory) noexcept;  // 0: no memory object, or one that may shrink
void* memory_map(int memory, std::size_t bytes) noexcept;
void memory_unmap(void* base, std::size_t bytes) noexcept;
// Gives the pages back; they read as zeroes from now on.
void memory_empty(void* base, std::size_t bytes) noexcept;
bool is_same_object(int a, int b) noexcept;  // by device and inode

// Sleeps while word == expected, up to `timeout` ns: 0, ETIMEDOUT, EAGAIN or, always after a signal
// handler ran, EINTR.
int sleep_on_shared(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                    std::int64_t timeout) noexcept;
// The same, and a point of cancellation.
int await_on_shared(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t timeout);
void wake_sleeper(std::atomic<std::uint32_t>& word) noexcept;
void wake_all_sleepers(std::atomic<std::uint32_t>& word) noexcept;

struct identity {
  pid_t pid;
  std::uint64_t birth;
};
identity own_identity() noexcept;
uid_t own_uid() noexcept;
gid_t own_gid() noexcept;
// When a process was born, in the kernel's ticks; 0 when there is no such process or it is dead and
// merely not buried.
std::uint64_t birth_of(pid_t pid) noexcept;
// Whether `fd` is the same open file in both processes: 1 yes, 0 no, -1 the kernel does not tell.
int shares_file(pid_t other, int fd) noexcept;

// One message with `n` descriptors. receive: stores as many as came, at most n, and returns them.
int send_descriptors(int socket, std::uint64_t mark, const int* fds, int n) noexcept;
int receive_descriptors(int socket, std::uint64_t& mark, int* fds, int n) noexcept;

}  // namespace quay::host
