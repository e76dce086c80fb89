// SPDX-License-Identifier: BSD-2-Clause
//
// What: `quay stat` looks into this process from another, which gets no help from it.
// Contract: tools/quay/stat.cc; core/catalogue.hpp.
#include <fcntl.h>
#include <poll.h>
#include <port.h>
#include <quay/quay.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "support/aio.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;

struct spoken {
  std::string text;
  int status;
};

// The tool, as a child of this process, with both its outputs.
spoken tool(const std::string& words) {
  FILE* out = ::popen((QUAY_TOOL " " + words + " 2>&1").c_str(), "r");
  EXPECT_NE(out, nullptr);
  spoken said{};
  for (int c; (c = ::fgetc(out)) != EOF;) said.text += static_cast<char>(c);
  const int status = ::pclose(out);
  said.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return said;
}

class Tool_Stat : public testing::Test {
 protected:
  // A strict system lets only parents look at their children.
  void SetUp() override { ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); }

  static json look(const std::string& options = "") {
    const spoken said = tool("stat " + std::to_string(::getpid()) + " --json " + options);
    EXPECT_EQ(said.status, 0) << said.text;
    return json::parse(said.text, nullptr, false);
  }
  // The object of a kind with that number; null when it is not shown.
  static json one_of(const json& all, const char* kind, const char* name, int fd) {
    for (const json& each : all.value(kind, json::array())) {
      if (each[name] == fd) return each;
    }
    return nullptr;
  }
  static json queue_at(const json& all, int fd) { return one_of(all, "kqueue", "descriptor", fd); }
};

TEST_F(Tool_Stat, ShowsAQueueWithItsCounts) {
  const queue kq = make_queue(QUAY_DIALECT_NETBSD);
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER), add(2, EVFILT_USER), trigger(2),
                         add(3, EVFILT_TIMER).data(100000)}),
              Succeeds());
  const json shown = queue_at(look(), kq);
  ASSERT_FALSE(shown.is_null());
  EXPECT_EQ(shown["dialect"], "netbsd");
  EXPECT_EQ(shown["notes"], 3);
  EXPECT_EQ(shown["queued"], 1);
  EXPECT_EQ(shown["timers"], 1);
  EXPECT_EQ(shown["sleepers"], 0);
  EXPECT_EQ(shown["calls"], 1);
  ASSERT_EQ(poll(kq).size(), 1u);
  EXPECT_EQ(queue_at(look(), kq)["delivered"], 1);
}

TEST_F(Tool_Stat, ShowsWhoSleepsInAQueue) {
  const queue kq = make_queue();
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER)}), Succeeds());
  {
    waiter sleeper(kq, 1);
    ASSERT_TRUE(sleeper.falls_asleep());
    EXPECT_EQ(queue_at(look(), kq)["sleepers"], 1);
    ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
    sleeper.result();
  }
  EXPECT_EQ(queue_at(look(), kq)["sleepers"], 0);
}

TEST_F(Tool_Stat, ListsWhatIsRegistered) {
  const queue kq = make_queue();
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ, EV_CLEAR), add(p.writer, EVFILT_WRITE),
                         disable(p.writer, EVFILT_WRITE), add(77, EVFILT_USER)}),
              Succeeds());
  const json shown = queue_at(look("--notes"), kq);
  ASSERT_FALSE(shown.is_null());
  const json& notes = shown["registered"];
  ASSERT_EQ(notes.size(), 3u);
  const auto note = [&](int filter) {
    for (const json& each : notes) {
      if (each["filter"] == filter) return each;
    }
    return json();
  };
  EXPECT_EQ(note(EVFILT_READ)["ident"], p.reader.operator int());
  EXPECT_EQ(note(EVFILT_READ)["filter_name"], "EVFILT_READ");
  EXPECT_THAT(note(EVFILT_READ)["flags_names"], Contains("EV_CLEAR"));
  EXPECT_THAT(note(EVFILT_WRITE)["states"], Contains("disabled"));
  EXPECT_EQ(note(EVFILT_USER)["ident"], 77);
}

TEST_F(Tool_Stat, AQueueThatEndedIsNotShown) {
  int number = -1;
  {
    const queue kq = make_queue();
    number = kq;
    ASSERT_FALSE(queue_at(look(), number).is_null());
  }
  EXPECT_TRUE(queue_at(look(), number).is_null());
}

TEST_F(Tool_Stat, ShowsRequestsUnderWay) {
  const pipe_ends p = make_pipe();
  request r = request::room_for(p.reader, 4);
  ASSERT_EQ(::aio_read(&r.block), 0);
  const json all = look();
  ASSERT_EQ(all["aio_request"].size(), 1u);
  EXPECT_EQ(all["aio_request"][0]["descriptor"], p.reader.operator int());
  put(p.writer, "abcd");
  EXPECT_EQ(r.finish(), 4);
  EXPECT_FALSE(look().contains("aio_request"));
}

