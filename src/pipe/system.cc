// SPDX-License-Identifier: BSD-2-Clause
//
// What: making, finding, closing and forking pipes; see system.hpp.
#include "pipe/system.hpp"

#include <fcntl.h>

#include <cerrno>
#include <new>

#include "core/growable.hpp"
#include "core/memory.hpp"
#include "host/sharing.hpp"
#include "pipe/wait.hpp"

namespace quay::pipe {

namespace {

std::atomic<system*> g_only{nullptr};  // for the hang-up thread's reports

std::uint64_t name_of(const subject& s) noexcept {
  return std::uint64_t{s.life} << 32 | (std::uint64_t{s.of->index} + 1) << 2 |
         static_cast<unsigned>(s.end);
}

long default_budget() noexcept {
  constexpr std::size_t kLeast = 512 * 1024;
  return static_cast<long>(std::max(host::physical_memory() / 64, kLeast));
}

}  // namespace

system::system(core::host& os, core::descriptor_table& descriptors, core::tunables& tune) noexcept
    : os_(os), descriptors_(descriptors), tune_(tune), sizes_(tune_, count_) {
  long unset = 0;
  tune_.maxpipekva.compare_exchange_strong(unset, default_budget());
  provide_locked();  // nobody else is here yet; where it is refused, the first pipe asks again
  g_only.store(this);
  descriptors_.enroll(*this);
}

// --- numbers --------------------------------------------------------------------------------------

system::entry* system::demand(int fd) noexcept {
  const auto n = static_cast<std::uint32_t>(fd);
  if (fd < 0 || n >> kChunkBits >= kChunks) return nullptr;
  if (entry* e = find(fd); e != nullptr) return e;
  constexpr std::size_t kBytes = sizeof(entry) << kChunkBits;
  auto* fresh = static_cast<entry*>(core::map_memory(kBytes));
  if (fresh == nullptr) return nullptr;
  entry* expected = nullptr;
  if (!chunks_[n >> kChunkBits].compare_exchange_strong(expected, fresh,
                                                        std::memory_order_acq_rel)) {
    core::unmap_memory(fresh, kBytes);
  }
  return find(fd);
}

template <class F>
void system::each_number(const pair& p, int end, F f) const noexcept {
  const side& s = p.sides[end];
  if (s.numbers.load(std::memory_order_relaxed) <= 1) {
    if (const int only = s.descriptor.load(std::memory_order_relaxed); only >= 0) f(only);
    return;
  }
  const std::uint64_t name =
      name_of({const_cast<pair*>(&p), p.life.load(std::memory_order_relaxed), end});
  for (std::uint32_t c = 0; c < kChunks; ++c) {
    const entry* chunk = chunks_[c].load(std::memory_order_acquire);
    if (chunk == nullptr) continue;
    for (std::uint32_t i = 0; i < 1u << kChunkBits; ++i) {
      if (chunk[i].load(std::memory_order_relaxed) == name)
        f(static_cast<int>(c << kChunkBits | i));
    }
  }
}

bool system::give_locked(int fd, pair& p, int end) noexcept {
  entry* e = demand(fd);
  if (e == nullptr || !descriptors_.assign(fd, *this)) return false;
  side& s = p.sides[end];
  e->store(name_of({&p, p.life.load(std::memory_order_relaxed), end}), std::memory_order_release);
  ++s.numbers;
  if (s.descriptor < 0) s.descriptor = fd;
  return true;
}

// --- making ---------------------------------------------------------------------------------------

bool system::provide_locked() noexcept {
  if (domain_ == nullptr) {
    void* memory = host::map_shared(kPage);
    if (memory == nullptr) return false;
    domain_ = ::new (memory) domain;
    sizes_.share(*domain_);
  }
  if (pairs_ == nullptr) {
    pairs_ = static_cast<pair*>(core::reserve_memory(kMostPairs * sizeof(pair)));
  }
  return pairs_ != nullptr;
}

pair* system::make_locked() noexcept {
  if (!provide_locked()) return nullptr;
  pair* p = free_;
  if (p != nullptr) {
    free_ = p->next_free;
  } else {
    if (made_ == kMostPairs) return nullptr;
    p = ::new (&pairs_[made_]) pair;
    p->index = made_++;
  }
  if (p->shared == nullptr) {
    if (slots_left_ == 0) {
      slots_ = static_cast<unsigned char*>(host::map_shared(kSlotsAtOnce * kSlot));
      slots_left_ = slots_ != nullptr ? kSlotsAtOnce : 0;
    }
    if (slots_left_ == 0) {
      p->next_free = free_;
      free_ = p;
      return nullptr;
    }
    p->shared = reinterpret_cast<shared_pipe*>(slots_);
    slots_ += kSlot;
    --slots_left_;
  }
  return p;
}

// Fresh contents for the pair's memory, and its share of the budget.
int system::equip(pair& p, bool nonblocking) noexcept {
  const auto now = [](const std::atomic<long>& t) {
    return static_cast<std::uint32_t>(t.load(std::memory_order_relaxed));
  };
  constants fixed{};
  fixed.pipe_buf = now(tune_.pipe_buf);
  fixed.small_size = budget::whole_pages(now(tune_.small_pipe_size));
  fixed.big_size = now(tune_.big_pipe_size);
  fixed.low_mark = now(tune_.pipe_size) / 3;
  const std::uint32_t forward = sizes_.allot(true, fixed);
  const std::uint32_t backward = forward != 0 ? sizes_.allot(false, fixed) : 0;
  if (backward == 0) {
    sizes_.give_back(forward);
    return ENOMEM;
  }
  shared_pipe& s = *::new (p.shared) shared_pipe;
  s.fixed = fixed;
  p.counted = true;
  s.made = host::coarse_wall();
  for (int e = 0; e < 2; ++e) {
    s.inode[e] = domain_->next_inode.fetch_add(1, std::memory_order_relaxed);
    s.nonblocking[e].store(nonblocking ? 1 : 0, std::memory_order_relaxed);
    s.to[e].changed.store(s.made, std::memory_order_relaxed);
    s.to[e].used.store(s.made, std::memory_order_relaxed);
    s.to[e].size.store(e == 0 ? forward : backward, std::memory_order_relaxed);
  }
  return 0;
}

int system::open(int fds[2], int flags) noexcept {
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) != 0) return -EINVAL;
  int made[2];
  if (const int error = host::make_kernel_pipe(made, flags); error != 0) return -error;
  int error = 0;
  {
    core::guard hold(lock_);
    pair* p = make_locked();
    error = p != nullptr ? equip(*p, (flags & O_NONBLOCK) != 0) : ENOMEM;
    if (error == 0 && give_locked(made[0], *p, 0) && give_locked(made[1], *p, 1)) {
      fds[0] = made[0];
      fds[1] = made[1];
      return 0;
    }
    if (p != nullptr && error != 0) {
      p->next_free = free_;
      free_ = p;
    }
  }
  // A number beyond what the tables hold: the descriptor limit would have to be above 16 million.
  if (error == 0) error = EMFILE;
  os_.discard(made[0]);
  os_.discard(made[1]);
  return -error;
}

