// SPDX-License-Identifier: BSD-2-Clause
//
// What: `quay trace` shows a program's calls and leaves the program what it is; -c sums them up. And the shell
//       completion finds the tool's own words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "program.hpp"

namespace quay::test {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class Quay_Trace : public testing::Test {
 protected:
  void SetUp() override {
    QUAY_SKIP_UNLESS_BUILT(tool());
    if (!std::filesystem::exists(tool().parent_path().parent_path() / "lib/libquay-trace.so")) {
      GTEST_SKIP() << "libquay-trace.so is not built";
    }
    unique_fd(checked(::mkstemp(file_.data()), "mkstemp")).close();
  }
  void TearDown() override { ::unlink(file_.c_str()); }

  struct result {
    std::string said;
    std::string trace;
    int status;
  };
  result trace(const std::vector<std::string>& options, const std::vector<std::string>& command) {
    std::vector<std::string> words = {tool(), "trace", "-o", file_};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), command.begin(), command.end());
    program it(words);
    result out;
    out.said = it.read_all();
    out.status = it.exit_status();
    std::stringstream text;
    text << std::ifstream(file_).rdbuf();
    out.trace = text.str();
    return out;
  }

  std::string file_ = ::testing::TempDir() + "quay-trace-XXXXXX";
};

TEST_F(Quay_Trace, ShowsChangesAndEventsByTheirNames) {
  QUAY_SKIP_UNLESS_BUILT(example("cxx_queue"));
  const result r = trace({}, {example("cxx_queue")});
  EXPECT_EQ(r.status, 0);
  EXPECT_THAT(r.said, HasSubstr("removed twice"));
  EXPECT_THAT(r.said, Not(HasSubstr("kevent"))) << "the trace is in its file";
  EXPECT_THAT(r.trace, HasSubstr("quay_kqueue(QUAY_DIALECT_FREEBSD, O_CLOEXEC|QUAY_PRIVATE) = "));
  EXPECT_THAT(r.trace, ContainsRegex("kevent\\([0-9]+, \\{[0-9]+ EVFILT_READ EV_ADD "
                                     "QUAY_NOTE_NODATA 0 NULL, 1 EVFILT_USER EV_ADD.EV_CLEAR"));
  EXPECT_THAT(r.trace,
              ContainsRegex("= [0-9] \\{.*1 EVFILT_USER EV_CLEAR 0 42 NULL.*\\} <0\\.[0-9]{6}>"));
  EXPECT_THAT(r.trace, ContainsRegex("EV_DELETE.* = -1 ENOENT <"));
}

TEST_F(Quay_Trace, ShowsPorts) {
  QUAY_SKIP_UNLESS_BUILT(example("cxx_port"));
  const result r = trace({"--"}, {example("cxx_port")});
  EXPECT_EQ(r.status, 0);
  EXPECT_THAT(
      r.trace,
      ContainsRegex("port_associate\\([0-9]+, PORT_SOURCE_FD, [0-9]+, POLLIN, NULL\\) = 0 <"));
  EXPECT_THAT(r.trace,
              ContainsRegex("port_getn\\(.* = 0 \\{PORT_SOURCE_FD [0-9]+, POLLIN NULL\\} <"));
  EXPECT_THAT(r.trace, ContainsRegex("port_send\\([0-9]+, 7, NULL\\) = 0 <")) << "a forked child's";
}

TEST_F(Quay_Trace, ShowsSignalsAndReadsOfTheLibrarysDescriptors) {
  QUAY_SKIP_UNLESS_BUILT(example("cxx_signals"));
  const result r = trace({}, {example("cxx_signals")});
  EXPECT_EQ(r.status, 0);
  EXPECT_THAT(
      r.trace,
      ContainsRegex("quay_signalfd\\(-1, \\{SIGUSR1 SIGTERM\\}, O_CLOEXEC.O_NONBLOCK\\) = "));
  EXPECT_THAT(r.trace, ContainsRegex("quay_read\\([0-9]+, 0x[0-9a-f]+, 512\\) = 256 <"));
  EXPECT_THAT(r.trace, Not(ContainsRegex(" read\\(")))
      << "what the library reads is not the program's";
}

TEST_F(Quay_Trace, SumsUpAllProcesses) {
  QUAY_SKIP_UNLESS_BUILT(example("cxx_port"));
  const result r = trace({"-c"}, {example("cxx_port")});
  EXPECT_EQ(r.status, 0);
  EXPECT_THAT(r.trace, HasSubstr("% time"));
  EXPECT_THAT(r.trace, ContainsRegex(" 3 +port_associate\n"));
  EXPECT_THAT(r.trace, ContainsRegex(" 2 +port_send\n")) << "one of them a forked child's";
}

TEST_F(Quay_Trace, TheExitStatusIsTheProgramsOwn) {
  EXPECT_EQ(trace({}, {"/bin/sh", "-c", "exit 7"}).status, 7);
  EXPECT_EQ(trace({"-c"}, {"/bin/sh", "-c", "exit 7"}).status, 7);
  EXPECT_EQ(trace({"-c"}, {"/bin/sh", "-c", "kill -9 $$"}).status, 128 + 9);
  EXPECT_EQ(trace({}, {"/no/such/program"}).status, 127);
  EXPECT_EQ(trace({"-c"}, {"/no/such/program"}).status, 127);
  EXPECT_EQ(program({tool(), "trace"}).exit_status(), 2);
}

TEST_F(Quay_Trace, BashCompletesSubcommandsAndOptions) {
  const auto script = std::filesystem::path(QUAY_SOURCE_DIR) / "tools/completion/quay.bash";
  const auto complete = [&](const std::string& words, int at) {
    const std::string tried = "PATH=" + tool().parent_path().string() + ":$PATH; source '" +
                              script.string() + "'; COMP_WORDS=(" + words +
                              "); COMP_CWORD=" + std::to_string(at) +
                              "; _quay; printf '%s ' \"${COMPREPLY[@]}\"";
    return program({"/bin/bash", "-c", tried}).read_all();
  };
  EXPECT_EQ(complete("quay tr", 1), "trace ");
  EXPECT_THAT(complete("quay ''", 1), ContainsRegex("watch .*doctor .*run .*trace "));
  EXPECT_EQ(complete("quay trace --ou", 2), "--output ");
  EXPECT_THAT(complete("quay watch --", 2), HasSubstr("--json"));
}

}  // namespace
}  // namespace quay::test
