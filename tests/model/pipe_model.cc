// SPDX-License-Identifier: BSD-2-Clause
//
// What: random calls on a pipe, each compared with a small model of what the tables say.
// Contract: semantics/pipes-signalfd.md A2 (sizes, budget), A3, A4 (non-blocking), A6 (closing), A8, A9.
//           A failure names the seed of its round and every call of it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <quay/quay.h>
#include <signal.h>
#include <sys/event.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <string>
#include <vector>

#include "support/length.hpp"

namespace {

constexpr long kEdge = 131072;  // where the memory of a ring ends
constexpr long kPage = 4096;

// The byte at a position of a direction, so that a byte in the wrong place shows.
char byte_at(long position, int direction) {
  return static_cast<char>((position * 2654435761 + direction * 97) >> 16);
}

// --- the model ------------------------------------------------------------------------------------

struct settings {
  long pipe_buf;
  long small;
  long pipe;
  long big;
  long budget;
};

struct model_ring {
  long size = 0;
  long head = 0;
  long tail = 0;
  bool eof = false;
  long held() const { return tail - head; }
  long space() const { return std::max(size - held(), 0L); }
};

// `used` is what all pipes take before the call.
class model {
 public:
  model(const settings& s, long used) : set_(s) {
    to[0].size = used > s.budget / 2 ? s.small : s.pipe;
    to[1].size = s.small;
  }

  long write(int end, long n, long used) {
    model_ring& r = to[1 - end];
    if (r.eof) return -EPIPE;
    make_room(r, n, used);
    const long fits = std::min(n, r.space());
    if (n > 0 && (fits == 0 || (n <= set_.pipe_buf && fits < n))) return -EAGAIN;
    r.tail += fits;
    return fits;
  }
  // What reserving gives; committing k of it is written() by k.
  long reserve(int end, long n, long used) {
    model_ring& r = to[1 - end];
    if (r.eof) return -EPIPE;
    make_room(r, n, used);
    const long fits = std::min({n, r.space(), kEdge - r.tail % kEdge});
    return fits > 0 ? fits : -EAGAIN;
  }
  long read(int end, long n, long used) {
    if (n == 0) return 0;
    model_ring& r = to[end];
    shrink(r, used);
    if (r.held() == 0) return r.eof ? 0 : -EAGAIN;
    const long got = std::min(n, r.held());
    r.head += got;
    return got;
  }
  long peek(int end, long used) {
    model_ring& r = to[end];
    shrink(r, used);
    if (r.held() == 0) return r.eof ? 0 : -EAGAIN;
    return std::min(r.held(), kEdge - r.head % kEdge);
  }
  void close(int end) {
    gone[end] = true;
    to[0].eof = to[1].eof = true;
  }
  int poll(int end) const {
    const model_ring& in = to[end];
    const model_ring& out = to[1 - end];
    int mask = in.held() > 0 || in.eof ? POLLIN : 0;
    if (out.eof || out.space() >= set_.pipe_buf) mask |= POLLOUT;
    return in.eof && out.eof ? mask | POLLHUP : mask;
  }

  model_ring to[2];
  bool gone[2] = {false, false};

 private:
  void resize(model_ring& r, long wanted, long used) {
    const long fresh = (std::max(wanted, r.held()) + kPage - 1) / kPage * kPage;
    if (used + fresh <= set_.budget) r.size = fresh;
  }
  void make_room(model_ring& r, long n, long used) {
    long wanted = std::max(r.size, set_.small);
    while (wanted < r.held() + n && used <= set_.budget / 2 && wanted < set_.big) wanted *= 2;
    if (used > 3 * set_.budget / 4 && r.size > set_.small && r.held() <= set_.small) {
      wanted = set_.small;
    }
    if (wanted != r.size) resize(r, wanted, used);
  }
  void shrink(model_ring& r, long used) {
    if (used > 3 * set_.budget / 4 && r.size > set_.small && r.held() <= set_.small) {
      resize(r, set_.small, used);
    }
  }

  settings set_;
};

// --- the calls ------------------------------------------------------------------------------------

long outcome(long value) { return value >= 0 ? value : -errno; }
long used() { return quay_tunable_get("pipekva"); }

class round_of_calls {
 public:
  round_of_calls(const settings& s, unsigned seed) : set_(s), random_(seed), expect_(s, used()) {
    int fds[2];
    if (quay_pipe2(fds, O_NONBLOCK) != 0) ADD_FAILURE() << "quay_pipe2: " << errno;
    numbers_[0].push_back(fds[0]);
    numbers_[1].push_back(fds[1]);
  }
  ~round_of_calls() {
    for (auto& end : numbers_) {
      for (const int fd : end) quay_close(fd);
    }
  }
  round_of_calls(const round_of_calls&) = delete;
  round_of_calls& operator=(const round_of_calls&) = delete;