// --- closing --------------------------------------------------------------------------------------

void system::closing(int fd) noexcept {
  subject was{};
  if (!look_up(fd, was)) return;
  entry& e = *find(fd);
  bool last = false;
  {
    core::guard hold(lock_);
    if (!look_up(fd, was) || was.stale()) {
      e.store(0);
      descriptors_.clear_owner(fd, *this);
      return;
    }
    side& s = was.own();
    last = --s.numbers == 0 && s.asleep == 0;
    if (s.watched && s.descriptor == fd) {
      watch_.forget(fd);
      s.watched = false;
    }
    if (last) {
      s.ending = true;
      s.descriptor = -1;
      if (was.memory().several.load() != 0) s.probe = host::other_side(fd, was.end == 0);
      e.store(name_of(was) | kLast);
    } else {
      e.store(0);
      if (s.numbers == 0) {
        s.descriptor = host::keep_alive(fd);
        s.lingering = true;
      } else if (s.descriptor == fd) {
        s.numbers.fetch_add(1);  // so that all are looked at
        each_number(*was.of, was.end, [&](int other) { s.descriptor = other; });
        s.numbers.fetch_sub(1);
      }
    }
    descriptors_.clear_owner(fd, *this);
  }
}

void system::closed(int fd) noexcept {
  entry* e = find(fd);
  std::uint64_t value = e != nullptr ? e->load(std::memory_order_acquire) : 0;
  if ((value & kLast) == 0 || !e->compare_exchange_strong(value, 0)) return;
  end_left({&pair_at(static_cast<std::uint32_t>(value >> 2 & 0x3fffffff) - 1),
            static_cast<std::uint32_t>(value >> 32), static_cast<int>(value & 1)});
}

