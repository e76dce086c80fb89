// SPDX-License-Identifier: BSD-2-Clause
//
// What: `quay bench` as its users call it: what it runs, what a report holds, how it ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.hpp"

namespace quay::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kEarlier =
    R"({"machine":{"processor":"one & only","kernel":"Linux 5.11","compiler":"GCC 12","revision":"abc","date":"2026-01-01"}}
{"case":"a.kept","subject":"x < y","baseline":"epoll","unit":"ns","ours_median":50.0,"base_median":100.0,"p99":60.0,"ratio":0.5,"target":0.6,"met":true,"ratio_p25":0.45,"ratio_p75":0.55}
{"case":"a.missed","subject":"y","baseline":"epoll","unit":"ns","ours_median":90.0,"base_median":100.0,"p99":95.0,"ratio":0.9,"target":0.6,"met":false,"ratio_p25":0.85,"ratio_p75":0.95}
{"case":"b.free","subject":"z","baseline":"libev","unit":"ns","ours_median":30.0,"base_median":10.0,"p99":40.0,"ratio":3.0,"target":null,"met":null}
{"case":"c.skipped","subject":null,"baseline":null,"unit":null,"ours_median":null,"base_median":null,"p99":null,"ratio":null,"target":null,"met":null,"note":"skipped: needs two processors"}
)";

class Quay_Bench : public testing::Test {
 protected:
  void SetUp() override { QUAY_SKIP_UNLESS_BUILT(tool()); }

