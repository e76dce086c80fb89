/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: libc's own calls on objects of ours, each that has other names for other widths of times and offsets, by a program
 *       that may have any of them: scripts/other-builds.sh compiles it for each that a 32-bit program can choose.
 * Contract: exit status 0 with the hooks in front of libc; else the line of the first check that failed is printed.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <aio.h> /* libc's: the BSD face's, which binds the names to quay's own, must come after it in the search */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <quay/quay.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/event.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(QUAY_BSD_AIO_H_)
#error "the program is about libc's <aio.h>"
#endif

#include "check.h"
static const struct timespec patience = {20, 0};

/* What libc alone knows of an end, a socket, is not this. */
static void asking(int end) {
  struct stat st;
  int bytes = 0;
  memset(&st, 0x5a, sizeof st);
  CHECK(fstat(end, &st) == 0 && S_ISFIFO(st.st_mode) && st.st_size == 3);
  CHECK(time(NULL) - st.st_mtime < 3600 && st.st_mtime - time(NULL) < 3600);
  memset(&st, 0x5a, sizeof st);
  CHECK(fstatat(end, "", &st, AT_EMPTY_PATH) == 0 && S_ISFIFO(st.st_mode) && st.st_size == 3);
  CHECK(ioctl(end, FIONREAD, &bytes) == 0 && bytes == 3);
  CHECK(lseek(end, 0, SEEK_CUR) == -1 && errno == ESPIPE);
}

static void controlling(int end) {
  char byte;
  int twin;
  CHECK((fcntl(end, F_GETFL) & O_ACCMODE) == O_RDWR);
  CHECK(fcntl(end, F_SETFL, O_NONBLOCK) == 0);
  CHECK(read(end, &byte, 1) == -1 && errno == EAGAIN);
  CHECK(fcntl(end, F_SETFL, 0) == 0);
  twin = fcntl(end, F_DUPFD, 50);
  CHECK(twin >= 50);
  CHECK(write(twin, "x", 1) == 1); /* a duplicate of the reading end: the other direction */
  CHECK(close(twin) == 0);
}

static void waiting(int reading, int writing) {
  struct pollfd asked;
  struct timeval limit = {0, 20000};
  fd_set set;
  char bytes[4];
  asked.fd = reading;
  asked.events = POLLIN;
  asked.revents = 0;
  CHECK(ppoll(&asked, 1, &moment, NULL) == 0);
  FD_ZERO(&set);
  FD_SET(reading, &set);
  CHECK(select(reading + 1, &set, NULL, NULL, &limit) == 0);
  FD_SET(reading, &set);
  CHECK(pselect(reading + 1, &set, NULL, NULL, &moment, NULL) == 0);

  CHECK(write(writing, "abc", 3) == 3);
  CHECK(ppoll(&asked, 1, &patience, NULL) == 1 && asked.revents == POLLIN);
  FD_SET(reading, &set);
  limit.tv_sec = 20;
  CHECK(select(reading + 1, &set, NULL, NULL, &limit) == 1 && FD_ISSET(reading, &set));
  CHECK(pselect(reading + 1, &set, NULL, NULL, &patience, NULL) == 1 && FD_ISSET(reading, &set));
  asking(reading);
  CHECK(read(reading, bytes, sizeof bytes) == 3 && memcmp(bytes, "abc", 3) == 0);
}

/* A message of one byte and one descriptor. */
struct parcel {
  char byte;
  struct iovec part;
  union {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  struct mmsghdr message;
};

static struct msghdr* wrap(struct parcel* p, int fd) {
  struct msghdr* m = &p->message.msg_hdr;
  memset(p, 0, sizeof *p);
  p->part.iov_base = &p->byte;
  p->part.iov_len = 1;
  m->msg_iov = &p->part;
  m->msg_iovlen = 1;
  m->msg_control = &p->control;
  m->msg_controllen = sizeof p->control;
  CMSG_FIRSTHDR(m)->cmsg_level = SOL_SOCKET;
  CMSG_FIRSTHDR(m)->cmsg_type = SCM_RIGHTS;
  CMSG_FIRSTHDR(m)->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(CMSG_FIRSTHDR(m)), &fd, sizeof fd);
  return m;
}