void system::end_left(const subject& was) noexcept {
  pair& p = *was.of;
  int object = -1;
  if (was.memory().several.load() == 0) {
    end_gone(p, was.life, was.end);
  } else if (const int probe = was.own().probe; probe >= 0) {
    // Whoever else has the end open keeps its side of the kernel's pipe from hanging up.
    was.own().probe = -1;
    if (host::hung_up(probe)) end_gone(p, was.life, was.end);
    os_.discard(probe);
  }
  {
    core::guard hold(lock_);
    if (was.stale()) return;
    was.own().ending = false;
    for (const side& s : p.sides) {
      if (s.numbers != 0 || s.lingering || s.ending) return;
    }
    // Both ends have left the process. Of two threads that closed one each, the second comes here.
    p.life.store(p.life.load(std::memory_order_relaxed) + 1);
    object = std::exchange(p.object, -1);
  }
  // A program that closes whatever it finds may have closed this one, too.
  if (object >= 0 && host::is_object(object, kSlot)) os_.discard(object);
  recycle(p, object >= 0);
}

void system::recycle(pair& p, bool with_strangers) noexcept {
  // Calls of other threads that looked the pipe up before are in a ring's lock, or will find it stale
  // there.
  if (!core::alone()) {
    for (direction& d : p.shared->to) {
      {
        const host::biased_hold drained(d.writing);
      }
      { const host::biased_hold drained(d.reading); }
    }
  }
  if (with_strangers || p.shared->several.load() != 0) host::renew_shared(p.shared, kSlot);
  core::guard hold(lock_);
  p.next_free = free_;
  free_ = &p;
}

void system::end_gone(pair& p, std::uint32_t life, int end) noexcept {
  if (p.life.load(std::memory_order_relaxed) != life) return;
  shared_pipe& s = *p.shared;
  if (s.gone[end].load() != 0) return;
  bool heard[2];
  {
    // Under the lock no writer resizes, and the memory stays. If it is ours already, we are that
    // writer.
    const host::biased_hold hold(s.to[end].writing);
    if (p.life.load(std::memory_order_relaxed) != life || s.gone[end].exchange(1) != 0) return;
    direction& d = s.to[end];
    // What was left of a window goes with its readers; its writer counts it as written.
    if (d.has_window()) {
      d.head.store(d.window_end.load());
      d.taken.store(d.window_end.load());
    }
    d.eof.store(1);
    d.async_owner.store(0);  // who closes hears nothing of it
    if (p.counted) sizes_.give_back(d.size.load());
    s.to[1 - end].eof.store(1);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    // Still under the lock, which whoever recycles the pipe takes: afterwards it may be another.
    for (int e = 0; e < 2; ++e) {
      wake(s.to[e].readers);
      wake(s.to[e].writers);
      heard[e] = s.to[e].listening.load(std::memory_order_relaxed) != 0;
    }
  }
  for (int e = 0; e < 2; ++e) {
    if (heard[e]) tell_listeners(p, e, e);
  }
}

// --- sleeping -------------------------------------------------------------------------------------

system::advice system::enter_sleep(const subject& call, bool& counted) noexcept {
  const bool several = call.memory().several.load() != 0;
  side& s = call.own();
  {
    core::guard hold(lock_);
    if (call.stale()) return advice::look_again;
    // Who is watched for is known to be gone, or is not.
    if (!several || s.watched || call.memory().gone[1 - call.end].load() != 0 ||
        !host::hung_up(s.descriptor)) {
      if (host::is_nonblocking(s.descriptor)) return advice::refuse;
      if (!counted) ++s.asleep;
      counted = true;
      if (several && !s.watched) {
        s.watched = watch_.watch(s.descriptor, name_of(call), report_hangup) == 0;
      }
      return advice::sleep;
    }
  }
  end_gone(*call.of, call.life, 1 - call.end);
  return advice::look_again;
}

void system::leave(const subject& call) noexcept {
  int hidden = -1;
  {
    core::guard hold(lock_);
    side& s = call.own();
    if (--s.asleep == 0 && s.lingering) {
      hidden = s.descriptor.exchange(-1);
      s.lingering = false;
      s.ending = true;
      s.watched = false;
      if (call.memory().several.load() != 0) s.probe = host::other_side(hidden, call.end == 0);
    }
  }
  if (hidden < 0) return;
  watch_.forget(hidden);
  os_.discard(hidden);
  end_left(call);
}

