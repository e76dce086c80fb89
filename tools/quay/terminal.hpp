// SPDX-License-Identifier: BSD-2-Clause
//
// What: colour, only where somebody can see it: standard output is a terminal, NO_COLOR is unset or
// empty, TERM is not "dumb".
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <string>
#include <string_view>

namespace quay::tool {

class palette {
 public:
  palette() {
    const char* no_color = getenv("NO_COLOR");
    const char* term = getenv("TERM");
    on_ = (no_color == nullptr || *no_color == '\0') &&
          (term == nullptr || std::string_view(term) != "dumb") && isatty(STDOUT_FILENO) == 1;
  }

  std::string bold(std::string_view text) const { return paint("1", text); }
  std::string dim(std::string_view text) const { return paint("2", text); }
  std::string red(std::string_view text) const { return paint("31", text); }
  std::string green(std::string_view text) const { return paint("32", text); }
  std::string yellow(std::string_view text) const { return paint("33", text); }
  std::string cyan(std::string_view text) const { return paint("36", text); }

 private:
  std::string paint(std::string_view code, std::string_view text) const {
    if (!on_) return std::string(text);
    return std::string("\x1b[").append(code).append("m").append(text).append("\x1b[0m");
  }

  bool on_;
};

}  // namespace quay::tool
