// SPDX-License-Identifier: BSD-2-Clause
//
// What: a small HTTP/1.1 server on kqueue(2), in C as one writes it on a BSD: one queue, one loop.
// GET and HEAD of a built-in page or of the files below a directory, keep-alive, pipelining, idle
// connections closed by timers, orderly shutdown by a user event (GET /shutdown, SIGINT, SIGTERM).
//
// Contract: listens on the loopback address only. Exit status 0 after an orderly shutdown, 1 when
// the system refuses something, 2 for wrong usage.
//
// Invariants:
// 1. A connection waits for exactly one of READ and WRITE; the note of the other is disabled, so
//    nothing more is read while a response is on its way out.
// 2. A closed connection is freed only after the whole batch of events is handled: a later event of
//    the same batch may still carry its address.
// 3. `active` moves with every byte read or written. The idle timer is not re-armed each time: when
//    it fires early it is set again for what is left.

#include <sys/types.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/event.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// Idents of what is no connection's. A connection's notes all have its descriptor as ident.
enum { kShutdown = 1, kAcceptTimer = -1 };
enum { kEvents = 64, kTurns = 32, kAcceptRetryMs = 100 };

struct connection {
  int fd;        // -1: closed, waits to be freed
  int file;      // the rest of the body comes from here; -1: from nowhere
  off_t left;    // bytes of the file still to be sent
  short waits;   // EVFILT_READ or EVFILT_WRITE
  bool head;     // the request was HEAD: no body
  bool last;     // close after this response
  bool discard;  // the last response is out: input is read only to see its end
  long long active;
  size_t in_len, out_pos, out_len;
  char in[8192], out[16384];
  LIST_ENTRY(connection) link;
};

static int queue, listener;
static const char* root;      // directory served, or NULL
static long idle_ms = 15000;  // 0: connections may idle for ever
static bool stopping;
static LIST_HEAD(, connection) live, dead;
static unsigned long n_accepted, n_requests, n_idle;

static const char kPage[] =
    "<!DOCTYPE html><title>kqueue</title><p>Served by one thread in one kevent() loop.</p>\n";

static long long now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int try_change(int ident, short filter, int flags, unsigned fflags, long data, void* udata) {
  struct kevent kev;
  EV_SET(&kev, ident, filter, flags, fflags, data, udata);
  return kevent(queue, &kev, 1, NULL, 0, NULL);
}

static void change(int ident, short filter, int flags, unsigned fflags, long data, void* udata) {
  if (try_change(ident, filter, flags, fflags, data, udata) < 0)
    err(1, "kevent (filter %d, ident %d)", filter, ident);
}