void system::report_hangup(std::uint64_t name) {
  system& sys = *g_only.load();
  pair& p = sys.pair_at(static_cast<std::uint32_t>(name >> 2 & 0x3fffffff) - 1);
  const int own = static_cast<int>(name & 1);
  {
    core::guard hold(sys.lock_);
    if (p.life.load(std::memory_order_relaxed) != name >> 32) return;
    p.sides[own].watched = false;
  }
  sys.end_gone(p, static_cast<std::uint32_t>(name >> 32), 1 - own);
}

void system::notice_death(const subject& call, std::int64_t now) noexcept {
  if (call.outbound().changed.load(std::memory_order_relaxed) == now) return;
  const int fd = call.own().descriptor;
  if (fd >= 0 && host::hung_up(fd)) end_gone(*call.of, call.life, 1 - call.end);
}

// What strangers can write into may name anybody.
bool system::may_signal(const pair& p, int owner) const noexcept {
  core::guard hold(lock_);
  return p.object < 0 || owner == host::own_identity().pid;
}

void system::tell_listeners(pair& p, int end, int for_whom) noexcept {
  direction& d = p.shared->to[end];
  const std::uint32_t who = d.listening.load(std::memory_order_relaxed);
  if (const int owner = d.async_owner.load(std::memory_order_relaxed);
      (who & kAsync) != 0 && may_signal(p, owner)) {
    host::raise_sigio(owner);
  }
  if ((who & kObservers) == 0) return;
  each_number(p, end, [this](int fd) { descriptors_.changed(fd, false); });
  each_number(p, 1 - end, [this](int fd) { descriptors_.changed(fd, true); });
  const std::uint32_t awaited = for_whom == end ? kBytesAwaited : kRoomAwaited;
  if ((who & awaited) != 0 && p.shared->several.load(std::memory_order_relaxed) != 0 &&
      (d.listening.fetch_and(~awaited) & awaited) != 0) {
    ring_doorbell(p, for_whom);
  }
}

// Between processes the kernel pipe, one page long, carries a token: its being left there is an edge
// for who watches end 0, its being taken one for who watches end 1. Whether it is there means nothing:
// whoever rings makes the edge, by way of the side that he has not got if need be.
void system::ring_doorbell(const pair& p, int end) noexcept {
  core::guard hold(lock_);  // the numbers stay the pipe's until it is let go
  int side[2] = {p.sides[0].descriptor.load(), p.sides[1].descriptor.load()};
  if (side[0] < 0 && side[1] < 0) return;
  int opened = -1;
  const auto of = [&](int n) {
    if (side[n] < 0) opened = side[n] = host::other_side(side[1 - n], n == 1);
    return side[n];
  };
  if (end == 0) {
    if (!host::leave_token(of(1))) {
      host::take_tokens(of(0));
      host::leave_token(side[1]);
    }
  } else if (!host::take_tokens(of(0))) {
    host::leave_token(of(1));
    host::take_tokens(side[0]);
  }
  if (opened >= 0) os_.discard(opened);
}

// --- fork -----------------------------------------------------------------------------------------

void system::duplicated(int from, int to) noexcept {
  subject s{};
  if (!look_up(from, s)) return;
  core::guard hold(lock_);
  if (!look_up(from, s) || s.stale()) return;
  // quay_fcntl() in front of the hooks' fcntl() tells of a duplicate twice.
  if (subject known{}; look_up(to, known) && name_of(known) == name_of(s)) return;
  give_locked(to, *s.of, s.end);
}

void system::before_fork() noexcept {
  lock_.lock();
  for (std::uint32_t i = 0; i < made_; ++i) {
    pair& p = pairs_[i];
    for (const side& s : p.sides) {
      const int fd = s.descriptor.load();
      if (fd < 0 || p.shared->several.exchange(1) != 0) continue;
      host::shorten_kernel_pipe(fd);
    }
  }
}

void system::after_fork_in_parent() noexcept { lock_.unlock(); }

void system::after_fork_in_child() noexcept {
  lock_.reset_after_fork();
  core::guard hold(lock_);
  watch_.reset_after_fork();
  // Unused memory is the parent's to use.
  slots_left_ = 0;
  for (pair* p = free_; p != nullptr; p = p->next_free) p->shared = nullptr;
  for (std::uint32_t i = 0; i < made_; ++i) {
    for (side& s : pairs_[i].sides) {
      s.asleep = 0;
      s.watched = s.ending = false;
      if (std::exchange(s.lingering, false)) os_.discard(s.descriptor.exchange(-1));
    }
  }
}

}  // namespace quay::pipe
