// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay::pipe, FreeBSD's pipe for C++ programs: two ends between which bytes flow both ways.
// Contract: quay_pipe2(3), through the calls of quay.h and nothing beside them. Each call that can
//           fail comes in two forms: one throws std::system_error, the other stores into a
//           std::error_code and throws nothing. A read of 0 bytes is the end of file.
//
//   quay::pipe p;
//   p.writer.write(std::as_bytes(std::span(text)));
//   {
//     quay::pipe_room room = p.writer.reserve(4096);  // the pipe's own memory
//     room.commit(encode_into(room.bytes()));
//   }
//   quay::pipe_bytes seen = p.reader.peek();
//   seen.consume(parse(seen.bytes()));
// Ownership: an end closes its descriptor; a room or bytes object belongs to the thread that made it,
//            and gives back what was not committed or consumed. The end outlives both.
#ifndef QUAY_PIPE_HPP_
#define QUAY_PIPE_HPP_

#include <fcntl.h>
#include <quay/quay.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <span>
#include <system_error>
#include <utility>

namespace quay {
inline namespace v0 {

// Part of the memory behind a pipe, while a thread works in it.
template <class Byte, ssize_t (*Finish)(int, std::size_t)>
class pipe_piece {
 public:
  pipe_piece() = default;
  pipe_piece(pipe_piece&& other) noexcept
      : end_(std::exchange(other.end_, -1)), bytes_(std::exchange(other.bytes_, {})) {}
  pipe_piece& operator=(pipe_piece&& other) noexcept {
    pipe_piece old(std::move(*this));
    end_ = std::exchange(other.end_, -1);
    bytes_ = std::exchange(other.bytes_, {});
    return *this;
  }
  ~pipe_piece() {
    if (end_ < 0) return;
    const int kept = errno;
    Finish(end_, 0);
    errno = kept;
  }

  [[nodiscard]] std::span<Byte> bytes() const noexcept { return bytes_; }
  // False: nothing was given; for peek() that is the end of file.
  explicit operator bool() const noexcept { return end_ >= 0; }

 protected:
  pipe_piece(int end, const iovec& piece) noexcept
      : end_(end), bytes_(static_cast<Byte*>(piece.iov_base), piece.iov_len) {}

  void finish(std::size_t n, std::error_code& error) noexcept {
    const int end = std::exchange(end_, -1);
    error.clear();
    if (Finish(end, n) >= 0) return;
    error = {errno, std::system_category()};
    if (errno == EINVAL) Finish(end, 0);
  }
  void finish(std::size_t n, const char* what) {
    std::error_code error;
    finish(n, error);
    if (error) throw std::system_error(error, what);
  }

 private:
  int end_ = -1;
  std::span<Byte> bytes_;
};

// Free space to fill. Other threads' writes wait until it is committed or gone.
class pipe_room : public pipe_piece<std::byte, ::quay_pipe_commit> {
 public:
  pipe_room() = default;
  // The first n bytes have been written: readers see all of them at once.
  void commit(std::size_t n) { finish(n, "quay_pipe_commit"); }
  void commit(std::size_t n, std::error_code& error) noexcept { finish(n, error); }

 private:
  friend class pipe_end;
  using pipe_piece::pipe_piece;
};

// Bytes that wait to be read. Other threads' reads wait until they are consumed or let go.
class pipe_bytes : public pipe_piece<const std::byte, ::quay_pipe_consume> {
 public:
  pipe_bytes() = default;
  // The first n bytes have been read; the rest stays.
  void consume(std::size_t n) { finish(n, "quay_pipe_consume"); }
  void consume(std::size_t n, std::error_code& error) noexcept { finish(n, error); }

 private:
  friend class pipe_end;
  using pipe_piece::pipe_piece;
};

class pipe_end {
 public:
  pipe_end() = default;
  // Takes over a descriptor.
  [[nodiscard]] static pipe_end adopt(int fd) noexcept { return pipe_end(fd); }
  pipe_end(pipe_end&& other) noexcept : fd_(other.release()) {}
  pipe_end& operator=(pipe_end&& other) noexcept {
    pipe_end old(std::move(*this));
    fd_ = other.release();
    return *this;
  }
  ~pipe_end() { close(); }

  [[nodiscard]] int native_handle() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  void close() noexcept {
    if (fd_ >= 0) ::quay_close(release());
  }

  std::size_t read(std::span<std::byte> into) {
    return checked(::quay_read(fd_, into.data(), into.size()), "quay_read");
  }
  std::size_t read(std::span<std::byte> into, std::error_code& error) {
    return settled(::quay_read(fd_, into.data(), into.size()), error);
  }
  std::size_t write(std::span<const std::byte> from) {
    return checked(::quay_write(fd_, from.data(), from.size()), "quay_write");
  }
  std::size_t write(std::span<const std::byte> from, std::error_code& error) {
    return settled(::quay_write(fd_, from.data(), from.size()), error);
  }

  // Waits for room, and gives at least one byte and at most `most` of it.
  [[nodiscard]] pipe_room reserve(std::size_t most) {
    iovec piece{};
    checked(::quay_pipe_reserve(fd_, most, &piece), "quay_pipe_reserve");
    return pipe_room(fd_, piece);
  }
  [[nodiscard]] pipe_room reserve(std::size_t most, std::error_code& error) {
    iovec piece{};
    if (settled(::quay_pipe_reserve(fd_, most, &piece), error) == 0) return {};
    return pipe_room(fd_, piece);
  }
  // Waits for bytes, and shows what lies there in one piece.
  [[nodiscard]] pipe_bytes peek() {
    iovec piece{};
    if (checked(::quay_pipe_peek(fd_, &piece), "quay_pipe_peek") == 0) return {};
    return pipe_bytes(fd_, piece);
  }
  [[nodiscard]] pipe_bytes peek(std::error_code& error) {
    iovec piece{};
    if (settled(::quay_pipe_peek(fd_, &piece), error) == 0) return {};
    return pipe_bytes(fd_, piece);
  }

  // Bytes that wait at this end.
  [[nodiscard]] std::size_t available() const {
    int n = 0;
    checked(::quay_ioctl(fd_, FIONREAD, &n), "quay_ioctl");
    return static_cast<std::size_t>(n);
  }

  // Gives this end to the process at the other side of a connected unix socket, too.
  void send(int socket) const { checked(::quay_pipe_send(socket, fd_), "quay_pipe_send"); }
  void send(int socket, std::error_code& error) const noexcept {
    settled(::quay_pipe_send(socket, fd_), error);
  }
  [[nodiscard]] static pipe_end receive(int socket) {
    return pipe_end(static_cast<int>(checked(::quay_pipe_receive(socket), "quay_pipe_receive")));
  }
  [[nodiscard]] static pipe_end receive(int socket, std::error_code& error) noexcept {
    const int fd = ::quay_pipe_receive(socket);
    settled(fd, error);
    return pipe_end(fd);
  }

 private:
  friend class pipe;
  explicit pipe_end(int fd) noexcept : fd_(fd) {}

  static std::size_t checked(ssize_t result, const char* what) {
    if (result < 0) throw std::system_error(errno, std::system_category(), what);
    return static_cast<std::size_t>(result);
  }
  static std::size_t settled(ssize_t result, std::error_code& error) noexcept {
    error.clear();
    if (result < 0) error = {errno, std::system_category()};
    return result > 0 ? static_cast<std::size_t>(result) : 0;
  }

  int fd_ = -1;
};

// What is written to one end is read from the other; the names are those of the faster direction.
class pipe {
 public:
  // flags: O_CLOEXEC, O_NONBLOCK.
  explicit pipe(int flags = O_CLOEXEC) {
    int fds[2];
    pipe_end::checked(::quay_pipe2(fds, flags), "quay_pipe2");
    reader = pipe_end(fds[0]);
    writer = pipe_end(fds[1]);
  }
  // The form that does not throw: without ends when `error` is set.
  [[nodiscard]] static pipe open(int flags, std::error_code& error) noexcept {
    int fds[2] = {-1, -1};
    pipe_end::settled(::quay_pipe2(fds, flags), error);
    return error ? pipe(pipe_end(), pipe_end()) : pipe(pipe_end(fds[0]), pipe_end(fds[1]));
  }

  pipe_end reader;
  pipe_end writer;

 private:
  pipe(pipe_end r, pipe_end w) noexcept : reader(std::move(r)), writer(std::move(w)) {}
};

}  // namespace v0
}  // namespace quay

#endif  // QUAY_PIPE_HPP_
