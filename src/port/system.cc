// SPDX-License-Identifier: BSD-2-Clause
//
// What: the process's event ports; see system.hpp.
#include "port/system.hpp"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "core/file_locks.hpp"
#include "host/sharing.hpp"

namespace quay::port {
namespace {

// The slots of a port whose memory comes from another process.
constexpr std::uint32_t kOthers = UINT32_MAX;

}  // namespace

system::system(core::host& os, core::descriptor_table& descriptors, core::tunables& tune,
               core::counters& count, bool hooked) noexcept
    : env_{os, descriptors, tune, count, programs_, hooked}, timers_(os), queues_(os) {
  descriptors.enroll(*this);
}

// --- numbers --------------------------------------------------------------------------------------

system::entry* system::demand(int fd) noexcept {
  if (entry* e = find(fd); e != nullptr) return e;
  const auto n = static_cast<std::uint32_t>(fd);
  if (fd < 0 || n >> kChunkBits >= kChunks) return nullptr;
  void* memory = core::map_memory(kChunkEntries * sizeof(entry));
  if (memory == nullptr) return nullptr;
  auto* fresh = static_cast<entry*>(memory);
  for (std::uint32_t i = 0; i < kChunkEntries; ++i) ::new (static_cast<void*>(&fresh[i])) entry();
  entry* expected = nullptr;
  if (!chunks_[n >> kChunkBits].compare_exchange_strong(expected, fresh,
                                                        std::memory_order_acq_rel)) {
    core::unmap_memory(memory, kChunkEntries * sizeof(entry));
  }
  return find(fd);
}

bool system::give_locked(int fd, port& p, bool fresh) noexcept {
  entry* e = demand(fd);
  if (e == nullptr || !env_.descriptors.assign(fd, *this, fresh)) return false;
  if (p.numbers++ == 0) {
    ++open_;
    core::bump(env_.count.ports);
  }
  e->owner.store(&p, std::memory_order_release);
  return true;
}

// Closed unseen: a ring would go to the number's next owner.
void system::lose_locked(int fd) noexcept {
  if (port* p = at(fd); p != nullptr && p->numbers == 1) p->renumber(-1);
  take_locked(fd);
}

// The number is no port any more. What it was, if that is closed by it.
port* system::take_locked(int fd) noexcept {
  entry* e = find(fd);
  port* p = e != nullptr ? e->owner.exchange(nullptr, std::memory_order_acq_rel) : nullptr;
  if (p == nullptr) return nullptr;
  env_.descriptors.clear_owner(fd, *this);
  if (--p->numbers == 0) {
    const std::uint64_t opening = p->opening();
    const bool last = p->close();
    if (departures_.reserve(departed_ + 1)) departures_[departed_++] = {opening, fd, last};
    --open_;
    env_.count.ports.fetch_sub(1, std::memory_order_relaxed);
    return p;
  }
  if (p->descriptor() != fd) return nullptr;
  for (int other = env_.descriptors.highest(); other >= 0; --other) {
    if (at(other) != p) continue;
    p->renumber(other);
    break;
  }
  return nullptr;
}

void system::tell_departures() noexcept {
  for (;;) {
    departure next{};
    {
      core::guard hold(registry_);
      if (departed_ == 0) return;
      next = departures_[--departed_];
    }
    programs_.left(next.opening, next.fd, next.last);
  }
}

port* system::recycle_or_make_locked(std::uint32_t most_slots) noexcept {
  for (std::uint32_t k = 0; k < made_; ++k) {
    if (ports_[k]->is_recyclable(most_slots)) return ports_[k];
  }
  if (!ports_.reserve(made_ + 1)) return nullptr;
  // Not from the heap: what is never freed and hangs off mapped memory would look like a leak.
  void* place = core::map_memory(sizeof(port));
  if (place == nullptr) return nullptr;
  port* p = ::new (place) port(env_);
  ports_[made_++] = p;
  if (catalogue_ != nullptr) p->show(*catalogue_);
  return p;
}

int system::open(bool close_on_exec, bool private_port) noexcept {
  int fd = 0;
  {
    core::guard hold(registry_);
    fd = make_locked(close_on_exec, private_port);
  }
  tell_departures();
  return fd;
}

int system::make_locked(bool close_on_exec, bool private_port) noexcept {
  if (open_ >= env_.tune.port_max_ids.load(std::memory_order_relaxed)) return -EAGAIN;
  const long most = std::min(env_.tune.port_max_events.load(std::memory_order_relaxed),
                             static_cast<long>(kMostSlots));
  const auto slots = static_cast<std::uint32_t>(most);
  port* p = recycle_or_make_locked(slots);
  if (p == nullptr) return -ENOMEM;
  const int fd = p->open(close_on_exec, !private_port, slots);
  if (fd < 0) return fd;
  lose_locked(fd);
  if (give_locked(fd, *p)) return fd;
  p->close();
  env_.os.discard(fd);
  return -ENOMEM;
}

void system::duplicated(int from, int to) noexcept {
  core::guard hold(registry_);
  port* p = at(from);
  if (p == nullptr || at(to) == p) return;
  lose_locked(to);
  give_locked(to, *p);
}

port* system::adopt(int fd) noexcept {
  if (fd < 0 || !env_.os.is_set(fd)) return nullptr;
  env_.descriptors.await_close(env_.os, fd);
  core::guard hold(registry_);
  if (port* p = at(fd); p != nullptr) return p;         // opened since the caller looked
  if (env_.descriptors.is_closing(fd)) return nullptr;  // it has been taken from its port
  for (std::uint32_t k = 0; k < made_; ++k) {
    if (!ports_[k]->is_open() || !env_.os.is_same_file(fd, ports_[k]->descriptor())) continue;
    return give_locked(fd, *ports_[k], false) ? ports_[k] : nullptr;
  }
  return nullptr;
}

port* system::opened_as(std::uint64_t opening) noexcept {
  core::guard hold(registry_);
  for (std::uint32_t k = 0; k < made_; ++k) {
    if (ports_[k]->is_open() && ports_[k]->opening() == opening) return ports_[k];
  }
  return nullptr;
}

// --- passing --------------------------------------------------------------------------------------

int system::send_port(int socket, int fd) noexcept {
  core::guard hold(registry_);
  port* p = at(fd);
  if (p == nullptr) return why_not(fd);
  p->will_fork();
  const int both[] = {fd, p->memory()};
  return host::send_descriptors(socket, kMagic, both, 2);
}

int system::receive_port(int socket) noexcept {
  int both[2] = {-1, -1};
  std::uint64_t mark = 0;
  const int came = host::receive_descriptors(socket, mark, both, 2);
  if (came < 0) return came;
  int error = came == 2 && mark == kMagic && env_.os.is_set(both[0]) ? 0 : EBADMSG;
  if (error == 0) {
    core::guard hold(registry_);
    port* known = nullptr;
    for (std::uint32_t k = 0; k < made_ && known == nullptr; ++k) {
      if (ports_[k]->is_open() && host::is_same_object(ports_[k]->memory(), both[1])) {
        known = ports_[k];
      }
    }
    port* p = known != nullptr ? known : recycle_or_make_locked(kOthers);
    error = p == nullptr ? ENOMEM : known != nullptr ? 0 : p->open_received(both[0], both[1]);
    if (error == 0) {
      lose_locked(both[0]);
      if (known != nullptr) env_.os.discard(both[1]);
      if (give_locked(both[0], *p)) return both[0];
      error = ENOMEM;
    }
  }
  for (int i = 0; i < came; ++i) env_.os.discard(both[i]);
  return -error;
}

// --- file operations ------------------------------------------------------------------------------

// A number that was closed unseen (unhooked, or by the system call itself) may mean anything by now.
port* system::meant_by(int fd) noexcept {
  port* p = at(fd);
  if (p == nullptr || env_.os.is_set(fd)) return p;
  {
    core::guard hold(registry_);
    if (env_.os.is_set(fd)) return at(fd);  // meanwhile another port has got it
    lose_locked(fd);
  }
  tell_departures();
  return nullptr;
}

long system::read(int fd, const iovec*, int) noexcept {
  return meant_by(fd) != nullptr ? -EBADF : kAskKernel;
}
long system::write(int fd, const iovec*, int) noexcept {
  return meant_by(fd) != nullptr ? -EBADF : kAskKernel;
}

int system::stat(int fd, struct stat& out) noexcept {
  port* p = meant_by(fd);
  if (p == nullptr) return kAskKernel;
  port::figures f{};
  if (p->examine(f) != 0) return -EBADF;
  constexpr mode_t kPortType = 0xE000;
  out = {};
  out.st_mode = kPortType;
  out.st_nlink = 1;
  out.st_uid = f.uid;
  out.st_gid = f.gid;
  out.st_size = f.queued;
  out.st_atim = out.st_mtim = out.st_ctim = {static_cast<time_t>(f.created / 1000000000),
                                             static_cast<long>(f.created % 1000000000)};
  return 0;
}

int system::ioctl(int fd, unsigned long, void*) noexcept {
  return meant_by(fd) != nullptr ? -ENOTTY : kAskKernel;
}

int system::fcntl(int fd, int command, void*) noexcept {
  return core::is_file_lock(command) && meant_by(fd) != nullptr ? -EOPNOTSUPP : kAskKernel;
}

int system::poll(int fd, short events) noexcept {
  port* p = meant_by(fd);
  if (p == nullptr) return kAskKernel;
  port::figures f{};
  if (p->examine(f) != 0) return -EBADF;
  short ready = 0;
  if (f.queued > 0) ready |= POLLIN | POLLRDNORM;
  if (f.used < f.most) ready |= POLLOUT;
  ready &= events;
  return ready != 0 ? ready : kAskKernel;  // which sees and tells of the bell
}

int system::answer(int fd, core::file_call what) noexcept {
  port* p = what == core::file_call::epoll ? at(fd) : nullptr;
  if (p != nullptr) p->leave_no_bell();
  return kAskKernel;
}

void system::changed(int fd) noexcept {
  core::guard hold(registry_);
  for (std::uint32_t k = 0; k < made_; ++k) {
    if (ports_[k]->is_open()) ports_[k]->look_at(fd);
  }
}

// --- closing --------------------------------------------------------------------------------------

void system::closing(int fd) noexcept {
  port* ended = nullptr;
  std::uint64_t opening = 0;
  {
    core::guard hold(registry_);
    ended = take_locked(fd);
    if (ended != nullptr) opening = ended->opening();
    for (std::uint32_t k = 0; k < made_; ++k) {
      if (ports_[k]->is_open()) ports_[k]->forget(fd);
    }
  }
  if (ended != nullptr) ended->see_waiters_off(opening);
}

void system::closed_before(int fd) noexcept {
  meant_by(fd);
  closed(fd);
}

void system::closed(int fd) noexcept {
  {
    core::guard hold(registry_);
    for (std::uint32_t k = 0; k < made_; ++k) {
      if (ports_[k]->is_open()) ports_[k]->verify(fd);
    }
  }
  tell_departures();
}

system::totals system::sum() noexcept {
  totals t{};
  core::guard hold(registry_);
  t.ports = static_cast<std::uint64_t>(open_);
  for (std::uint32_t k = 0; k < made_; ++k) {
    port::figures f{};
    // To look at a port must not make this process one of its users.
    if (ports_[k]->me() == kNobody || ports_[k]->examine(f) != 0) continue;
    t.queued += f.queued;
    t.waiters += f.waiters;
    t.denied += f.denied;
    t.sent += f.sent;
    t.delivered += f.delivered;
    t.cancelled += f.cancelled;
    t.refused += f.refused;
  }
  return t;
}

// --- fork -----------------------------------------------------------------------------------------

void system::before_fork() noexcept {
  timers_.before_fork();
  queues_.before_fork();
  programs_.before_fork();
  registry_.lock();
  for (std::uint32_t k = 0; k < made_; ++k) ports_[k]->will_fork();
}

void system::after_fork_in_parent() noexcept {
  registry_.unlock();
  programs_.after_fork_in_parent();
  queues_.after_fork_in_parent();
  timers_.after_fork_in_parent();
}

// The child uses the same ports; it is entered in their tables when it first does.
void system::after_fork_in_child() noexcept {
  registry_.reset_after_fork();
  departed_ = 0;
  programs_.after_fork_in_child();
  queues_.after_fork_in_child();
  timers_.after_fork_in_child();
  for (std::uint32_t k = 0; k < made_; ++k) ports_[k]->forked_in_child();
}

}  // namespace quay::port
