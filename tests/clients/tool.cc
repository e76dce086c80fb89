// SPDX-License-Identifier: BSD-2-Clause
//
// What: bin/quay as its users call it: what `watch` prints of each kind of event, how it ends, what
// `doctor` says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.hpp"

namespace quay::test {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

class tool_test : public testing::Test {
 protected:
  void SetUp() override { QUAY_SKIP_UNLESS_BUILT(tool()); }

  static std::vector<std::string> words(const std::vector<std::string>& more) {
    std::vector<std::string> all = {tool()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  struct result {
    std::vector<json> lines;
    int status;
  };
  static result run(const std::vector<std::string>& more, int input = -1) {
    program it(words(more), input);
    result out{{}, 0};
    for (std::string line; !(line = it.read_line()).empty();)
      out.lines.push_back(json::parse(line));
    out.status = it.exit_status();
    return out;
  }
  static int status_of(const std::vector<std::string>& more) {
    return program(words(more)).exit_status();
  }
};

using Quay_Watch = tool_test;
using Quay_Doctor = tool_test;
using Quay_Run = tool_test;

TEST_F(Quay_Watch, ShowsBytesThenTheEndAndStopsThere) {
  auto ends = make_pipe();
  program it(words({"watch", "--read", "-", "--json"}), ends.reader);
  checked(static_cast<int>(::write(ends.writer, "hello\n", 6)), "write");
  const json first = json::parse(it.read_line());
  EXPECT_EQ(first["ident"], 0);
  EXPECT_EQ(first["filter"], "EVFILT_READ");
  EXPECT_THAT(first["flags"], Contains("EV_CLEAR"));
  EXPECT_THAT(first["flags"], Not(Contains("EV_EOF")));
  EXPECT_EQ(first["data"], 6);
  EXPECT_EQ(first["udata"], 1);
  EXPECT_EQ(first["source"], "--read -");
  EXPECT_EQ(first["meaning"], "6 bytes to read");
  ends.writer.close();
  const json second = json::parse(it.read_line());
  EXPECT_THAT(second["flags"], Contains("EV_EOF"));
  EXPECT_EQ(it.read_line(), "");
  EXPECT_EQ(it.exit_status(), 0);
}

TEST_F(Quay_Watch, TimersComeAsOftenAsCounted) {
  const result got = run({"watch", "--timer", "5ms", "--count", "3", "--json"});
  ASSERT_EQ(got.lines.size(), 3U);
  for (const json& each : got.lines) {
    EXPECT_EQ(each["filter"], "EVFILT_TIMER");
    EXPECT_EQ(each["ident"], 1);
    EXPECT_GE(each["data"], 1);
  }
  EXPECT_EQ(got.status, 0);
}

TEST_F(Quay_Watch, APortTellsOfDescriptorsTimersAndUserEvents) {
  auto ends = make_pipe();
  checked(static_cast<int>(::write(ends.writer, "abc", 3)), "write");
  const result got = run(
      {"watch", "--port", "--read", "0", "--after", "2ms", "--user", "7", "--json"}, ends.reader);
  ASSERT_EQ(got.lines.size(), 3U);
  EXPECT_EQ(got.lines[0]["source"], "PORT_SOURCE_FD");
  EXPECT_EQ(got.lines[0]["events_names"], json({"POLLIN"}));
  EXPECT_EQ(got.lines[0]["object"], 0);
  EXPECT_EQ(got.lines[1]["source"], "PORT_SOURCE_USER");
  EXPECT_EQ(got.lines[1]["events"], 7);
  EXPECT_EQ(got.lines[1]["user"], 3);
  EXPECT_EQ(got.lines[2]["source"], "PORT_SOURCE_TIMER");
  EXPECT_EQ(got.lines[2]["from"], "--after 2ms");
  EXPECT_EQ(got.status, 0);
}

TEST_F(Quay_Watch, APortTellsOfAFileUntilItIsDeleted) {
  const temporary_directory directory;
  const std::string path = directory.path() + "/file";
  directory.make_file("x");
  program it(words({"watch", "--port", "--file", path, "--timer", "10ms", "--json"}));
  EXPECT_EQ(json::parse(it.read_line())["source"], "PORT_SOURCE_TIMER");
  ::unlink(path.c_str());
  json line;
  do {
    line = json::parse(it.read_line());
  } while (line["source"] != "PORT_SOURCE_FILE");
  EXPECT_THAT(line["events_names"], Contains("FILE_DELETE"));
  it.send_signal(SIGTERM);
  EXPECT_EQ(it.exit_status(), 0);
}

TEST_F(Quay_Watch, APortHasNoSourceForProcesses) {
  EXPECT_EQ(status_of({"watch", "--port", "--process", "1"}), 2);
}

TEST_F(Quay_Watch, EndsWhenNothingMoreCanCome) {
  const result got = run({"watch", "--after", "2ms", "--user", "7", "--json"});
  ASSERT_EQ(got.lines.size(), 2U);
  EXPECT_EQ(got.status, 0);
}

TEST_F(Quay_Watch, UserEventsCarryTheirCount) {
  const result got = run({"watch", "--user", "42@1ms", "--count", "2", "--json"});
  ASSERT_EQ(got.lines.size(), 2U);
  EXPECT_EQ(got.lines[0]["filter"], "EVFILT_USER");
  EXPECT_EQ(got.lines[0]["ident"], 42);
  EXPECT_GE(got.lines[0]["fflags"], 1);
  EXPECT_EQ(got.lines[0]["fflags"], got.lines[0]["data"]);
  EXPECT_GT(got.lines[1]["fflags"], got.lines[0]["fflags"]);
}

TEST_F(Quay_Watch, LevelRepeatsUntilDrained) {
  auto ends = make_pipe();
  checked(static_cast<int>(::write(ends.writer, "abc", 3)), "write");
  const result level =
      run({"watch", "--read", "0", "--level", "--count", "3", "--json"}, ends.reader);
  ASSERT_EQ(level.lines.size(), 3U);
  EXPECT_EQ(level.lines[2]["data"], 3);
  ends.writer.close();
  const result drained = run({"watch", "--read", "0", "--level", "--drain", "--json"}, ends.reader);
  ASSERT_EQ(drained.lines.size(), 1U);
  EXPECT_THAT(drained.lines[0]["flags"], Contains("EV_EOF"));
}

TEST_F(Quay_Watch, WriteTellsTheRoom) {
  const auto ends = make_pipe();
  const result got = run({"watch", "--write", "0", "--count", "1", "--json"}, ends.writer);
  ASSERT_EQ(got.lines.size(), 1U);
  EXPECT_EQ(got.lines[0]["filter"], "EVFILT_WRITE");
  EXPECT_GT(got.lines[0]["data"], 0);
}

TEST_F(Quay_Watch, FilesTellWhatHappensToThem) {
  const temporary_directory directory;
  const unique_fd file = directory.make_file("");
  program it(words({"watch", "--file", directory.path() + "/file", "--user", "1@1ms", "--json"}));
  ASSERT_NE(it.read_line(), "") << "it watches by now";
  put(file, "x");
  json line;
  do line = json::parse(it.read_line());
  while (line["filter"] != "EVFILT_VNODE");
  EXPECT_THAT(line["fflags_names"], testing::UnorderedElementsAre("NOTE_WRITE", "NOTE_EXTEND"));
  EXPECT_EQ(line["meaning"], "written, grown");
  it.send_signal(SIGINT);
  EXPECT_EQ(it.exit_status(), 0);
}

TEST_F(Quay_Watch, ProcessesTellHowTheyEnd) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::pause();
    ::_exit(0);
  }
  program it(words({"watch", "--process", std::to_string(pid), "--json"}));
  ::kill(pid, SIGKILL);
  const json got = json::parse(it.read_line());
  ::waitpid(pid, nullptr, 0);
  EXPECT_EQ(got["filter"], "EVFILT_PROC");
  EXPECT_EQ(got["ident"], pid);
  EXPECT_THAT(got["fflags_names"], Contains("NOTE_EXIT"));
  EXPECT_EQ(got["meaning"], "killed by signal 9");
  EXPECT_EQ(it.exit_status(), 0);
}

TEST_F(Quay_Watch, TheTableIsForPeople) {
  program it(words({"watch", "--after", "1ms"}));
  const std::string text = it.read_all();
  for (const char* word : {"time", "filter", "ident", "flags", "fflags", "data", "udata", "TIMER",
                           "ONESHOT", "expired 1 time", "--after 1ms"})
    EXPECT_THAT(text, HasSubstr(word));
  EXPECT_THAT(text, Not(HasSubstr("\x1b"))) << "colour without a terminal";
}

TEST_F(Quay_Watch, EndsBySignal) {
  program it(words({"watch", "--user", "1@1ms", "--json"}));
  ASSERT_NE(it.read_line(), "");
  it.send_signal(SIGINT);
  EXPECT_EQ(it.exit_status(), 0);
}

TEST_F(Quay_Watch, ExitStatusTellsNothingSeenFromWrongUsage) {
  EXPECT_EQ(status_of({"watch", "--after", "1h", "--for", "1ms"}), 1);
  EXPECT_EQ(status_of({"watch", "--read", "/nowhere"}), 1);
  EXPECT_EQ(status_of({"watch", "--read", "900"}), 1);
  EXPECT_EQ(status_of({"watch", "--except", "0"}), 1) << "the default dialect has no EVFILT_EXCEPT";
  EXPECT_EQ(status_of({"watch"}), 2);
  EXPECT_EQ(status_of({"watch", "--timer", "5 parsecs"}), 2);
  EXPECT_EQ(status_of({"watch", "--user", "one"}), 2);
  EXPECT_EQ(status_of({"watch", "--timer", "1ms", "--count", "0"}), 2);
  EXPECT_EQ(status_of({"watch", "--timer", "1ms", "--count", "many"}), 2);
  EXPECT_EQ(status_of({"watch", "--process", "one"}), 2);
  EXPECT_EQ(status_of({"watch", "--file", "/nowhere"}), 1);
  EXPECT_EQ(status_of({"watch", "--timer", "1s", "--dialect", "plan9"}), 2);
  EXPECT_EQ(status_of({}), 2);
  EXPECT_EQ(status_of({"nothing"}), 2);
}

TEST_F(Quay_Watch, HelpIsEverywhere) {
  EXPECT_EQ(status_of({"--help"}), 0);
  EXPECT_EQ(status_of({"watch", "--help"}), 0);
  for (const char* command : {"run", "trace", "stat", "doctor", "bench"}) {
    EXPECT_EQ(status_of({command, "--help"}), 0) << command;
  }
}

TEST_F(Quay_Doctor, FindsThisSystemFit) {
  program it(words({"doctor", "--json"}));
  const json got = json::parse(it.read_all());
  EXPECT_EQ(it.exit_status(), 0) << got.dump(2);
  EXPECT_TRUE(got["healthy"]);
  EXPECT_TRUE(got["kernel"]["new_enough"]);
  EXPECT_FALSE(got["hooks"]["this_process"]);
  EXPECT_TRUE(got["hooks"]["preloaded"]);
  EXPECT_TRUE(got["hooks"]["close_is_heard"]);
  EXPECT_TRUE(got["hooks"]["dup2_is_heard"]);
  EXPECT_FALSE(got["hooks"]["without"].empty());
  EXPECT_THAT(got["hooks"]["close_from"].get<std::string>(), HasSubstr("libquay-hooks.so"));
  EXPECT_GT(got["limits"]["RLIMIT_NOFILE"]["soft"], 0);
  EXPECT_EQ(got["tunables"]["kq_calloutmax"], 4096);
  std::vector<std::string> names;
  for (const json& each : got["facilities"]) names.push_back(each["name"]);
  EXPECT_THAT(names, testing::IsSupersetOf({"epoll_pwait2", "close_range", "pidfd", "io_uring",
                                            "membarrier", "F_DUPFD_QUERY", "timerfd", "eventfd"}));
}

TEST_F(Quay_Doctor, TunablesThatCannotBeSetAreLeftAsTheyAre) {
  const json before = json::parse(program(words({"doctor", "--json"})).read_all())["tunables"];
  ::setenv("QUAY_TUNABLES", "spin_us=-9,kq_calloutmax=7x,so_error_in_fflags=1,nothing=3", 1);
  program it(words({"doctor", "--json"}));
  ::unsetenv("QUAY_TUNABLES");
  const json after = json::parse(it.read_all())["tunables"];
  EXPECT_EQ(after["spin_us"], before["spin_us"]);
  EXPECT_EQ(after["kq_calloutmax"], before["kq_calloutmax"]);
  EXPECT_EQ(after["so_error_in_fflags"], 1);
}

TEST_F(Quay_Doctor, SpeaksPlainly) {
  program it(words({"doctor"}));
  const std::string text = it.read_all();
  EXPECT_EQ(it.exit_status(), 0);
  for (const char* word :
       {"Kernel", "Hooks", "Limits", "Tunables", "Everything quay needs is here."})
    EXPECT_THAT(text, HasSubstr(word));
}

TEST_F(Quay_Run, BecomesTheProgram) {
  program it(words({"run", "--", "sh", "-c", "echo $0 $1; exit 3", "--help", "-x"}));
  EXPECT_EQ(it.read_all(), "--help -x\n");
  EXPECT_EQ(it.exit_status(), 3);
  EXPECT_EQ(status_of({"run"}), 2);
  EXPECT_EQ(status_of({"run", "--pipe", "true"}), 2) << "an option that there is not, no program";
  EXPECT_EQ(status_of({"trace", "-z", "true"}), 2);
  EXPECT_EQ(status_of({"run", "/no/such/program"}), 127);
  EXPECT_EQ(status_of({"run", "/"}), 126);
}

TEST_F(Quay_Run, TheProgramHearsOfEveryClose) {
  program it(words({"run", tool().string(), "hook-probe"}));
  const json got = json::parse(it.read_all());
  EXPECT_EQ(it.exit_status(), 0);
  EXPECT_TRUE(got["hooked"]);
  EXPECT_THAT(got["close_from"].get<std::string>(), HasSubstr("libquay-hooks.so"));
}

TEST_F(Quay_Run, SoDoesWhateverItStartsInWhateverEnvironment) {
  ::setenv("QUAY_TUNABLES", "spin_us=7", 1);
  program it(words({"run", "env", "-i", "A=1", "LD_PRELOAD=", "sh", "-c", "exec env -i env"}));
  ::unsetenv("QUAY_TUNABLES");
  const std::string text = it.read_all();
  EXPECT_EQ(it.exit_status(), 0);
  EXPECT_THAT(text, HasSubstr("LD_PRELOAD="));
  EXPECT_THAT(text, HasSubstr("libquay-hooks.so"));
  EXPECT_THAT(text, HasSubstr("libquay.so"));
  EXPECT_THAT(text, HasSubstr("QUAY_TUNABLES=spin_us=7"));
  EXPECT_THAT(text, Not(HasSubstr("A=1")));
}

// Built against the library alone: the same programs' other halves skip what needs the hooks.
TEST_F(Quay_Run, AProgramLinkedWithoutTheHooksHasTheFullRulesOfClosing) {
  const auto linked = built("QUAY_CONTRACT_DIR", "tests", "contract_kqueue_unhooked");
  QUAY_SKIP_UNLESS_BUILT(linked);
  const std::string some = "--gtest_filter=Dialect/Kqueue_Closed.*:Dialect/Kqueue_Hooks.Close*";
  program it(words({"run", linked.string(), some}));
  const std::string text = it.read_all();
  EXPECT_EQ(it.exit_status(), 0) << text;
  EXPECT_THAT(text, Not(HasSubstr("SKIPPED")));
  EXPECT_THAT(text, HasSubstr("Kqueue_Hooks.CloseRangeAndClosefrom"));
}

TEST_F(Quay_Run, PipesAreQuaysWhenAskedForAlsoInWhateverItStarts) {
  program it(words({"run", "--pipes", "sh", "-c", "exec env -i env"}));
  EXPECT_THAT(it.read_all(), HasSubstr("QUAY_PIPES=1"));
  EXPECT_EQ(it.exit_status(), 0);
  program without(words({"run", "env"}));
  EXPECT_THAT(without.read_all(), Not(HasSubstr("QUAY_PIPES")));
}

}  // namespace
}  // namespace quay::test
