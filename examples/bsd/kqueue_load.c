// SPDX-License-Identifier: BSD-2-Clause
//
// What: a client for kqueue_httpd that checks what it gets: many connections at once, several
// requests on the way on each, every byte of every response compared with a file.
//
// Contract: exit status 0 when every response arrived and was equal, 1 when not, 2 for wrong usage.
//
// Invariants:
// 1. A connection has at most `depth` unanswered requests; the next is sent when one is answered.
// 2. READ notes are level: what one turn leaves unread is reported again. WRITE notes are one-shot
//    and exist only while a connect or a write waits.

#include <sys/types.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { kGiveUp = 1, kGiveUpSeconds = 15, kEvents = 128, kHeaderRoom = 1024 };

struct connection {
  int fd;
  bool connected;
  long asked, answered;  // whole requests written, whole responses read
  size_t request_pos;    // of the request being written
  size_t header_len;
  bool in_body;
  size_t body_pos;
  char header[kHeaderRoom + 1];
};

static int queue;
static long connections = 100, requests = 100, depth = 4;
static char request[1024];
static size_t request_len;
static char* expected;
static size_t expected_len;
static long open_connections;
static unsigned long long responses, body_bytes;

static void change(int ident, short filter, int flags, unsigned fflags, long data, void* udata) {
  struct kevent kev;
  EV_SET(&kev, ident, filter, flags, fflags, data, udata);
  if (kevent(queue, &kev, 1, NULL, 0, NULL) < 0) err(1, "kevent (filter %d)", filter);
}

static void connect_one(struct connection* c, int port) {
  struct sockaddr_in to = {0};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons((unsigned short)port);
  if ((c->fd = socket(AF_INET, SOCK_STREAM, 0)) < 0) err(1, "socket");
  if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0) err(1, "O_NONBLOCK");
  if (connect(c->fd, (struct sockaddr*)&to, sizeof to) < 0 && errno != EINPROGRESS)
    err(1, "connect to port %d", port);
  change(c->fd, EVFILT_READ, EV_ADD, 0, 0, c);
  change(c->fd, EVFILT_WRITE, EV_ADD | EV_ONESHOT, 0, 0, c);
  ++open_connections;
}

static void send_requests(struct connection* c) {
  while (c->asked < requests && c->asked - c->answered < depth) {
    ssize_t n = write(c->fd, request + c->request_pos, request_len - c->request_pos);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      change(c->fd, EVFILT_WRITE, EV_ADD | EV_ONESHOT, 0, 0, c);
      return;
    }
    if (n < 0) err(1, "write");
    c->request_pos += (size_t)n;
    if (c->request_pos < request_len) continue;
    c->request_pos = 0;
    ++c->asked;
  }
}

static void writable(struct connection* c) {
  int error = 0;
  socklen_t size = sizeof error;
  if (!c->connected && getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) error = errno;
  if (error != 0) errx(1, "connect: %s", strerror(error));
  c->connected = true;
  send_requests(c);
}

// Takes the header's bytes off `data`; returns how many. After its last one the body begins.
static size_t take_header(struct connection* c, const char* data, size_t len) {
  for (size_t i = 0; i < len; ++i) {
    if (c->header_len == kHeaderRoom) errx(1, "a response's header is too long");
    c->header[c->header_len++] = data[i];
    if (c->header_len < 4 || memcmp(c->header + c->header_len - 4, "\r\n\r\n", 4) != 0) continue;
    c->header[c->header_len] = '\0';
    const char* length = strstr(c->header, "\r\nContent-Length: ");
    if (strncmp(c->header, "HTTP/1.1 200 ", 13) != 0 || length == NULL ||
        strtoull(length + 18, NULL, 10) != expected_len)
      errx(1, "not the response that was expected:\n%s", c->header);
    c->header_len = 0;
    c->in_body = true;
    c->body_pos = 0;
    return i + 1;
  }
  return len;
}

