// SPDX-License-Identifier: BSD-2-Clause
//
// What: a typed channel between threads that kqueue can wait for: a class whose objects are events'
//       identifiers, on a filter that the program registers.
// Contract: <quay/kfilter.h>. data of an event is the number of values that wait; EV_EOF says that
//       the channel was closed.
// Locking: a channel's mutex guards its values and its list of notes.
#include <quay/kfilter.h>
#include <sys/event.h>
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>

// What all channels share, whatever they carry: the notes that wait for them.
class watched_channel {
 public:
  watched_channel(const watched_channel&) = delete;
  watched_channel& operator=(const watched_channel&) = delete;

  // The change that makes a queue wait for this channel.
  struct kevent registration() {
    struct kevent change;
    EV_SET(&change, reinterpret_cast<std::uintptr_t>(this), number(), EV_ADD | EV_CLEAR, 0, 0,
           nullptr);
    return change;
  }

 protected:
  watched_channel() = default;
  virtual ~watched_channel() = default;

  virtual std::size_t waiting() const = 0;   // with mutex_ held
  void changed() { KNOTE(&notes_, kHeld); }  // likewise

  std::mutex mutex_;
  bool closed_ = false;

 private:
  static constexpr long kHeld = 1;

  static int number() {
    static const int given = [] {
      static constexpr filterops ops = {0, attach, detach, event};
      int n = 0;
      const int error = kfilter_register("example-channel", &ops, &n);
      if (error != 0) throw std::system_error(error, std::generic_category(), "kfilter_register");
      return n;
    }();
    return given;
  }

  static int attach(struct knote* kn) {
    auto* self = reinterpret_cast<watched_channel*>(kn->kn_id);
    kn->kn_hook = self;
    const std::lock_guard hold(self->mutex_);
    SLIST_INSERT_HEAD(&self->notes_, kn, kn_selnext);
    return 0;
  }
  static void detach(struct knote* kn) {
    auto* self = static_cast<watched_channel*>(kn->kn_hook);
    const std::lock_guard hold(self->mutex_);
    SLIST_REMOVE(&self->notes_, kn, knote, kn_selnext);
  }
  static int event(struct knote* kn, long hint) {
    auto* self = static_cast<watched_channel*>(kn->kn_hook);
    std::unique_lock hold(self->mutex_, std::defer_lock);
    if (hint != kHeld) hold.lock();
    kn->kn_data = static_cast<std::int64_t>(self->waiting());
    if (self->closed_) kn->kn_flags |= EV_EOF;
    return kn->kn_data > 0 || self->closed_ ? 1 : 0;
  }

  klist notes_{};
};

template <typename T>
class channel final : public watched_channel {
 public:
  void send(T value) {
    const std::lock_guard hold(mutex_);
    values_.push_back(std::move(value));
    changed();
  }
  void close() {
    const std::lock_guard hold(mutex_);
    closed_ = true;
    changed();
  }
  std::optional<T> receive() {
    const std::lock_guard hold(mutex_);
    if (values_.empty()) return std::nullopt;
    T first = std::move(values_.front());
    values_.pop_front();
    return first;
  }

 private:
  std::size_t waiting() const override { return values_.size(); }
  std::deque<T> values_;
};

int main() {
  const int kq = kqueue();
  channel<std::string> words;
  const struct kevent change = words.registration();
  if (kq < 0 || kevent(kq, &change, 1, nullptr, 0, nullptr) < 0) {
    std::perror("kqueue");
    return 1;
  }
  {
    const std::jthread sender([&words] {
      for (const char* word : {"one", "queue", "for", "everything"}) words.send(word);
      words.close();
    });
    for (bool open = true; open;) {
      struct kevent event;
      if (kevent(kq, nullptr, 0, &event, 1, nullptr) < 0) return 1;
      while (const auto word = words.receive()) std::printf("%s\n", word->c_str());
      open = (event.flags & EV_EOF) == 0;
    }
  }
  ::close(kq);  // before the channel ends: its notes go with the queue
  return 0;
}