/* A queue is not sent; a number that arrives has none of the notes of one that was closed unseen. */
static void passing(void) {
  struct parcel p;
  struct kevent e;
  int ends[2];
  int many;
  int kq = kqueue();
  int sent = dup(0);
  CHECK(kq >= 0 && sent >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  CHECK(sendmsg(ends[0], wrap(&p, kq), 0) == -1 && errno == EOPNOTSUPP);
  wrap(&p, kq);
  CHECK(sendmmsg(ends[0], &p.message, 1, 0) == -1 && errno == EOPNOTSUPP);
  for (many = 0; many < 2; ++many) {
    int watched[2];
    int received = -1;
    struct timespec limit = patience;
    CHECK(pipe(watched) == 0);
    EV_SET(&e, watched[0], EVFILT_READ, EV_ADD, 0, 0, NULL);
    CHECK(kevent(kq, &e, 1, NULL, 0, NULL) == 0);
    CHECK(syscall(SYS_close, watched[0]) == 0);
    if (many) {
      wrap(&p, sent);
      CHECK(sendmmsg(ends[0], &p.message, 1, 0) == 1);
      CHECK(recvmmsg(ends[1], &p.message, 1, 0, &limit) == 1);
    } else {
      CHECK(sendmsg(ends[0], wrap(&p, sent), 0) == 1);
      CHECK(recvmsg(ends[1], &p.message.msg_hdr, 0) == 1);
    }
    memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&p.message.msg_hdr)), sizeof received);
    CHECK(received == watched[0]);
    EV_SET(&e, received, EVFILT_READ, EV_DELETE, 0, 0, NULL);
    CHECK(kevent(kq, &e, 1, NULL, 0, NULL) == -1 && errno == ENOENT);
    close(received);
    close(watched[1]);
  }
  close(sent);
  close(ends[0]);
  close(ends[1]);
  close(kq);
}

/* A signal that another process has sent and sigtimedwait() has taken is counted. */
static void taking(void) {
  struct kevent e;
  struct timespec none = {0, 0};
  sigset_t set;
  pid_t child;
  int kq = kqueue();
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  EV_SET(&e, SIGUSR1, EVFILT_SIGNAL, EV_ADD, 0, 0, NULL);
  CHECK(kevent(kq, &e, 1, NULL, 0, NULL) == 0);
  CHECK(sigtimedwait(&set, NULL, &moment) == -1 && errno == EAGAIN);
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    kill(getppid(), SIGUSR1);
    _exit(0);
  }
  CHECK(sigtimedwait(&set, NULL, &patience) == SIGUSR1);
  CHECK(kevent(kq, NULL, 0, &e, 1, &none) == 1 && e.filter == EVFILT_SIGNAL && e.data == 1);
  CHECK(waitpid(child, NULL, 0) == child);
  close(kq);
}

/* The libc that a queue is unknown to would refuse its sigev_notify. */
static void requests(void) {
  char path[] = "/tmp/hooked_widths.XXXXXX";
  char bytes[4] = {0};
  struct kevent e;
  struct aiocb block;
  const struct aiocb* list[1];
  struct aiocb* members[1];
  int ends[2];
  int kq = kqueue();
  int fd = mkstemp(path);
  CHECK(kq >= 0 && fd >= 0 && write(fd, "0123456789", 10) == 10);
  memset(&block, 0xff, sizeof block); /* what lies beside a small offset counts for nothing */
  memset(&block.aio_sigevent, 0, sizeof block.aio_sigevent);
  block.aio_fildes = fd;
  block.aio_reqprio = 0;
  block.aio_buf = bytes;
  block.aio_nbytes = 3;
  block.aio_offset = 5;
  block.aio_lio_opcode = LIO_READ;
  block.aio_sigevent.sigev_notify = SIGEV_KEVENT;
  block.aio_sigevent.sigev_notify_kqueue = kq;
  list[0] = &block;
  members[0] = &block;
  CHECK(aio_read(&block) == 0);
  CHECK(kevent(kq, NULL, 0, &e, 1, &patience) == 1 && e.filter == EVFILT_AIO);
  CHECK(aio_suspend(list, 1, &patience) == 0);
  CHECK(aio_error(&block) == 0 && aio_return(&block) == 3 && memcmp(bytes, "567", 3) == 0);
  CHECK(aio_error(&block) != 0); /* to libc it would stay a request that has ended */
  block.aio_offset = 1;
  block.aio_sigevent.sigev_notify = SIGEV_NONE;
  CHECK(lio_listio(LIO_WAIT, members, 1, NULL) == 0);
  CHECK(aio_return(&block) == 3 && memcmp(bytes, "123", 3) == 0);
  block.aio_offset = 10;
  CHECK(aio_write(&block) == 0 && aio_suspend(list, 1, NULL) == 0 && aio_return(&block) == 3);
  CHECK(aio_fsync(O_SYNC, &block) == 0 && aio_suspend(list, 1, NULL) == 0);
  CHECK(aio_return(&block) == 0 && lseek(fd, 0, SEEK_END) == 13);
  CHECK(pipe(ends) == 0);
  block.aio_fildes = ends[0];
  CHECK(aio_read(&block) == 0 && aio_cancel(ends[0], &block) == AIO_CANCELED);
  CHECK(aio_error(&block) == ECANCELED && aio_return(&block) == -1);
  close(ends[0]);
  close(ends[1]);
  unlink(path);
  close(fd);
  close(kq);
}

int main(void) {
  int ends[2];
  CHECK(quay_pipe2(ends, 0) == 0);
  waiting(ends[0], ends[1]);
  controlling(ends[0]);
  close(ends[0]);
  close(ends[1]);
  passing();
  taking();
  requests();
  return 0;
}
