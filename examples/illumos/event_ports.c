/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: an illumos program that waits for everything in one place: a pipe, a timer, a file, a
 *       message of another thread, and the order to stop.
 * Contract: event ports of illumos, nothing else; prints one line for each event, ends by itself.
 */
#include <err.h>
#include <fcntl.h>
#include <port.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int port;
static char path[] = "/tmp/event_ports.XXXXXX";
static struct file_obj watched;

/* Watches the file from the state in which it is now. */
static void watch_file(void) {
  struct stat st;
  if (stat(path, &st) != 0) err(1, "stat");
  watched.fo_name = path;
  watched.fo_atime = st.st_atim;
  watched.fo_mtime = st.st_mtim;
  watched.fo_ctime = st.st_ctim;
  if (port_associate(port, PORT_SOURCE_FILE, (uintptr_t)&watched, FILE_MODIFIED, "file") != 0)
    err(1, "port_associate");
}

static timer_t start_timer(void) {
  static port_notify_t notify;
  struct sigevent event;
  struct itimerspec every = {{0, 20000000}, {0, 20000000}};
  timer_t timer;
  notify.portnfy_port = port;
  notify.portnfy_user = "timer";
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_PORT;
  event.sigev_value.sival_ptr = &notify;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) err(1, "timer_create");
  if (timer_settime(timer, 0, &every, NULL) != 0) err(1, "timer_settime");
  return timer;
}

/* Things happen; the last is an alert, which stops whoever waits. */
static void* happen(void* pipe_end) {
  int fd;
  if (write(*(int*)pipe_end, "hello", 5) != 5) err(1, "write");
  usleep(50000);
  fd = open(path, O_WRONLY);
  if (fd < 0 || write(fd, "news", 4) != 4) err(1, "%s", path);
  close(fd);
  usleep(50000);
  if (port_send(port, 42, "a message") != 0) err(1, "port_send");
  usleep(50000);
  if (port_alert(port, PORT_ALERT_SET, 1, "stop") != 0) err(1, "port_alert");
  return NULL;
}

static void handle(const port_event_t* e) {
  char text[64];
  switch (e->portev_source) {
    case PORT_SOURCE_FD: {
      ssize_t n = read((int)e->portev_object, text, sizeof text - 1);
      printf("FD     %s is readable: %.*s\n", (char*)e->portev_user, (int)(n > 0 ? n : 0), text);
      /* An association fires once; to hear more, associate again. */
      port_associate(port, PORT_SOURCE_FD, e->portev_object, POLLIN, e->portev_user);
      break;
    }
    case PORT_SOURCE_TIMER:
      printf("TIMER  %s expired %d times\n", (char*)e->portev_user, e->portev_events);
      break;
    case PORT_SOURCE_FILE:
      printf("FILE   %s was %s\n", (char*)e->portev_user,
             (e->portev_events & FILE_MODIFIED) != 0 ? "modified" : "changed");
      watch_file();
      break;
    case PORT_SOURCE_USER:
      printf("USER   %s with the number %d\n", (char*)e->portev_user, e->portev_events);
      break;
    default:
      break;
  }
}

int main(void) {
  int ends[2];
  pthread_t other;
  timer_t timer;
  int done = 0;
  int file = mkstemp(path);
  if (file < 0 || pipe(ends) != 0) err(1, "mkstemp, pipe");
  close(file);

  if ((port = port_create()) < 0) err(1, "port_create");
  if (port_associate(port, PORT_SOURCE_FD, (uintptr_t)ends[0], POLLIN, "the pipe") != 0)
    err(1, "port_associate");
  watch_file();
  timer = start_timer();
  if (pthread_create(&other, NULL, happen, &ends[1]) != 0) errx(1, "pthread_create");

  while (!done) {
    port_event_t events[8];
    uint_t i, n = 1;
    if (port_getn(port, events, 8, &n, NULL) != 0) err(1, "port_getn");
    for (i = 0; i < n; i++) {
      handle(&events[i]);
      if (events[i].portev_source == PORT_SOURCE_ALERT) {
        printf("ALERT  %s\n", (char*)events[i].portev_user);
        done = 1;
      }
    }
  }
  pthread_join(other, NULL);
  timer_delete(timer);
  close(port);
  unlink(path);
  return 0;
}
