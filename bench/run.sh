#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# What: runs every benchmark program of a build, shows progress, prints one table, and writes
#   docs/bench/results.jsonl, table.md and ratios.svg.
# Contract: with --smoke nothing is written into docs/. A missed target is no failure; a program
#   that fails is, after all others have run, and then docs/ is left as it was.

set -eu

usage() {
  cat <<END
usage: bench/run.sh BUILD_DIR [--smoke] [--extra]

Runs the benchmarks built in BUILD_DIR and prints one table. Without --smoke the results are also
written to docs/bench/. --extra adds the comparisons that carry no promise.
END
}

build=
smoke=
extra=
for argument in "$@"; do
  case $argument in
    --smoke) smoke=--smoke ;;
    --extra) extra=--extra ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) build=$argument ;;
  esac
done
if [ -z "$build" ]; then
  usage >&2
  exit 2
fi

root=$(cd "$(dirname "$0")/.." && pwd)
programs=$build/bench
if [ ! -x "$programs/bench_report" ]; then
  echo "bench/run.sh: no benchmarks in $programs (build the target 'benchmarks' first)" >&2
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
results=$work/results.jsonl
: >"$results"

# The order of the table: descriptors, user events, timers, the rest.
set -- level nodata clear dispatch user_event user_thread timer_churn timer_expiry \
  add_delete idle_wait close_hooks memory
count=$#
number=0
failed=
for name in "$@"; do
  number=$((number + 1))
  printf '[%d/%d] %s\n' "$number" "$count" "$name" >&2
  "$programs/bench_$name" $smoke $extra >>"$results" || failed="$failed $name"
done

if [ -n "$failed" ]; then
  "$programs/bench_report" "$results"
  echo "bench/run.sh: failed:$failed" >&2
  exit 1
fi
if [ -n "$smoke" ]; then
  "$programs/bench_report" "$results"
  exit 0
fi

out=$root/docs/bench
mkdir -p "$out"
revision=$(git -C "$root" describe --always --dirty 2>/dev/null || true)
"$programs/bench_report" "$results" --markdown "$work/table.md" --bars "$work/bars.dat" \
  --revision "$revision"
cp "$results" "$out/results.jsonl"
cp "$work/table.md" "$out/table.md"
if command -v gnuplot >/dev/null; then
  gnuplot -e "bars='$work/bars.dat'; picture='$work/ratios.svg'" "$root/bench/support/ratios.gp"
  cp "$work/ratios.svg" "$out/ratios.svg"
else
  echo "bench/run.sh: gnuplot is missing, docs/bench/ratios.svg not renewed" >&2
fi
