// SPDX-License-Identifier: BSD-2-Clause
//
// What: an asynchronous request on its way, and the wish to be told of an end.
// Invariants:
//   1. token is the request's own while it is under way and 0 otherwise: a control block that holds
//      it is in progress.
//   2. A request is in its engine's flight list, in the order of submission, from before it begins
//      until its result is known.
// Ownership: slots of the engine's arena; parts is allocated for vectored requests only, and freed
//            with the request.
// Locking: the engine's mutex guards prev, next and stage; a worker's the link of its queue; the
//          rest is the submitter's until the request begins and then its worker's.
#pragma once

#include <aio.h>
#include <sys/uio.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "core/completion.hpp"
#include "core/descriptors.hpp"
#include "core/slot.hpp"

namespace quay::aio {

class backend;

enum class operation : std::uint8_t { read, write, sync, data_sync };

constexpr bool is_sync(operation op) noexcept { return op >= operation::sync; }

// How the program wants to hear of the end of a request or of a list (struct sigevent).
struct notification {
  enum class way : std::uint8_t { none, signal, thread, target };

  way how = way::none;
  std::uint8_t target = 0;  // way::target: number of the engine's completion_target, from 1
  int signal = 0;
  int thread = 0;  // way::signal: the thread that gets it, 0: the process
  sigval value = {};
  void (*function)(sigval) = nullptr;
  const pthread_attr_t* attributes = nullptr;
  core::completion_order order = {};
  core::completion_ticket ticket = {};
};

enum class stage : std::uint8_t {
  held,   // waits for others on the same descriptor
  begun,  // handed to a worker
};

struct request {
  std::uint32_t generation = 0;
  std::atomic<std::uintptr_t> token{0};
  request* prev = nullptr;  // flight list
  request* next = nullptr;
  request* queued = nullptr;  // next in a worker's queue, or in a chain of those that are to begin
  core::slot_index list = core::kNil;
  operation op = operation::read;
  stage at = stage::held;
  bool stream = false;    // has no offset
  bool whole = false;     // a write that blocks: it ends when all is written
  bool ordered = false;   // must not overtake its like: streams, and writes that append
  bool polling = false;   // the ring waits until the stream is ready
  bool given_up = false;  // the ring was asked to: half done, it is over when the kernel returns it
  bool waiting = false;   // in a worker's queue
  bool by_thread = false;  // the kernel would make a thread for it
  int descriptor = -1;
  int part_count = 0;
  iovec single = {};
  iovec* parts = nullptr;  // what is still to be moved; &single unless vectored
  iovec* storage = nullptr;
  std::int64_t offset = 0;
  std::int64_t moved = 0;                   // bytes that were moved so far
  core::descriptor_owner* owner = nullptr;  // whose object the descriptor is; null: the kernel's
  std::uint64_t serial = 0;
  std::atomic<backend*> by{nullptr};  // whom it was handed to
  aiocb* block = nullptr;
  notification tell;

  std::size_t left() const noexcept {
    std::size_t bytes = 0;
    for (int i = 0; i < part_count; ++i) bytes += parts[i].iov_len;
    return bytes;
  }
  // Takes the first bytes off, which have been moved.
  void advance(long bytes) noexcept {
    moved += bytes;
    offset += bytes;
    while (bytes > 0) {
      const auto n = std::min(static_cast<std::size_t>(bytes), parts->iov_len);
      parts->iov_base = static_cast<char*>(parts->iov_base) + n;
      parts->iov_len -= n;
      bytes -= static_cast<long>(n);
      if (parts->iov_len == 0 && part_count > 1) {
        ++parts;
        --part_count;
      }
    }
  }
};

// A list whose end is to be told (lio_listio with LIO_NOWAIT).
struct list_record {
  std::uint32_t generation = 0;
  std::atomic<std::uint32_t> left{0};  // requests under way, and one while they are submitted
  notification tell;
};

}  // namespace quay::aio
