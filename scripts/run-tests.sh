#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: runs all tests of a GoogleTest program, also of one that dies or hangs in some, as programs in an emulator do:
#   run-tests.sh FILTER PROGRAM [ARGUMENT...], FILTER as of --gtest_filter.
# Contract: prints what the program prints, "[ STOPPED  ] NAME" for a test that ended or held up the whole program, and at
#   last how many ran, passed and were skipped. Exit status 0 iff all passed or were skipped.
# Invariants: whoever prints nothing for QUAY_TEST_PATIENCE seconds (300) hangs. After a stop a new process takes the rest.
set -uo pipefail

filter=$1
shift
patience=${QUAY_TEST_PATIENCE:-300}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$@" --gtest_list_tests --gtest_filter="$filter" 2>/dev/null |
  awk '/^[^ ].*\./ { suite = $1 } /^  / { print suite $1 }' >"$work/left"
all=$(wc -l <"$work/left") passed=0 skipped=0
while [ -s "$work/left" ]; do
  printf -- '--gtest_filter=%s\n' "$(paste -sd: "$work/left")" >"$work/flags"
  setsid "$@" --gtest_flagfile="$work/flags" >"$work/out" 2>&1 </dev/null &
  program=$! quiet=0 size=0
  while kill -0 "$program" 2>/dev/null; do
    sleep 0.5
    quiet=$((quiet + 1)) before=$size
    size=$(stat -c %s "$work/out")
    [ "$size" = "$before" ] || quiet=0
    [ "$quiet" -lt $((patience * 2)) ] || kill -KILL -- -"$program"
  done
  wait "$program" 2>/dev/null
  kill -KILL -- -"$program" 2>/dev/null
  grep -v "^Note: Google Test filter" "$work/out"
  # What ran, and what became of it; of the last perhaps nothing.
  awk '/\[ RUN      \]/ { name = $4 } /\[       OK \]/ { print name, "passed" } /\[  SKIPPED \]/ && / ms\)/ { print name, "skipped" }
    /\[  FAILED  \]/ && / ms\)/ { print name, "failed" }' "$work/out" >"$work/ended"
  passed=$((passed + $(grep -c ' passed$' "$work/ended"))) skipped=$((skipped + $(grep -c ' skipped$' "$work/ended")))
  cut -d' ' -f1 "$work/ended" >"$work/done"
  if [ "$(wc -l <"$work/done")" -lt "$(wc -l <"$work/left")" ]; then
    stopped=$(sed -n 's/.*\[ RUN      \] //p' "$work/out" | tail -1)
    [ -n "$stopped" ] || stopped=$(head -1 "$work/left")
    printf '[ STOPPED  ] %s\n' "$stopped"
    printf '%s\n' "$stopped" >>"$work/done"
  fi
  grep -vxFf "$work/done" "$work/left" >"$work/rest"
  mv "$work/rest" "$work/left"
done
printf '%d tests ran, %d passed, %d skipped\n' "$all" "$passed" "$skipped"
[ "$all" -gt 0 ] && [ "$all" -eq $((passed + skipped)) ]
