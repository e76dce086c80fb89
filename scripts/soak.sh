#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: the long runs, hours of them: soak.sh [OPERATIONS [SECONDS [PART...]]] (10^8, 600, all parts).
#   kqueue port signal pipe timer  random calls against the model, OPERATIONS in all
#   histories                      OPERATIONS / 1000 rounds of several threads, each searched for an order
#   stress                         each stress test SECONDS long, but for the storm
#   storm asan tsan                all systems at once for SECONDS, in the release build and under the sanitizers
# Contract: exit status 0 iff every part passes. One part runs at a time (those of models take one processor); each tells how it
#   ended and its time, and leaves what it said in build/soak. The release build must be there.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

operations=${1:-100000000} seconds=${2:-600}
parts=("${@:3}")
[ "${#parts[@]}" -gt 0 ] || parts=(kqueue port signal pipe timer histories stress storm asan tsan)
release=build/release/tests
mkdir -p build/soak

# See .ci/run: some kernels randomise more address bits than the sanitizers' runtimes can map.
unrandomised=()
if setarch "$(uname -m)" -R true 2>/dev/null; then unrandomised=(setarch "$(uname -m)" -R); fi

# storm_under PRESET: the preset's own options of the sanitizer come with ctest.
storm_under() {
  cmake --preset "$1" && cmake --build "build/$1" -j "$(nproc)" --target stress_tests &&
    QUAY_STORM_SECONDS=$seconds "${unrandomised[@]}" ctest --preset "$1" -R '^soak/storm$'
}

run() {
  export QUAY_MODEL_OPERATIONS=$operations QUAY_MODEL_ROUNDS=$((operations / 1000))
  case $1 in
    kqueue | port | signal) "$release/random_models" --gtest_filter="*${1^}_Model.*" ;;
    pipe | timer) "$release/model_tests" --gtest_filter="*${1^}_Model.*" ;;
    histories) "$release/random_models" --gtest_filter='*Linearizable*' ;;
    stress) QUAY_STRESS_SECONDS=$seconds "$release/stress_tests" --gtest_filter='-Storm.*' ;;
    storm) QUAY_STORM_SECONDS=$seconds "$release/stress_tests" --gtest_filter='Storm.*' ;;
    asan) storm_under asan ;;
    tsan) storm_under clang-tsan ;;
    *)
      printf 'soak: no part is called %s\n' "$1" >&2
      return 2
      ;;
  esac
}

failed=0
for part in "${parts[@]}"; do
  begin=$SECONDS result=ok
  printf 'soak: %-9s runs since %(%H:%M:%S)T\n' "$part" -1
  run "$part" >"build/soak/$part.log" 2>&1 || result=FAILED failed=1
  if [ "$result" != ok ]; then tail -n 40 "build/soak/$part.log"; fi
  printf 'soak: %-9s %s, %d s\n' "$part" "$result" $((SECONDS - begin))
done
exit "$failed"
