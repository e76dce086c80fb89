#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: builds libFuzzer's targets and runs each for a while: fuzz.sh [SECONDS [TARGET...]] (10 seconds, all targets).
# Contract: exit status 0 iff none found anything. A finding's input is left in build/fuzz/findings.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-10}
targets=("${@:2}")
[ "${#targets[@]}" -gt 0 ] || targets=(changelist port_calls pipe_memory port_memory tool_input)

# See .ci/run: some kernels randomise more address bits than the sanitizers' runtimes can map.
unrandomised=()
if setarch "$(uname -m)" -R true 2>/dev/null; then unrandomised=(setarch "$(uname -m)" -R); fi

cmake --preset fuzz
cmake --build build/fuzz -j "${JOBS:-$(nproc)}" --target "${targets[@]/#/fuzz_}"
mkdir -p build/fuzz/findings
found=0
for target in "${targets[@]}"; do
  printf '==== %s, %s s\n' "$target" "$seconds"
  mkdir -p "build/fuzz/corpus/$target"
  "${unrandomised[@]}" "build/fuzz/tests/fuzz_$target" -max_total_time="$seconds" -timeout=10 -max_len=1024 -rss_limit_mb=4096 \
    -print_final_stats=1 -artifact_prefix="build/fuzz/findings/$target-" -verbosity=0 "build/fuzz/corpus/$target" \
    "tests/fuzz/corpus/$target" || found=1
done
exit "$found"