// The signals are blocked everywhere else, so this thread may call anything.
static void* wait_for_signal(void* signals) {
  int which;
  if (sigwait(signals, &which) == 0) change(kShutdown, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
  return NULL;
}

static void drop(struct connection* c) {
  if (idle_ms > 0) try_change(c->fd, EVFILT_TIMER, EV_DELETE, 0, 0, NULL);  // ENOENT: it just fired
  close(c->fd);  // takes the READ and WRITE notes with it
  c->fd = -1;
  if (c->file >= 0) close(c->file);
  LIST_REMOVE(c, link);
  LIST_INSERT_HEAD(&dead, c, link);
}

static void wait_for(struct connection* c, short filter) {
  if (c->waits == filter) return;
  change(c->fd, c->waits, EV_DISABLE, 0, 0, c);
  change(c->fd, filter, EV_ENABLE, 0, 0, c);
  c->waits = filter;
}

// Closing with unread input would reset the connection and could destroy the response on its way,
// so say that nothing more comes and wait for the client (or the idle timer) to close.
static void finish(struct connection* c) {
  if (stopping || shutdown(c->fd, SHUT_WR) < 0) {
    drop(c);
  } else {
    c->discard = true;
    wait_for(c, EVFILT_READ);
  }
}

static void add_connection(int fd) {
  ++n_accepted;
  struct connection* c = calloc(1, sizeof *c);
  if (c == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
    warn("connection refused");
    free(c);
    close(fd);
    return;
  }
  c->fd = fd;
  c->file = -1;
  c->waits = EVFILT_READ;
  c->active = now_ms();
  LIST_INSERT_HEAD(&live, c, link);
  if (try_change(fd, EVFILT_READ, EV_ADD, 0, 0, c) < 0 ||
      try_change(fd, EVFILT_WRITE, EV_ADD | EV_DISABLE, 0, 0, c) < 0 ||
      (idle_ms > 0 && try_change(fd, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, idle_ms, c) < 0)) {
    warn("connection refused: kevent");
    drop(c);
  }
}

static void accept_all(long backlog) {
  int fd = -1;
  while (backlog-- > 0 && (fd = accept(listener, NULL, NULL)) >= 0) add_connection(fd);
  if (fd >= 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == ECONNABORTED) return;
  warn("accept: trying again in %d ms", kAcceptRetryMs);  // EMFILE, ENFILE, ENOBUFS, ENOMEM
  change(listener, EVFILT_READ, EV_DISABLE, 0, 0, NULL);
  change(kAcceptTimer, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, kAcceptRetryMs, NULL);
}

static void respond(struct connection* c, const char* status, const char* type, long long length,
                    const char* body) {
  c->out_pos = 0;
  c->out_len = (size_t)snprintf(
      c->out, sizeof c->out, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %lld\r\n%s\r\n%s",
      status, type, length, c->last ? "Connection: close\r\n" : "", c->head ? "" : body);
}

static void refuse(struct connection* c, const char* status, bool last) {
  char body[128];
  int length = snprintf(body, sizeof body, "%s\n", status);
  c->last = c->last || last;
  respond(c, status, "text/plain", length, body);
}

// False: no path, or one that would leave the directory. %XX is not decoded: no such file.
static bool clean_path(char* path) {
  path[strcspn(path, "?#")] = '\0';
  for (char* s = path; (s = strstr(s, "/..")) != NULL; s += 3)
    if (s[3] == '/' || s[3] == '\0') return false;
  return path[0] == '/';
}

static void respond_with_file(struct connection* c, const char* path) {
  char name[8192];
  struct stat st;
  const char* index = path[strlen(path) - 1] == '/' ? "index.html" : "";
  snprintf(name, sizeof name, "%s%s%s", root, path, index);  // if cut, it is too long for open
  c->file = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);   // a fifo must not hold us up
  if (c->file < 0 || fstat(c->file, &st) < 0 || !S_ISREG(st.st_mode)) {
    refuse(c, "404 Not Found", false);
    return;
  }
  const char* type = strstr(name, ".html") != NULL ? "text/html" : "application/octet-stream";
  respond(c, "200 OK", type, (long long)st.st_size, "");
  c->left = c->head ? 0 : st.st_size;
}

// Sets what the header says; false: it is not one. `line` is two bytes, then "Name: value\r\n...".
static bool read_header(const char* line, bool* host, bool* body, bool* keep) {
  for (; line != NULL; line = strstr(line, "\r\n")) {
    const char *name = line + 2, *value = name + strcspn(name, " :\r");
    if (*value++ != ':' || value == name + 1) return false;
    value += strspn(value, " \t");
    if (strncasecmp(name, "Host:", 5) == 0) *host = true;
    if (strncasecmp(name, "Content-Length:", 15) == 0 && atoll(value) != 0) *body = true;
    if (strncasecmp(name, "Transfer-Encoding:", 18) == 0) *body = true;
    if (strncasecmp(name, "Connection:", 11) == 0 && strncasecmp(value, "close", 5) == 0)
      *keep = false;
    line = name;
  }
  return true;
}

