#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# What: `make bench`: the benchmarks of a build, by its `quay bench`, with the report in docs/bench.
# Contract: with --smoke nothing is written into docs/. A missed target is no failure; a program
#   that fails is, after all others have run, and then docs/ is left as it was.

set -eu

usage() {
  cat <<END
usage: bench/run.sh BUILD_DIR [--smoke] [--extra]

Runs the benchmarks built in BUILD_DIR and prints one table. Without --smoke the report is written
to docs/bench/. --extra adds the comparisons that carry no promise.
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
if [ ! -x "$build/bin/quay" ]; then
  echo "bench/run.sh: no quay in $build/bin (build the target 'benchmarks' first)" >&2
  exit 1
fi

root=$(cd "$(dirname "$0")/.." && pwd)
if [ -n "$smoke" ]; then
  exec "$build/bin/quay" bench --smoke $extra
fi
revision=$(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)
exec "$build/bin/quay" bench --rounds 3 $extra --report "$root/docs/bench" --revision "$revision"