  static std::vector<std::string> words(std::vector<std::string> more) {
    more.insert(more.begin(), {tool().string(), "bench"});
    return more;
  }
  static int status_of(const std::vector<std::string>& more) {
    return program(words(more)).exit_status();
  }
  std::string path(const char* name) const { return directory_.path() + "/" + name; }
  std::string text_of(const char* name) const {
    std::ifstream in(path(name));
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string earlier() const {
    std::ofstream(path("earlier")) << kEarlier;
    return path("earlier");
  }

 private:
  const temporary_directory directory_;
};

TEST_F(Quay_Bench, AReportIsMadeOfAnEarlierOnesFigures) {
  program it(words({"--from", earlier(), "--report", path("new/report")}));
  const std::string table = it.read_all();
  EXPECT_EQ(it.exit_status(), 0);
  EXPECT_THAT(table, HasSubstr("1 of 2 targets met"));
  EXPECT_THAT(table, HasSubstr("c.skipped: skipped: needs two processors"));
  EXPECT_EQ(text_of("new/report/results.jsonl"), kEarlier);
  const std::string page = text_of("new/report/index.html");
  EXPECT_THAT(page, StartsWith("<!DOCTYPE html>"));
  EXPECT_THAT(page, HasSubstr("one &amp; only"));
  EXPECT_THAT(page, HasSubstr("x &lt; y"));
  EXPECT_THAT(page, HasSubstr("<svg"));
  EXPECT_THAT(page, Not(HasSubstr("src=")));
  EXPECT_THAT(page, Not(HasSubstr("href=")));
  EXPECT_THAT(text_of("new/report/table.md"),
              HasSubstr("| a.missed | y | epoll | ns | 100.0 | 90.0 |"));
  for (const char* plot : {"new/report/ratios.svg", "new/report/times.svg"}) {
    EXPECT_THAT(text_of(plot), StartsWith("<svg")) << plot;
    EXPECT_THAT(text_of(plot), HasSubstr("b.free")) << plot;
    EXPECT_THAT(text_of(plot), Not(HasSubstr("c.skipped"))) << plot;
    EXPECT_THAT(text_of(plot), Not(HasSubstr("nan"))) << plot;
  }
}

TEST_F(Quay_Bench, JsonIsTheLinesAsTheyWere) {
  program it(words({"--from", earlier(), "--json"}));
  EXPECT_EQ(it.read_all(), kEarlier);
  EXPECT_EQ(it.exit_status(), 0);
}

TEST_F(Quay_Bench, RunsTheProgramsThatAreNamed) {
  QUAY_SKIP_UNLESS_BUILT(built("QUAY_BENCH_DIR", "bench", "bench_face"));
  program it(words({"--smoke", "--json", "--revision", "this one", "face"}));
  const json machine = json::parse(it.read_line())["machine"];
  EXPECT_EQ(machine["revision"], "this one");
  std::vector<std::string> cases;
  for (std::string line; !(line = it.read_line()).empty();) {
    const json row = json::parse(line);
    cases.push_back(row["case"]);
    EXPECT_TRUE(row["met"].is_null()) << "a verdict on a smoke run";
    EXPECT_GT(row["ours_median"], 0.0);
  }
  EXPECT_THAT(cases, testing::ElementsAre("face.user", "face.read.calls", "face.read.epoll"));
  EXPECT_EQ(it.exit_status(), 0);
}

TEST_F(Quay_Bench, ListNamesProgramsAndTheirCases) {
  QUAY_SKIP_UNLESS_BUILT(built("QUAY_BENCH_DIR", "bench", "bench_face"));
  program it(words({"--list", "face"}));
  EXPECT_EQ(it.read_all(), "face\n  face.user\n  face.read\n");
  EXPECT_EQ(it.exit_status(), 0);
}

TEST_F(Quay_Bench, AloneItSaysThatThereIsNothingToRun) {
  const std::string alone = path("quay");
  std::filesystem::copy_file(tool(), alone);
  EXPECT_EQ(program({alone, "bench"}).exit_status(), 1);
  EXPECT_EQ(program({alone, "bench", "--list"}).exit_status(), 1);
}

TEST_F(Quay_Bench, ABrokenProgramIsFoundOutBeforeAnythingIsMeasured) {
  for (const char* folder : {"bin", "bench"}) std::filesystem::create_directory(path(folder));
  std::filesystem::copy_file(tool(), path("bin/quay"));
  const std::string measured = path("measured");
  std::ofstream(path("bench/bench_a"))
      << "#!/bin/sh\n[ \"$1\" = --list ] || touch " << measured << "\n";
  std::ofstream(path("bench/bench_b")) << "#!/bin/sh\nexit 1\n";
  for (const char* script : {"bench/bench_a", "bench/bench_b"}) {
    std::filesystem::permissions(path(script), std::filesystem::perms::owner_all);
  }
  EXPECT_EQ(program({path("bin/quay"), "bench"}).exit_status(), 1);
  EXPECT_FALSE(std::filesystem::exists(measured));
  EXPECT_EQ(program({path("bin/quay"), "bench", "a"}).exit_status(), 0);
  EXPECT_TRUE(std::filesystem::exists(measured));
}

TEST_F(Quay_Bench, OfSeveralRoundsTheMiddleOneCounts) {
  for (const char* folder : {"bin", "bench"}) std::filesystem::create_directory(path(folder));
  std::filesystem::copy_file(tool(), path("bin/quay"));
  // Each run says a ratio that no other does: 0.9, 0.1, 0.5.
  std::ofstream(path("bench/bench_a"))
      << "#!/bin/sh\n[ \"$1\" = --list ] && exit\necho >> " << path("runs") << "\n"
      << "set -- $(wc -l < " << path("runs") << ") 0.9 0.1 0.5\nshift $1\n"
      << "echo '{\"case\":\"a.b\",\"ratio\":'$1',\"met\":null}'\n";
  std::filesystem::permissions(path("bench/bench_a"), std::filesystem::perms::owner_all);
  program it({path("bin/quay"), "bench", "--rounds", "3", "--json"});
  it.read_line();  // the machine
  const json row = json::parse(it.read_line());
  EXPECT_EQ(row["ratio"], 0.5);
  EXPECT_EQ(row["round_ratios"], json({0.1, 0.5, 0.9}));
  EXPECT_EQ(it.read_all(), "");
  EXPECT_EQ(it.exit_status(), 0);
}

TEST_F(Quay_Bench, ExitStatusTellsFailureFromWrongUsage) {
  EXPECT_EQ(status_of({"--from", path("nothing")}), 2);
  EXPECT_EQ(status_of({"--from", earlier(), "--smoke"}), 2);
  EXPECT_EQ(status_of({"--list", "--report", path("x")}), 2);
  EXPECT_EQ(status_of({"--repetitions", "1"}), 2);
  EXPECT_EQ(status_of({"--rounds", "0"}), 2);
  EXPECT_EQ(status_of({"--report"}), 2);
  EXPECT_EQ(status_of({"--help"}), 0);
  EXPECT_EQ(status_of({"--from", earlier(), "--report", path("earlier") + "/below-a-file"}), 1);
  std::ofstream(path("noise")) << "hello\n";
  EXPECT_EQ(status_of({"--from", path("noise")}), 1);
  std::ofstream(path("empty")) << "";
  EXPECT_EQ(status_of({"--from", path("empty")}), 1);
}

TEST_F(Quay_Bench, AnUnknownProgramIsWrongUsage) {
  QUAY_SKIP_UNLESS_BUILT(built("QUAY_BENCH_DIR", "bench", "bench_face"));
  EXPECT_EQ(status_of({"--smoke", "nothing"}), 2);
}

}  // namespace
}  // namespace quay::test