// One whole request, as text without its empty line.
static void answer(struct connection* c, char* request, size_t length) {
  char method[16], path[4096], rest;
  int minor = 0;
  bool host = false, body = false, keep = true, text = strlen(request) == length;
  char* header = strstr(request, "\r\n");
  if (header != NULL) *header = '\0';
  if (!text ||
      sscanf(request, "%15[A-Z] %4095[^ ] HTTP/1.%1d%c", method, path, &minor, &rest) != 3 ||
      !read_header(header, &host, &body, &keep) || (minor > 0 && !host) || !clean_path(path)) {
    refuse(c, "400 Bad Request", true);
    return;
  }
  c->head = strcmp(method, "HEAD") == 0;
  c->last = minor == 0 || !keep || body || stopping;  // a body is not read: nothing can follow it
  if (!c->head && strcmp(method, "GET") != 0) {
    refuse(c, "501 Not Implemented", false);
  } else if (strcmp(path, "/shutdown") == 0) {
    c->last = true;
    respond(c, "200 OK", "text/plain", 4, "bye\n");
    change(kShutdown, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
  } else if (root != NULL) {
    respond_with_file(c, path);
  } else if (strcmp(path, "/") == 0) {
    respond(c, "200 OK", "text/html", (long long)sizeof kPage - 1, kPage);
  } else {
    refuse(c, "404 Not Found", false);
  }
}

// Takes one request off the input, if a whole one is there, and prepares its response.
static bool next_request(struct connection* c) {
  c->head = false;
  for (size_t end = 0; end + 4 <= c->in_len; ++end) {
    if (memcmp(c->in + end, "\r\n\r\n", 4) != 0) continue;
    c->in[end] = '\0';
    ++n_requests;
    answer(c, c->in, end);
    c->in_len -= end + 4;
    memmove(c->in, c->in + end + 4, c->in_len);
    return true;
  }
  if (c->in_len < sizeof c->in) return false;
  refuse(c, "431 Request Header Fields Too Large", true);
  return true;
}

// Does what can be done now: writes, refills from the file, takes the next request. After kTurns
// steps the others have their turn; the socket is writable then, so the queue calls again.
static void serve(struct connection* c) {
  for (int turn = 0; turn < kTurns; ++turn) {
    ssize_t n = 1;
    if (c->out_pos < c->out_len) {
      n = write(c->fd, c->out + c->out_pos, c->out_len - c->out_pos);
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
      c->out_pos += n > 0 ? (size_t)n : 0;
      c->active = now_ms();
    } else if (c->left > 0) {
      n = read(c->file, c->out, c->left < 16384 ? (size_t)c->left : sizeof c->out);
      c->out_pos = 0;
      c->out_len = n > 0 ? (size_t)n : 0;
      c->left -= n;
    } else {
      if (c->file >= 0) close(c->file);
      c->file = -1;
      if (c->last || !next_request(c)) {
        c->last ? finish(c) : wait_for(c, EVFILT_READ);
        return;
      }
    }
    if (n <= 0) {  // the client has left, or the file is shorter than promised
      drop(c);
      return;
    }
  }
  wait_for(c, EVFILT_WRITE);
}

static void receive(struct connection* c) {
  if (c->discard) c->in_len = 0;
  ssize_t n = read(c->fd, c->in + c->in_len, sizeof c->in - c->in_len);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (n <= 0) {
    drop(c);
  } else if (!c->discard) {
    c->in_len += (size_t)n;
    c->active = now_ms();
    serve(c);
  }
}

static void stop(void) {
  if (!stopping) close(listener);
  stopping = true;
  for (struct connection *c = LIST_FIRST(&live), *next; c != NULL; c = next) {
    next = LIST_NEXT(c, link);
    c->last = true;
    if (c->waits == EVFILT_READ) drop(c);  // the others finish what they are sending
  }
}

static void handle(const struct kevent* event) {
  struct connection* c = event->udata;
  if (event->filter == EVFILT_USER) {
    stop();
  } else if (c == NULL && event->filter == EVFILT_TIMER) {
    if (!stopping) change(listener, EVFILT_READ, EV_ENABLE, 0, 0, NULL);
  } else if (c == NULL) {
    if (!stopping) accept_all((long)event->data);
  } else if (c->fd < 0) {
    return;  // closed earlier in this batch
  } else if (event->filter == EVFILT_TIMER) {
    long left = (long)(c->active + idle_ms - now_ms());
    if (left > 0) {
      change(c->fd, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, left, c);
    } else {
      ++n_idle;
      drop(c);
    }
  } else if (event->filter == c->waits) {
    c->waits == EVFILT_READ ? receive(c) : serve(c);
  }
}

static void open_listener(int port) {
  struct sockaddr_in at = {0};
  socklen_t size = sizeof at;
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons((unsigned short)port);
  if ((listener = socket(AF_INET, SOCK_STREAM, 0)) < 0) err(1, "socket");
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  if (bind(listener, (struct sockaddr*)&at, sizeof at) < 0) err(1, "port %d", port);
  if (fcntl(listener, F_SETFL, O_NONBLOCK) < 0 || listen(listener, 1024) < 0) err(1, "listen");
  if (getsockname(listener, (struct sockaddr*)&at, &size) < 0) err(1, "getsockname");
  change(listener, EVFILT_READ, EV_ADD, 0, 0, NULL);
  printf("listening on http://127.0.0.1:%d/\n", ntohs(at.sin_port));
  fflush(stdout);
}

static long number(const char* text, long most, const char* what) {
  char* end;
  long n = strtol(text, &end, 10);
  if (end == text || *end != '\0' || n < 0 || n > most)
    errx(2, "%s: \"%s\" is not a number from 0 to %ld", what, text, most);
  return n;
}

static const char kUsage[] =
    "usage: kqueue_httpd [-p port] [-d directory] [-t idle_ms]\n"
    "  -p port       listen on 127.0.0.1:port; 0 (the default) takes a free one and prints it\n"
    "  -d directory  serve the files below it instead of the built-in page\n"
    "  -t idle_ms    close connections idle for so long; 0: never; default 15000\n"
    "  -h            this text\n"
    "Ends by SIGINT, SIGTERM or GET /shutdown.\n";

int main(int argc, char** argv) {
  long port = 0;
  for (int option; (option = getopt(argc, argv, "p:d:t:h")) != -1;) {
    if (option == 'p') {
      port = number(optarg, 65535, "port");
    } else if (option == 'd') {
      root = optarg;
    } else if (option == 't') {
      idle_ms = number(optarg, 86400000, "idle time");
    } else {
      fputs(kUsage, option == 'h' ? stdout : stderr);
      return option == 'h' ? 0 : 2;
    }
  }
  struct stat st;
  if (optind < argc) errx(2, "unexpected argument \"%s\" (-h shows the options)", argv[optind]);
  if (root != NULL && (stat(root, &st) < 0 || !S_ISDIR(st.st_mode)))
    errx(1, "%s: not a directory that can be opened", root);

  static sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  signal(SIGPIPE, SIG_IGN);  // a client that leaves is an errno, not the end
  if ((queue = kqueue()) < 0) err(1, "kqueue");
  change(kShutdown, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, NULL);
  pthread_t thread;
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  if (pthread_create(&thread, NULL, wait_for_signal, &signals) != 0) errx(1, "no signal thread");
  open_listener((int)port);

  while (!stopping || !LIST_EMPTY(&live)) {
    struct kevent events[kEvents];
    int n = kevent(queue, NULL, 0, events, kEvents, NULL);
    if (n < 0 && errno != EINTR) err(1, "kevent");
    for (int i = 0; i < n; ++i) handle(&events[i]);
    for (struct connection* c; (c = LIST_FIRST(&dead)) != NULL; free(c)) LIST_REMOVE(c, link);
  }
  printf("served %lu requests on %lu connections, closed %lu idle ones\n", n_requests, n_accepted,
         n_idle);
  return 0;
}
