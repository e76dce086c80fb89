// SPDX-License-Identifier: BSD-2-Clause
//
// What: the round that the four descriptor promises share: 1,000 channels are watched, 50 of them
//   get one byte each, and the consumer fetches the events, reads the byte and re-arms.
// Contract: the measured part is the consumer (wait + read + re-arm); the producer's writes are
//   the rest of the round. Both sides see the same sequence of channels.

#pragma once

#include <unistd.h>

#include <cstddef>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "channels.hpp"
#include "harness.hpp"
#include "queue.hpp"
#include "system.hpp"

namespace quay::bench {

inline constexpr std::size_t kMaxEvents = 64;

struct round_sizes {
  std::size_t channels;
  std::size_t ready;
  std::size_t rounds;
};

inline round_sizes sizes_of_rounds(const context& ctx) {
  return ctx.sized(round_sizes{1000, 50, 10}, round_sizes{20, 5, 2});
}

inline void read_byte(int fd) {
  char byte;
  if (::read(fd, &byte, 1) != 1) fail("read of a ready descriptor");
}

inline void write_byte(int fd) {
  if (::write(fd, "x", 1) != 1) fail("write of one byte");
}

// Draws `ready` different channels for each round from a fixed sequence.
class round_schedule {
 public:
  explicit round_schedule(std::size_t channels) : order_(channels) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
  }
  // Afterwards the first `ready` entries are the round's channels.
  const std::vector<std::size_t>& next(std::size_t ready) {
    for (std::size_t i = 0; i < ready; ++i) {
      std::swap(order_[i], order_[i + random_.below(order_.size() - i)]);
    }
    return order_;
  }

 private:
  quick_random random_;
  std::vector<std::size_t> order_;
};

// A consumer is constructed from the channels, and consume() waits once, reads the byte of every
// event it got, re-arms as its mechanism asks, and says how many events there were.
template <typename Consumer>
class rounds {
 public:
  template <typename... Args>
  rounds(round_sizes sizes, object_kind kind, Args... args)
      : sizes_(sizes),
        channels_(make_channels(kind, sizes.channels)),
        consumer_(channels_, args...),
        schedule_(sizes.channels) {}

  void run(slice& out) {
    for (std::size_t i = 0; i < sizes_.rounds; ++i) {
      const auto& order = schedule_.next(sizes_.ready);
      const std::int64_t start = now_ns();
      for (std::size_t j = 0; j < sizes_.ready; ++j) write_byte(channels_[order[j]].writer.get());
      const std::int64_t written = now_ns();
      std::size_t seen = 0;
      while (seen < sizes_.ready) seen += consumer_.consume();
      const std::int64_t consumed = now_ns();
      if (seen != sizes_.ready) throw std::runtime_error("more events than bytes");
      out.add_rest(written - start);
      out.add(consumed - written, sizes_.ready);
    }
  }

 private:
  round_sizes sizes_;
  std::vector<channel> channels_;
  Consumer consumer_;
  round_schedule schedule_;
};

template <typename Consumer, typename... Args>
variant_factory rounds_of(round_sizes sizes, object_kind kind, Args... args) {
  return [=] {
    auto state = std::make_shared<rounds<Consumer>>(sizes, kind, args...);
    return variant([state](slice& out) { state->run(out); });
  };
}

struct round_promise {
  std::string name;
  std::string subject;
  std::string baseline;
  std::optional<double> unix_and_pipe_target;
  std::optional<double> tcp_target;
  std::string note;
};

// A consumer that can be constructed from (channels, privacy).
template <typename Consumer>
inline constexpr bool can_be_private =
    std::is_constructible_v<Consumer, const std::vector<channel>&, privacy>;

// One case for each kind of object. The comparison of what can be private is repeated with a private queue when extras
// are asked for.
template <typename Ours, typename Base>
std::vector<bench_case> round_cases(const round_promise& promise) {
  const std::pair<const char*, object_kind> kinds[] = {
      {"unix", object_kind::unix_socket}, {"pipe", object_kind::pipe}, {"tcp", object_kind::tcp}};
  std::vector<bench_case> cases;
  for (const auto& [label, kind] : kinds) {
    const std::string name = promise.name + "." + label;
    cases.push_back({name, [=, kind = kind](context& ctx) {
                       pin_to_last();
                       raise_descriptor_limit();
                       const round_sizes sizes = sizes_of_rounds(ctx);
                       comparison row;
                       row.name = name;
                       row.subject = promise.subject;
                       row.baseline = promise.baseline;
                       row.note = promise.note;
                       row.target = kind == object_kind::tcp ? promise.tcp_target
                                                             : promise.unix_and_pipe_target;
                       row.repetitions = kind == object_kind::tcp ? 300 : 500;
                       row.base = rounds_of<Base>(sizes, kind);
                       if constexpr (can_be_private<Ours>) {
                         row.ours = rounds_of<Ours>(sizes, kind, privacy::pollable);
                         ctx.compare(row);
                         if (!ctx.extra()) return;
                         row.name = name + ".private";
                         row.subject = promise.subject + ", private queue";
                         row.target.reset();
                         row.ours = rounds_of<Ours>(sizes, kind, privacy::exclusive);
                       } else {
                         row.ours = rounds_of<Ours>(sizes, kind);
                       }
                       ctx.compare(row);
                     }});
  }
  return cases;
}

// Cases, and those that run only with --extra.
inline std::vector<bench_case> with_extras(std::vector<bench_case> cases,
                                           std::vector<bench_case> extras) {
  for (bench_case& each : extras) {
    each.extra = true;
    cases.push_back(std::move(each));
  }
  return cases;
}

}  // namespace quay::bench