  const std::string& history() const { return history_; }

  // One call at either end; false at the first difference, or when both ends are closed.
  bool step() {
    const int end = below(2);
    if (numbers_[end].empty()) return !numbers_[1 - end].empty();
    switch (below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return write(end);
      case 5:
      case 6:
      case 7:
      case 8:
      case 9:
        return read(end);
      case 10:
        return look(end);
      case 11:
        return notes(end);
      case 12:
        return reserve(end);
      case 13:
        return peek(end);
      case 14:
        return duplicate(end);
      default:
        return below(8) != 0 || close(end);
    }
  }

 private:
  int below(long n) { return static_cast<int>(random_() % static_cast<unsigned long>(n)); }
  int any(int end) {
    return numbers_[end][static_cast<size_t>(below(static_cast<long>(numbers_[end].size())))];
  }
  // Around the sizes at which something changes, and everything between.
  long count() {
    const long edges[] = {0, 1, set_.pipe_buf, set_.small, set_.pipe, set_.big, 2 * set_.big};
    if (below(3) == 0) return std::max(edges[below(7)] + below(5) - 2, 0L);
    return below(2) == 0 ? below(300) : below(40'000);
  }

  bool agree(const char* call, int end, long n, long got, long wanted) {
    history_ += std::string(call) + "(" + std::to_string(end) + ", " + std::to_string(n) +
                ") = " + std::to_string(got) + "\n";
    if (got == wanted) return true;
    ADD_FAILURE() << call << "(" << end << ", " << n << ") gave " << got << ", the model "
                  << wanted;
    return false;
  }

  // Buffers in up to three parts.
  std::vector<iovec> parts(std::string& bytes) {
    std::vector<iovec> list;
    size_t at = 0;
    for (int left = below(3); left > 0 && at < bytes.size(); --left) {
      const size_t n = static_cast<size_t>(below(static_cast<long>(bytes.size() - at) + 1));
      list.push_back({bytes.data() + at, n});
      at += n;
    }
    list.push_back({bytes.data() + at, bytes.size() - at});
    return list;
  }
  void write_into(char* place, long n, int direction) const {
    for (long i = 0; i < n; ++i) place[i] = byte_at(expect_.to[direction].tail + i, direction);
  }
  bool is_right(const char* bytes, long n, long from, int direction) {
    for (long i = 0; i < n; ++i) {
      if (bytes[i] == byte_at(from + i, direction)) continue;
      ADD_FAILURE() << "wrong byte at " << from + i << " of direction " << direction;
      return false;
    }
    return true;
  }

  bool write(int end) {
    std::string bytes(static_cast<size_t>(count()), '\0');
    const long n = static_cast<long>(bytes.size());
    write_into(bytes.data(), n, 1 - end);
    const auto list = parts(bytes);
    const long before = used();
    const long got = outcome(quay_writev(any(end), list.data(), static_cast<int>(list.size())));
    return agree("write", end, n, got, expect_.write(end, n, before));
  }
  bool read(int end) {
    std::string bytes(static_cast<size_t>(count()), '\0');
    const long n = static_cast<long>(bytes.size());
    const auto list = parts(bytes);
    const long before = used();
    const long from = expect_.to[end].head;
    const long got = outcome(quay_readv(any(end), list.data(), static_cast<int>(list.size())));
    return agree("read", end, n, got, expect_.read(end, n, before)) &&
           is_right(bytes.data(), std::max(got, 0L), from, end);
  }
  bool reserve(int end) {
    const long n = std::max(count(), 1L);
    iovec room{};
    const int fd = any(end);
    const long before = used();
    const long got = outcome(quay_pipe_reserve(fd, static_cast<size_t>(n), &room));
    if (!agree("reserve", end, n, got, expect_.reserve(end, n, before))) return false;
    if (got <= 0) return true;
    const long k = below(got + 1);
    write_into(static_cast<char*>(room.iov_base), k, 1 - end);
    expect_.to[1 - end].tail += k;
    return agree("commit", end, k, outcome(quay_pipe_commit(fd, static_cast<size_t>(k))), k);
  }
  bool peek(int end) {
    iovec bytes{};
    const int fd = any(end);
    const long before = used();
    const long got = outcome(quay_pipe_peek(fd, &bytes));
    if (!agree("peek", end, 0, got, expect_.peek(end, before))) return false;
    if (got <= 0) return true;
    if (!is_right(static_cast<char*>(bytes.iov_base), got, expect_.to[end].head, end)) return false;
    const long k = below(got + 1);
    expect_.to[end].head += k;
    return agree("consume", end, k, outcome(quay_pipe_consume(fd, static_cast<size_t>(k))), k);
  }
  bool look(int end) {
    const int fd = any(end);
    int held = -1;
    quay_ioctl(fd, FIONREAD, &held);
    struct stat st {};
    quay_fstat(fd, &st);
    pollfd asked{fd, POLLIN | POLLOUT, 0};
    quay_poll(&asked, 1, 0);
    return agree("FIONREAD", end, 0, held, expect_.to[end].held()) &&
           agree("st_size", end, 0, st.st_size, held) &&
           agree("st_blocks", end, 0, st.st_blocks, (held + kPage - 1) / kPage) &&
           agree("poll", end, 0, asked.revents, expect_.poll(end));
  }
  // What a queue tells that watches the end from now on.
  bool notes(int end) {
    const int queue = kqueue();
    struct kevent change {};
    struct kevent event {};
    constexpr timespec kNow{0, 0};
    const model_ring& in = expect_.to[end];
    const model_ring& out = expect_.to[1 - end];
    const int fd = any(end);
    EV_SET(&change, fd, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, nullptr);
    const int read_told = kevent(queue, &change, 1, &event, 1, &kNow);
    bool same = agree("EVFILT_READ", end, 0, read_told, in.held() > 0 || in.eof ? 1 : 0);
    if (same && read_told == 1) {
      same = agree("data", end, 0, event.data, in.held()) &&
             agree("EV_EOF", end, 0, (event.flags & EV_EOF) != 0, in.eof);
    }
    EV_SET(&change, fd, EVFILT_WRITE, EV_ADD, 0, 0, nullptr);
    const long write_told = outcome(kevent(queue, &change, 1, nullptr, 0, nullptr));
    same = same && agree("EVFILT_WRITE", end, 0, write_told, expect_.gone[1 - end] ? -EPIPE : 0);
    if (same && write_told == 0) {
      const int n = kevent(queue, nullptr, 0, &event, 1, &kNow);
      same = agree("writable", end, 0, n, out.space() >= set_.pipe_buf ? 1 : 0) &&
             (n == 0 || agree("data", end, 0, event.data, out.space()));
    }
    quay_close(queue);
    return same;
  }
  bool duplicate(int end) {
    if (numbers_[end].size() > 3) return close(end);
    const int fd = quay_fcntl(any(end), F_DUPFD_CLOEXEC, 0);
    if (fd >= 0) numbers_[end].push_back(fd);
    return agree("dup", end, 0, fd >= 0, 1);
  }
  bool close(int end) {
    const int fd = numbers_[end].back();
    numbers_[end].pop_back();
    if (numbers_[end].empty()) expect_.close(end);
    return agree("close", end, static_cast<long>(numbers_[end].size()), quay_close(fd), 0);
  }

  const settings set_;
  std::minstd_rand random_;
  model expect_;
  std::vector<int> numbers_[2];
  std::string history_;
};

void play(const settings& s, unsigned salt) {
  signal(SIGPIPE, SIG_IGN);
  const std::pair<const char*, long> wanted[] = {{"pipe_buf", s.pipe_buf},
                                                 {"small_pipe_size", s.small},
                                                 {"pipe_size", s.pipe},
                                                 {"big_pipe_size", s.big},
                                                 {"maxpipekva", s.budget}};
  std::vector<long> before;
  for (const auto& [name, value] : wanted) {
    before.push_back(quay_tunable_get(name));
    ASSERT_EQ(quay_tunable_set(name, value), 0) << name;
  }
  const auto most = static_cast<long>(quay::test::model_operations(4));
  auto seed = static_cast<unsigned>(quay::test::model_seed()) * 1'000'003u + salt;
  for (long done = 0; done < most && !testing::Test::HasFailure(); ++seed) {
    round_of_calls round(s, seed);
    for (int i = 0; i < 400 && round.step(); ++i) ++done;
    ++done;
    if (testing::Test::HasFailure()) {
      ADD_FAILURE() << "round " << seed << ":\n" << round.history();
    }
  }
  for (size_t i = 0; i < before.size(); ++i) quay_tunable_set(wanted[i].first, before[i]);
}

TEST(Pipe_Model, WithTheSizesOfFreeBSD) { play({512, 4096, 16384, 65536, 64 << 20}, 0); }
TEST(Pipe_Model, WithTheSizesOfLinux) { play({4096, 8192, 16384, 65536, 64 << 20}, 1); }
// A pipe takes more than half of the budget as soon as it grows, and then more than three quarters.
TEST(Pipe_Model, WhenMemoryIsShort) { play({512, 4096, 16384, 65536, 36'864}, 2); }
TEST(Pipe_Model, WhenThereIsNoneToGrowWith) { play({512, 4096, 16384, 65536, 24'576}, 3); }

}  // namespace
