// SPDX-License-Identifier: BSD-2-Clause
//
// What: see scenarios.hpp.
#include "scenarios.hpp"

#include <aio.h>
#include <port.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <memory>
#include <thread>

#include "kqueue.hpp"
#include "objects.hpp"

namespace quay::faults {
namespace {

using namespace quay::test;

uintptr_t number(int fd) { return static_cast<uintptr_t>(fd); }

int change_one(int kq, uintptr_t ident, int filter, unsigned flags, unsigned fflags = 0,
               intptr_t data = 0) {
  struct kevent e;
  EV_SET(&e, ident, static_cast<short>(filter), static_cast<unsigned short>(flags), fflags, data,
         nullptr);
  return ::kevent(kq, &e, 1, nullptr, 0, nullptr);
}

int trigger_one(int kq, uintptr_t ident) {
  return change_one(kq, ident, EVFILT_USER, 0, NOTE_TRIGGER);
}

// The next event is of this filter and identifier.
bool comes(int kq, uintptr_t ident, int filter) {
  struct kevent e {};
  const timespec patience{3, 0};
  return ::kevent(kq, nullptr, 0, &e, 1, &patience) == 1 && e.ident == ident && e.filter == filter;
}

struct makes_queue : scenario {
  int kq = -1;
  int act() override { return (kq = ::kqueue()) < 0 ? -1 : 0; }
  bool works() override {
    return change_one(kq, 77, EVFILT_USER, EV_ADD | EV_CLEAR) == 0 && trigger_one(kq, 77) == 0 &&
           comes(kq, 77, EVFILT_USER);
  }
};

// The rest begins with a queue, a pipe and a socket pair.
struct with_queue : scenario {
  int kq = -1;
  pipe_ends p;
  socket_pair s;
  void prepare() override {
    kq = checked(::kqueue(), "kqueue");
    p = make_pipe();
    s = make_socketpair();
  }
};

struct first_read : with_queue {
  int act() override { return change_one(kq, number(p.reader), EVFILT_READ, EV_ADD); }
  bool works() override {
    put(p.writer, "x");
    return comes(kq, number(p.reader), EVFILT_READ);
  }
};

struct edge_read : first_read {
  int act() override { return change_one(kq, number(p.reader), EVFILT_READ, EV_ADD | EV_CLEAR); }
};

// The second direction of a descriptor needs a set of its own.
struct write_beside_read : with_queue {
  void prepare() override {
    with_queue::prepare();
    checked(change_one(kq, number(s.here), EVFILT_READ, EV_ADD), "kevent");
  }
  int act() override { return change_one(kq, number(s.here), EVFILT_WRITE, EV_ADD); }
  bool works() override { return comes(kq, number(s.here), EVFILT_WRITE); }
};

struct reads_file : with_queue {
  temporary_directory where;
  unique_fd file;
  void prepare() override {
    with_queue::prepare();
    file = where.make_file("bytes");
  }
  int act() override { return change_one(kq, number(file), EVFILT_READ, EV_ADD); }
  bool works() override { return comes(kq, number(file), EVFILT_READ); }
};

struct watches_file : reads_file {
  int act() override {
    return change_one(kq, number(file), EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
  }
  bool works() override {
    put(file, "more than there was");
    return comes(kq, number(file), EVFILT_VNODE);
  }
};

struct adds_timer : with_queue {
  int act() override { return change_one(kq, 1, EVFILT_TIMER, EV_ADD, 0, 1); }
  bool works() override { return becomes_readable(kq) && comes(kq, 1, EVFILT_TIMER); }
};

struct adds_user : with_queue {
  int act() override { return change_one(kq, 1, EVFILT_USER, EV_ADD | EV_CLEAR); }
  bool works() override {
    return trigger_one(kq, 1) == 0 && looks_readable(kq) && comes(kq, 1, EVFILT_USER);
  }
};

struct triggers : adds_user {
  void prepare() override {
    adds_user::prepare();
    checked(adds_user::act(), "kevent");
  }
  int act() override { return trigger_one(kq, 1); }
  bool works() override { return looks_readable(kq) && comes(kq, 1, EVFILT_USER); }
};

// By a number that nobody told us of: who asks the kernel needs no descriptor.
struct adds_by_duplicate : with_queue {
  int other = -1;
  void prepare() override {
    with_queue::prepare();
    other = static_cast<int>(checked(::syscall(SYS_dup, kq), "dup"));
  }
  int act() override { return change_one(other, 1, EVFILT_USER, EV_ADD | EV_CLEAR); }
  bool works() override { return trigger_one(kq, 1) == 0 && comes(other, 1, EVFILT_USER); }
};

struct watches_process : with_queue {
  pid_t child = -1;
  void prepare() override {
    with_queue::prepare();
    child = checked(::fork(), "fork");
    if (child != 0) return;
    ::pause();
    ::_exit(0);
  }
  ~watches_process() override {
    if (child <= 0) return;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  int act() override {
    return change_one(kq, static_cast<uintptr_t>(child), EVFILT_PROC, EV_ADD, NOTE_EXIT);
  }
  bool works() override {
    ::kill(child, SIGKILL);
    return comes(kq, static_cast<uintptr_t>(child), EVFILT_PROC);
  }
};

struct watches_signal : with_queue {
  void prepare() override {
    with_queue::prepare();
    ::signal(SIGUSR1, [](int) {});
  }
  int act() override { return change_one(kq, SIGUSR1, EVFILT_SIGNAL, EV_ADD); }
  bool works() override {
    ::kill(::getpid(), SIGUSR1);
    return comes(kq, SIGUSR1, EVFILT_SIGNAL);
  }
};

struct watches_mounts : with_queue {
  int act() override { return change_one(kq, 0, EVFILT_FS, EV_ADD); }
  bool works() override { return change_one(kq, 0, EVFILT_FS, EV_DELETE) == 0; }
};

struct watches_queue : with_queue {
  int inner = -1;
  void prepare() override {
    with_queue::prepare();
    inner = checked(::kqueue(), "kqueue");
    checked(change_one(inner, 5, EVFILT_USER, EV_ADD), "kevent");
  }
  int act() override { return change_one(kq, number(inner), EVFILT_READ, EV_ADD); }
  bool works() override {
    return trigger_one(inner, 5) == 0 && comes(kq, number(inner), EVFILT_READ);
  }
};

// What is ready must not be lost to a look that failed.
struct fetches : first_read {
  struct kevent got {};
  int found = 0;
  void prepare() override {
    first_read::prepare();
    checked(first_read::act(), "kevent");
    put(p.writer, "x");
  }
  int act() override {
    const timespec now{};
    found = ::kevent(kq, nullptr, 0, &got, 1, &now);
    return found < 0 ? -1 : 0;
  }
  bool works() override {
    return found == 1 ? got.ident == number(p.reader) : comes(kq, number(p.reader), EVFILT_READ);
  }
};

// --- event ports ----------------------------------------------------------------------------------

bool arrives(int port, int source, uintptr_t object) {
  port_event_t e{};
  timespec patience{3, 0};
  return ::port_get(port, &e, &patience) == 0 && e.portev_source == source &&
         e.portev_object == object;
}

struct makes_port : scenario {
  int port = -1;
  int act() override { return (port = ::port_create()) < 0 ? -1 : 0; }
  bool works() override {
    return ::port_send(port, 1, nullptr) == 0 && arrives(port, PORT_SOURCE_USER, 0);
  }
};

struct with_port : with_queue {
  int port = -1;
  void prepare() override {
    with_queue::prepare();
    port = checked(::port_create(), "port_create");
  }
};

struct associates : with_port {
  int act() override {
    return ::port_associate(port, PORT_SOURCE_FD, number(p.reader), POLLIN, nullptr);
  }
  bool works() override {
    put(p.writer, "x");
    return arrives(port, PORT_SOURCE_FD, number(p.reader));
  }
};

struct associates_file : with_port {
  temporary_directory where;
  unique_fd file;
  std::string path;
  file_obj_t what{};
  void prepare() override {
    with_port::prepare();
    file = where.make_file("bytes");
    path = where.path() + "/file";
    what.fo_name = path.data();
  }
  uintptr_t object() const { return reinterpret_cast<uintptr_t>(&what); }
  int act() override {
    return ::port_associate(port, PORT_SOURCE_FILE, object(), FILE_MODIFIED, nullptr);
  }
  bool works() override {
    put(file, "more");
    return arrives(port, PORT_SOURCE_FILE, object());
  }
};

struct sends : with_port {
  int act() override { return ::port_send(port, 1, nullptr); }
  bool works() override { return looks_readable(port) && arrives(port, PORT_SOURCE_USER, 0); }
};

struct gets : with_port {
  port_event_t got{};
  void prepare() override {
    with_port::prepare();
    checked(::port_send(port, 42, nullptr), "port_send");
  }
  int act() override {
    timespec now{};
    return ::port_get(port, &got, &now);
  }
  bool works() override { return got.portev_events == 42; }
};

// --- pipes, signalfd, poll ------------------------------------------------------------------------

struct makes_pipe : scenario {
  int ends[2] = {-1, -1};
  int act() override { return ::quay_pipe2(ends, O_CLOEXEC); }
  bool works() override {
    char byte = 0;
    return quay_write(ends[1], "x", 1) == 1 && quay_read(ends[0], &byte, 1) == 1 && byte == 'x';
  }
};

// So often that its locks become the thread's own.
struct uses_pipe_often : scenario {
  int ends[2];
  char byte = 'x';
  int use() {
    for (int i = 0; i < 200; ++i) {
      if (::quay_write(ends[1], &byte, 1) != 1 || ::quay_read(ends[0], &byte, 1) != 1) return -1;
    }
    return 0;
  }
  void prepare() override { ::quay_pipe2(ends, O_CLOEXEC); }
  int act() override { return use(); }
  bool works() override {
    return ::quay_write(ends[1], "y", 1) == 1 && ::quay_read(ends[0], &byte, 1) == 1 && byte == 'y';
  }
};

struct uses_pipe_of_another_thread : uses_pipe_often {
  void prepare() override {
    uses_pipe_often::prepare();
    std::thread([this] { use(); }).join();
  }
  int act() override { return ::quay_write(ends[1], &byte, 1) == 1 ? 0 : -1; }
  bool works() override { return ::quay_read(ends[0], &byte, 1) == 1 && uses_pipe_often::works(); }
};

struct submits_read : reads_file {
  char bytes[8] = {};
  // Its own, for glibc ends it with an array of no size.
  std::unique_ptr<aiocb> request = std::make_unique<aiocb>();
  int act() override {
    request->aio_fildes = file;
    request->aio_buf = bytes;
    request->aio_nbytes = sizeof bytes;
    request->aio_sigevent.sigev_notify = SIGEV_KEVENT;
    request->aio_sigevent.sigev_notify_kqueue = kq;
    return ::aio_read(request.get());
  }
  bool works() override {
    return comes(kq, reinterpret_cast<uintptr_t>(request.get()), EVFILT_AIO) &&
           ::aio_return(request.get()) == 5 && bytes[0] == 'b';
  }
};

struct makes_signalfd : scenario {
  int fd = -1;
  int act() override {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    return (fd = ::quay_signalfd(-1, &set, SFD_CLOEXEC)) < 0 ? -1 : 0;
  }
  bool works() override { return fd >= 0; }
};

struct polls : adds_user {
  pollfd what{};
  void prepare() override {
    adds_user::prepare();
    checked(adds_user::act(), "kevent");
    checked(trigger_one(kq, 1), "kevent");
  }
  int act() override {
    what = {kq, POLLIN, 0};
    return ::quay_poll(&what, 1, 0) < 0 ? -1 : 0;
  }
  bool works() override { return what.revents == POLLIN && comes(kq, 1, EVFILT_USER); }
};

template <typename Scenario>
std::unique_ptr<scenario> make() {
  return std::make_unique<Scenario>();
}

}  // namespace

const std::vector<named_scenario>& scenarios() {
  static const std::vector<named_scenario> all{
      {"Kqueue", make<makes_queue>},
      {"AddRead", make<first_read>},
      {"AddEdgeRead", make<edge_read>},
      {"AddWriteBesideRead", make<write_beside_read>},
      {"AddReadOfFile", make<reads_file>},
      {"AddVnode", make<watches_file>},
      {"AddTimer", make<adds_timer>},
      {"AddUser", make<adds_user>},
      {"Trigger", make<triggers>},
      {"AddByDuplicate", make<adds_by_duplicate>},
      {"AddProcess", make<watches_process>},
      {"AddSignal", make<watches_signal>},
      {"AddFs", make<watches_mounts>},
      {"AddReadOfQueue", make<watches_queue>},
      {"Fetch", make<fetches>},
      {"PortCreate", make<makes_port>},
      {"PortAssociateDescriptor", make<associates>},
      {"PortAssociateFile", make<associates_file>},
      {"PortSend", make<sends>},
      {"PortGet", make<gets>},
      {"Pipe", make<makes_pipe>},
      {"PipeOfOne", make<uses_pipe_often>},
      {"PipeOfAnother", make<uses_pipe_of_another_thread>},
      {"AioRead", make<submits_read>},
      {"Signalfd", make<makes_signalfd>},
      {"Poll", make<polls>},
  };
  return all;
}

}  // namespace quay::faults
