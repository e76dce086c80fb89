/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: every call whose arguments hold a time, an offset or a struct stat, by a program that may have any width of them:
 *       scripts/other-builds.sh compiles it for each that a 32-bit program can choose.
 * Contract: exit status 0; else the line of the first check that failed is printed.
 */
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <port.h>
#include <quay/aio.h>
#include <quay/quay.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/event.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void queues(void) {
  int kq = kqueue();
  struct kevent e;
  struct timespec wrong = {0, 1000000000};
  double start = now();
  CHECK(kq >= 0);
  CHECK(kevent(kq, NULL, 0, &e, 1, &moment) == 0);
  CHECK(now() - start >= 0.02 && now() - start < 10);
  CHECK(kevent(kq, NULL, 0, &e, 1, &wrong) == -1 && errno == EINVAL);
  EV_SET(&e, 1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1, NULL);
  CHECK(kevent(kq, &e, 1, &e, 1, NULL) == 1 && e.data == 1);
  close(kq);
}

static void ports(const char* path) {
  int port = port_create();
  port_event_t e;
  struct timespec limit = moment;
  struct itimerspec once = {{0, 0}, {0, 1000000}};
  struct itimerspec left;
  struct sigevent tell;
  port_notify_t where;
  timer_t timer;
  file_obj_t file;
  uint_t count = 1;
  CHECK(port >= 0);
  CHECK(port_get(port, &e, &limit) == -1 && errno == ETIME);
  CHECK(port_getn(port, &e, 1, &count, &limit) == -1 && errno == ETIME && count == 0);

  where.portnfy_port = port;
  where.portnfy_user = &where;
  memset(&tell, 0, sizeof tell);
  tell.sigev_notify = SIGEV_PORT;
  tell.sigev_value.sival_ptr = &where;
  CHECK(timer_create(CLOCK_MONOTONIC, &tell, &timer) == 0);
  CHECK(timer_settime(timer, 0, &once, NULL) == 0);
  CHECK(port_get(port, &e, NULL) == 0 && e.portev_source == PORT_SOURCE_TIMER);
  CHECK(e.portev_user == (void*)&where);
  CHECK(timer_gettime(timer, &left) == 0 && left.it_value.tv_sec == 0);
  timer_delete(timer);

  memset(&file, 0, sizeof file);
  file.fo_name = (char*)path;
  file.fo_mtime.tv_sec = 1; /* not when it was changed: the event is there at once */
  CHECK(port_associate(port, PORT_SOURCE_FILE, (uintptr_t)&file, FILE_MODIFIED, NULL) == 0);
  CHECK(port_get(port, &e, &limit) == 0 && e.portev_source == PORT_SOURCE_FILE);
  CHECK(e.portev_object == (uintptr_t)&file);
  close(port);
}

static void files(const char* path, int fd) {
  int ends[2];
  struct stat st;
  struct stat kernel;
  CHECK(quay_pipe2(ends, 0) == 0);
  CHECK(quay_write(ends[1], "abc", 3) == 3);
  memset(&st, 0x5a, sizeof st);
  CHECK(quay_fstat(ends[0], &st) == 0);
  CHECK(S_ISFIFO(st.st_mode) && st.st_size == 3 && st.st_uid == getuid());
  CHECK(time(NULL) - st.st_mtime < 3600 && st.st_mtime - time(NULL) < 3600);
  quay_close(ends[0]);
  quay_close(ends[1]);

  CHECK(quay_fstat(fd, &st) == 0 && stat(path, &kernel) == 0);
  CHECK(st.st_size == kernel.st_size && st.st_ino == kernel.st_ino);
  CHECK(st.st_mtime == kernel.st_mtime && st.st_mode == kernel.st_mode);
}

static void requests(int fd) {
  struct aiocb block;
  const struct aiocb* list[1];
  struct aiocb* members[1];
  char bytes[4] = {0};
  memset(&block, 0xff, sizeof block); /* what lies beside a small offset counts for nothing */
  memset(&block.aio_sigevent, 0, sizeof block.aio_sigevent);
  block.aio_sigevent.sigev_notify = SIGEV_NONE;
  block.aio_fildes = fd;
  block.aio_reqprio = 0;
  block.aio_buf = bytes;
  block.aio_nbytes = 3;
  block.aio_offset = 5;
  list[0] = &block;
  members[0] = &block;
  CHECK(quay_aio_read(&block) == 0);
  CHECK(quay_aio_suspend(list, 1, NULL) == 0);
  CHECK(quay_aio_error(&block) == 0 && quay_aio_return(&block) == 3);
  CHECK(memcmp(bytes, "567", 3) == 0);
  block.aio_offset = 2;
  block.aio_lio_opcode = LIO_READ;
  CHECK(quay_lio_listio(LIO_WAIT, members, 1, NULL) == 0);
  CHECK(quay_aio_return(&block) == 3 && memcmp(bytes, "234", 3) == 0);
}

int main(void) {
  char path[] = "/tmp/widths.XXXXXX";
  int fd = mkstemp(path);
  CHECK(fd >= 0 && write(fd, "0123456789", 10) == 10);
  queues();
  ports(path);
  files(path, fd);
  requests(fd);
  unlink(path);
  return 0;
}
