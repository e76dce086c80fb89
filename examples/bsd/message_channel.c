/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: an in-process message channel as an event source of kqueue: a filter of the program's own,
 *       registered with kfilter_register(). One thread sends, the main thread waits in kevent() for
 *       the channel and a timer at once.
 * Contract: <quay/kfilter.h>. data of an event is the number of messages that wait; EV_EOF says that
 *       the sender has closed the channel.
 * Locking: a channel's mutex guards its messages and its list of notes. channel_event()
 *       takes it unless knote()'s caller has it already, which the hint tells.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <quay/kfilter.h>
#include <stdio.h>
#include <string.h>
#include <sys/event.h>
#include <unistd.h>

enum { CAPACITY = 16, MESSAGES = 5, HELD = 1 };

struct channel {
  pthread_mutex_t mutex;
  struct klist notes; /* the queues that watch it */
  char message[CAPACITY][32];
  int waiting;
  int closed;
};

static int channel_attach(struct knote* kn) {
  struct channel* c = (struct channel*)kn->kn_id;
  if (c == NULL) return EINVAL;
  kn->kn_hook = c;
  kn->kn_flags |= EV_CLEAR;
  pthread_mutex_lock(&c->mutex);
  SLIST_INSERT_HEAD(&c->notes, kn, kn_selnext);
  pthread_mutex_unlock(&c->mutex);
  return 0;
}

static void channel_detach(struct knote* kn) {
  struct channel* c = kn->kn_hook;
  pthread_mutex_lock(&c->mutex);
  SLIST_REMOVE(&c->notes, kn, knote, kn_selnext);
  pthread_mutex_unlock(&c->mutex);
}

static int channel_event(struct knote* kn, long hint) {
  struct channel* c = kn->kn_hook;
  if (hint != HELD) pthread_mutex_lock(&c->mutex);
  kn->kn_data = c->waiting;
  if (c->closed) kn->kn_flags |= EV_EOF;
  int ready = c->waiting > 0 || c->closed;
  if (hint != HELD) pthread_mutex_unlock(&c->mutex);
  return ready;
}

static const struct filterops channel_ops = {0, channel_attach, channel_detach, channel_event};

static void channel_send(struct channel* c, const char* text) {
  pthread_mutex_lock(&c->mutex);
  if (c->waiting < CAPACITY) {
    snprintf(c->message[c->waiting++], sizeof c->message[0], "%s", text);
    KNOTE(&c->notes, HELD);
  }
  pthread_mutex_unlock(&c->mutex);
}

static void channel_close(struct channel* c) {
  pthread_mutex_lock(&c->mutex);
  c->closed = 1;
  KNOTE(&c->notes, HELD);
  pthread_mutex_unlock(&c->mutex);
}

/* Takes all messages; returns how many there were. */
static int channel_receive(struct channel* c, char out[CAPACITY][32]) {
  pthread_mutex_lock(&c->mutex);
  int n = c->waiting;
  memcpy(out, c->message, sizeof c->message);
  c->waiting = 0;
  pthread_mutex_unlock(&c->mutex);
  return n;
}

static void* sender(void* arg) {
  for (int i = 1; i <= MESSAGES; ++i) {
    char text[32];
    snprintf(text, sizeof text, "message %d", i);
    channel_send(arg, text);
    usleep(20000);
  }
  channel_close(arg);
  return NULL;
}

int main(void) {
  struct channel c = {.mutex = PTHREAD_MUTEX_INITIALIZER};
  struct kevent change[2];
  struct kevent event;
  char message[CAPACITY][32];
  pthread_t thread;
  int filter;

  int kq = kqueue();
  if (kq < 0) err(1, "kqueue");
  if (kfilter_register("channel", &channel_ops, &filter) != 0) err(1, "kfilter_register");
  EV_SET(&change[0], &c, filter, EV_ADD, 0, 0, NULL);
  EV_SET(&change[1], 1, EVFILT_TIMER, EV_ADD, NOTE_MSECONDS, 50, NULL);
  if (kevent(kq, change, 2, NULL, 0, NULL) < 0) err(1, "kevent");
  if (pthread_create(&thread, NULL, sender, &c) != 0) errx(1, "pthread_create");

  for (int open = 1; open;) {
    if (kevent(kq, NULL, 0, &event, 1, NULL) < 0) err(1, "kevent");
    if (event.filter == EVFILT_TIMER) {
      printf("still waiting\n");
      continue;
    }
    int n = channel_receive(&c, message);
    for (int i = 0; i < n; ++i) printf("%s\n", message[i]);
    open = (event.flags & EV_EOF) == 0;
  }
  pthread_join(thread, NULL);
  close(kq);                                                            /* detaches the note, */
  if (kfilter_unregister("channel") != 0) err(1, "kfilter_unregister"); /* so this succeeds */
  printf("closed\n");
  return 0;
}
