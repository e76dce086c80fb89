// SPDX-License-Identifier: BSD-2-Clause
//
// What: tests that run in several dialects, each named in the test's name.
#pragma once

#include <gtest/gtest.h>
#include <quay/quay.h>

#include <string>

#include "kqueue.hpp"

namespace quay::test {

inline std::string dialect_name(int dialect) {
  switch (dialect) {
    case QUAY_DIALECT_FREEBSD:
      return "freebsd";
    case QUAY_DIALECT_NETBSD:
      return "netbsd";
    case QUAY_DIALECT_DRAGONFLY:
      return "dragonfly";
    case QUAY_DIALECT_OPENBSD:
      return "openbsd";
    default:
      return "unknown";
  }
}

// One value per system, in the order of the table's columns.
template <typename T>
struct per_dialect {
  T freebsd;
  T netbsd;
  T dragonfly;
  T openbsd;

  const T& of(int dialect) const {
    switch (dialect) {
      case QUAY_DIALECT_NETBSD:
        return netbsd;
      case QUAY_DIALECT_DRAGONFLY:
        return dragonfly;
      case QUAY_DIALECT_OPENBSD:
        return openbsd;
      default:
        return freebsd;
    }
  }
};

// A fixture whose parameter is the dialect of its queue.
class dialect_test : public testing::TestWithParam<int> {
 protected:
  int dialect() const { return GetParam(); }
  bool is(int which) const { return GetParam() == which; }
  template <typename T>
  T expected(const per_dialect<T>& values) const {
    return values.of(GetParam());
  }

  queue kq = make_queue(GetParam());
};

inline std::string name_of_parameter(const testing::TestParamInfo<int>& info) {
  return dialect_name(info.param);
}

#define QUAY_IN_ALL_DIALECTS(suite)                                                       \
  INSTANTIATE_TEST_SUITE_P(Dialect, suite,                                                \
                           testing::Values(QUAY_DIALECT_FREEBSD, QUAY_DIALECT_NETBSD,     \
                                           QUAY_DIALECT_DRAGONFLY, QUAY_DIALECT_OPENBSD), \
                           ::quay::test::name_of_parameter)

}  // namespace quay::test
