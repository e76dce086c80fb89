#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: builds libFuzzer's targets and runs each for a while, as many at a time as there are processors (JOBS):
#   fuzz.sh [SECONDS [TARGET...]] (10 seconds, all targets).
# Contract: exit status 0 iff none found anything. A finding's input is left in build/fuzz/findings.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-10}
targets=("${@:2}")
[ "${#targets[@]}" -gt 0 ] || targets=(changelist port_calls pipe_memory port_memory tool_input)

# See .ci/run: some kernels randomise more address bits than the sanitizers' runtimes can map.
unrandomised=()
if setarch "$(uname -m)" -R true 2>/dev/null; then unrandomised=(setarch "$(uname -m)" -R); fi

jobs=${JOBS:-$(nproc)}
cmake --preset fuzz
cmake --build build/fuzz -j "$jobs" --target "${targets[@]/#/fuzz_}"
mkdir -p build/fuzz/findings

# fuzz TARGET: tells how often it ran, or how it ended.
fuzz() {
  local target=$1 log=build/fuzz/$1.log result=ok
  mkdir -p "build/fuzz/corpus/$target"
  "${unrandomised[@]}" "build/fuzz/tests/fuzz_$target" -max_total_time="$seconds" -timeout=10 -max_len=1024 -rss_limit_mb=4096 \
    -print_final_stats=1 -artifact_prefix="build/fuzz/findings/$target-" -verbosity=0 "build/fuzz/corpus/$target" \
    "tests/fuzz/corpus/$target" >"$log" 2>&1 || result=FOUND
  if [ "$result" != ok ]; then cat "$log"; fi
  printf 'fuzz: %-12s %s, %d inputs in %s s\n' "$target" "$result" \
    "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)" "$seconds"
  [ "$result" = ok ]
}

found=0 running=0
for target in "${targets[@]}"; do
  if [ "$running" -lt "$jobs" ]; then
    running=$((running + 1))
  else
    wait -n || found=1
  fi
  fuzz "$target" &
done
for ((; running > 0; --running)); do wait -n || found=1; done
exit "$found"