TEST_F(Tool_Stat, ShowsPorts) {
  const unique_fd port(::port_create());
  ASSERT_EQ(::port_send(port, 1, nullptr), 0);
  ASSERT_EQ(::port_send(port, 2, nullptr), 0);
  const json shown = one_of(look(), "port", "descriptor", port);
  ASSERT_FALSE(shown.is_null());
  EXPECT_EQ(shown["queued"], 2);
  EXPECT_EQ(shown["sent"], 2);
  EXPECT_EQ(shown["delivered"], 0);
}

TEST_F(Tool_Stat, ShowsPipesAndWhatTheyHold) {
  int ends[2];
  ASSERT_EQ(::quay_pipe2(ends, O_CLOEXEC), 0);
  ASSERT_EQ(::quay_write(ends[1], "12345", 5), 5);
  const json all = look();
  const json shown = one_of(all, "pipe", "reader", ends[0]);
  EXPECT_EQ(::quay_tunable_get("pipekva"), all["pipes"]["pipekva"]);
  ::quay_close(ends[0]);
  ::quay_close(ends[1]);
  ASSERT_FALSE(shown.is_null());
  EXPECT_EQ(shown["writer"], ends[1]);
  EXPECT_EQ(shown["written"], 5);
  EXPECT_EQ(shown["read"], 0);
  EXPECT_TRUE(one_of(look(), "pipe", "reader", ends[0]).is_null());
}

TEST_F(Tool_Stat, ShowsTunablesAndTheProcess) {
  make_queue();
  const long before = ::quay_tunable_get("kq_calloutmax");
  ASSERT_EQ(::quay_tunable_set("kq_calloutmax", 4321), 0);
  const json all = look();
  ASSERT_EQ(::quay_tunable_set("kq_calloutmax", before), 0);
  EXPECT_EQ(all["tunables"]["kq_calloutmax"], 4321);
  EXPECT_EQ(all["process"]["hooked"], hooked());
  EXPECT_EQ(all["pid"], ::getpid());
}

TEST_F(Tool_Stat, AChildOfForkShowsItsOwn) {
  const queue kq = make_queue();
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER)}), Succeeds());
  int status = 0;
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    const json mine = look();
    const bool gone = queue_at(mine, kq).is_null();
    const queue own = make_queue();
    ::_exit(gone && !queue_at(look(), own).is_null() ? 0 : 1);
  }
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(queue_at(look(), kq)["notes"], 1) << "the parent's is as it was";
}

TEST_F(Tool_Stat, LeavesNoDescriptorAndNoFile) {
  make_queue();
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    EXPECT_THAT(std::filesystem::read_symlink(each.path(), gone).string(),
                testing::Not(HasSubstr("quay-catalogue")));
  }
  EXPECT_FALSE(std::filesystem::exists("/dev/shm/quay-catalogue"));
}

TEST_F(Tool_Stat, SaysWhatIsWrong) {
  EXPECT_THAT(tool("stat 1 --every 1s").status, 2) << "--every needs --watch";
  const spoken none = tool("stat 4194303");
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.text, HasSubstr("no process 4194303"));
  const pid_t stranger = ::fork();
  if (stranger == 0) {
    ::execl("/bin/sleep", "sleep", "100", nullptr);
    ::_exit(1);
  }
  // Until it is another program it still has this one's catalogue.
  while (std::filesystem::read_symlink("/proc/" + std::to_string(stranger) + "/exe") ==
         std::filesystem::read_symlink("/proc/self/exe")) {
  }
  const spoken other = tool("stat " + std::to_string(stranger));
  ::kill(stranger, SIGKILL);
  ::waitpid(stranger, nullptr, 0);
  EXPECT_EQ(other.status, 1);
  EXPECT_THAT(other.text, HasSubstr("has not used quay"));
}

TEST_F(Tool_Stat, WatchingEndsWithTheProcess) {
  const pipe_ends ready = make_pipe();
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    const queue kq = make_queue();
    put(ready.writer, "x");
    for (;;) ::pause();
  }
  pollfd said{ready.reader, POLLIN, 0};
  ASSERT_EQ(::poll(&said, 1, -1), 1);
  FILE* out =
      ::popen((QUAY_TOOL " stat --watch --every 5ms --json " + std::to_string(child)).c_str(), "r");
  ASSERT_NE(out, nullptr);
  int lines = 0;
  for (int c; (c = ::fgetc(out)) != EOF;) {
    if (c == '\n' && ++lines == 3) ::kill(child, SIGKILL);
  }
  EXPECT_EQ(::pclose(out), 0);
  EXPECT_GE(lines, 3);
  ::waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace quay::test