static void readable(struct connection* c) {
  static char data[65536];
  ssize_t n = read(c->fd, data, sizeof data);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (n < 0) err(1, "read");
  if (n == 0) errx(1, "the server closed a connection after %ld responses", c->answered);
  for (size_t at = 0; at < (size_t)n || (c->in_body && expected_len == 0);) {
    if (!c->in_body) {
      at += take_header(c, data + at, (size_t)n - at);
    } else {
      size_t want = expected_len - c->body_pos, have = (size_t)n - at;
      size_t len = want < have ? want : have;
      if (memcmp(expected + c->body_pos, data + at, len) != 0)
        errx(1, "response %ld differs after byte %zu", c->answered, c->body_pos);
      c->body_pos += len;
      at += len;
      body_bytes += len;
    }
    if (c->in_body && c->body_pos == expected_len) {
      c->in_body = false;
      ++c->answered;
      ++responses;
    }
  }
  if (c->answered == requests) {
    if (c->header_len != 0) errx(1, "more came than was asked for");
    close(c->fd);
    --open_connections;
    return;
  }
  send_requests(c);
}

static void read_expected(const char* name) {
  struct stat st;
  int file = open(name, O_RDONLY);
  if (file < 0 || fstat(file, &st) < 0) err(1, "%s", name);
  expected_len = (size_t)st.st_size;
  if ((expected = malloc(expected_len + 1)) == NULL) err(1, "%s", name);
  if (read(file, expected, expected_len) != (ssize_t)expected_len) err(1, "%s", name);
  close(file);
}

static long number(const char* text, long most) {
  char* end;
  long n = strtol(text, &end, 10);
  if (end == text || *end != '\0' || n < 1 || n > most)
    errx(2, "\"%s\" is not a number from 1 to %ld", text, most);
  return n;
}

static const char kUsage[] =
    "usage: kqueue_load -p port -f file [-c connections] [-n requests] [-q depth] [path]\n"
    "  -p port         of the server on 127.0.0.1\n"
    "  -f file         what every response must consist of\n"
    "  -c connections  at once; default 100\n"
    "  -n requests     on each connection; default 100\n"
    "  -q depth        requests sent ahead of their responses; default 4\n"
    "  path            to ask for; default /\n";

int main(int argc, char** argv) {
  long port = 0;
  const char* file = NULL;
  for (int option; (option = getopt(argc, argv, "p:f:c:n:q:h")) != -1;) {
    switch (option) {
      case 'p':
        port = number(optarg, 65535);
        break;
      case 'f':
        file = optarg;
        break;
      case 'c':
        connections = number(optarg, 10000);
        break;
      case 'n':
        requests = number(optarg, 1000000);
        break;
      case 'q':
        depth = number(optarg, 1000);
        break;
      default:
        fputs(kUsage, option == 'h' ? stdout : stderr);
        return option == 'h' ? 0 : 2;
    }
  }
  if (port == 0 || file == NULL || argc - optind > 1) {
    fputs(kUsage, stderr);
    return 2;
  }
  read_expected(file);
  request_len =
      (size_t)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
                       optind < argc ? argv[optind] : "/");
  if (request_len >= sizeof request) errx(2, "the path is too long");

  signal(SIGPIPE, SIG_IGN);
  if ((queue = kqueue()) < 0) err(1, "kqueue");
  change(kGiveUp, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, kGiveUpSeconds * 1000, NULL);
  struct connection* all = calloc((size_t)connections, sizeof *all);
  if (all == NULL) err(1, "%ld connections", connections);
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (long i = 0; i < connections; ++i) connect_one(&all[i], (int)port);
  while (open_connections > 0) {
    struct kevent events[kEvents];
    int n = kevent(queue, NULL, 0, events, kEvents, NULL);
    if (n < 0 && errno != EINTR) err(1, "kevent");
    for (int i = 0; i < n; ++i) {
      if (events[i].filter == EVFILT_TIMER)
        errx(1, "gave up after %d s with %ld connections open", kGiveUpSeconds, open_connections);
      if (events[i].filter == EVFILT_WRITE) writable(events[i].udata);
      if (events[i].filter == EVFILT_READ) readable(events[i].udata);
    }
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  double seconds =
      (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
  printf("%ld connections, %llu responses, %llu bytes compared, all equal, in %.2f s\n",
         connections, responses, body_bytes, seconds);
  free(all);
  free(expected);
  return 0;
}
