// SPDX-License-Identifier: BSD-2-Clause
//
// What: every system call below a public call fails once, at each place where it is made;
//       descriptors run out; address space runs out.
// Contract: the public call succeeds by another way, or fails with an errno that its manual page
//           names and can be repeated with full effect.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <array>
#include <fstream>
#include <functional>
#include <set>

#include "objects.hpp"
#include "scenarios.hpp"
#include "supervisor.hpp"

namespace {

using quay::faults::named_scenario;
using quay::faults::scenario;
using quay::faults::scenarios;
using quay::faults::supervisor;

// What the manual pages of the calls name.
bool documented(int error) {
  for (const int known :
       {EMFILE, ENFILE, ENOMEM, ENOSPC, EINTR, EAGAIN, EACCES, EPERM, EOPNOTSUPP, ENOENT}) {
    if (error == known) return true;
  }
  return false;
}

std::string name_of_error(int error) {
  const char* name = ::strerrorname_np(error);
  return name != nullptr ? name : std::to_string(error);
}

// Runs `body` in a child, for a supervisor's filter and a lowered limit are for good; what it
// returns, "" for success.
std::string in_a_child(const std::function<std::string()>& body) {
  int report[2];
  quay::test::checked(::pipe(report), "pipe");
  const pid_t child = quay::test::checked(::fork(), "fork");
  if (child == 0) {
    ::close(report[0]);
    ::alarm(60);
    const std::string text = body();
    [[maybe_unused]] const auto n = ::write(report[1], text.data(), text.size());
    ::_exit(0);
  }
  ::close(report[1]);
  std::string text;
  char part[512];
  for (ssize_t n; (n = ::read(report[0], part, sizeof part)) > 0;) {
    text.append(part, static_cast<size_t>(n));
  }
  ::close(report[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) text += std::string("killed by ") + ::strsignal(WTERMSIG(status));
  return text;
}

[[maybe_unused]] std::string judge(scenario& s, int result, int error) {
  if (result != 0) {
    if (!documented(error)) return "undocumented: " + name_of_error(error);
    if (s.act() != 0) {
      return "after " + name_of_error(error) + " it fails again: " + name_of_error(errno);
    }
  }
  return s.works() ? "" : "it took no effect";
}

// What is known not to hold. An entry that no longer applies fails its test: it must go.
struct gap {
  const char* scenario;
  const char* fault;  // a system call, "descriptors" or "address space"
  const char* reason;
};
constexpr std::array<gap, 0> kGaps{};

const gap* known_gap(const std::string& scenario, const std::string& fault) {
  for (const gap& g : kGaps) {
    if (scenario == g.scenario && fault == g.fault) return &g;
  }
  return nullptr;
}

// Of a test with a single attempt.
void expect_well(const std::string& wrong, const std::string& scenario, const std::string& fault) {
  const gap* const known = known_gap(scenario, fault);
  if (known == nullptr) {
    EXPECT_EQ(wrong, "");
  } else {
    EXPECT_NE(wrong, "") << "the gap is closed: " << known->reason;
    std::printf("known gap: %s (%s)\n", known->reason, wrong.c_str());
  }
}

constexpr int kCount = -1;

// Makes call number `nth` of the scenario fail with its error number `choice`. "" when all was well,
// "none" when there is no such failure; for kCount "calls " and their number.
[[maybe_unused]] std::string attempt(const named_scenario& n, int nth, int choice) {
  return in_a_child([&]() -> std::string {
    supervisor watch;
    std::string wrong;
    const bool watched = watch.run([&] {
      const auto s = n.make();
      s->prepare();
      watch.arm(nth, choice);
      const int result = s->act();
      const int error = errno;
      const bool failed = watch.disarm();
      if (nth == kCount) {
        wrong = "calls " + std::to_string(watch.calls());
      } else if (!failed) {
        wrong = "none";
      } else if (std::string why = judge(*s, result, error); !why.empty()) {
        wrong = std::string(watch.failed()->name) + " with " + name_of_error(watch.error()) + ": " +
                why;
      }
    });
    return watched ? wrong : "unsupported";
  });
}

class Faults : public testing::TestWithParam<size_t> {
 protected:
  static const named_scenario& what() { return scenarios()[GetParam()]; }
};

std::string name_of(const testing::TestParamInfo<size_t>& info) {
  return scenarios()[info.param].name;
}

TEST_P(Faults, EverySystemCallMayFailOnce) {
#if defined(QUAY_SANITIZED)
  GTEST_SKIP() << "the sanitizer's own system calls would fail";
#else
  const std::string counted = attempt(what(), kCount, 0);
  if (counted == "unsupported") GTEST_SKIP() << "the kernel has no seccomp notification here";
  ASSERT_EQ(counted.substr(0, 6), "calls ") << counted;
  const int calls = std::stoi(counted.substr(6));
  int failures = 0;
  std::set<const gap*> met;
  for (int nth = 0; nth < calls; ++nth) {
    for (int choice = 0; choice < 3; ++choice) {
      const std::string wrong = attempt(what(), nth, choice);
      if (wrong == "none") break;
      ++failures;
      const gap* known = known_gap(what().name, wrong.substr(0, wrong.find(' ')));
      // A child that was killed cannot say which call it was.
      if (wrong.starts_with("killed")) known = known_gap(what().name, "mmap");
      if (known != nullptr) {
        met.insert(known);
        std::printf("known gap: %s (call %d, %s)\n", known->reason, nth, wrong.c_str());
        continue;
      }
      EXPECT_EQ(wrong, "") << "call " << nth << " of " << calls;
    }
  }
  for (const gap& g : kGaps) {
    const std::string fault = g.fault;
    const bool concerns =
        what().name == g.scenario && fault != "descriptors" && fault != "address space";
    if (concerns) {
      EXPECT_TRUE(met.contains(&g)) << "the gap is closed: " << g.reason;
    }
  }
  std::printf("%d calls, %d failures\n", calls, failures);
#endif
}

// The call is made with no number free, then with one, and so on, until it succeeds.
TEST_P(Faults, DescriptorsMayRunOut) {
  const std::string wrong = in_a_child([&]() -> std::string {
    const auto s = what().make();
    s->prepare();
    constexpr int kFew = 200;
    rlimit whole{};
    ::getrlimit(RLIMIT_NOFILE, &whole);
    std::vector<int> taken;
    for (int fd; (fd = ::fcntl(0, F_DUPFD_CLOEXEC, 0)) < kFew;) taken.push_back(fd);
    rlimit few = whole;
    few.rlim_cur = kFew;
    ::setrlimit(RLIMIT_NOFILE, &few);
    while (s->act() != 0) {
      const int error = errno;
      if (error != EMFILE && error != ENFILE && error != ENOMEM) {
        return "fails with " + name_of_error(error);
      }
      if (taken.empty()) return "fails with all descriptors free";
      ::close(taken.back());
      taken.pop_back();
    }
    ::setrlimit(RLIMIT_NOFILE, &whole);
    return s->works() ? "" : "it took no effect";
  });
  expect_well(wrong, what().name, "descriptors");
}

TEST_P(Faults, AddressSpaceMayRunOut) {
#if defined(QUAY_SANITIZED)
  GTEST_SKIP() << "the sanitizer needs all address space there is";
#else
  const std::string wrong = in_a_child([&]() -> std::string {
    const auto s = what().make();
    s->prepare();
    long pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    rlimit whole{};
    ::getrlimit(RLIMIT_AS, &whole);
    rlimit little = whole;
    little.rlim_cur = static_cast<rlim_t>(pages) * 4096;
    ::setrlimit(RLIMIT_AS, &little);
    const int result = s->act();
    const int error = errno;
    ::setrlimit(RLIMIT_AS, &whole);
    return judge(*s, result, error);
  });
  expect_well(wrong, what().name, "address space");
#endif
}

INSTANTIATE_TEST_SUITE_P(Call, Faults, testing::Range<size_t>(0, scenarios().size()), name_of);

}  // namespace
