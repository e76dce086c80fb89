#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: clang-tidy over the compiled sources, shellcheck over the scripts, mandoc over the manual pages.
# Contract: lint.sh [PATH...]; with paths only the sources below them. Needs the configured preset `clang`, whose compile
#   commands it reads. Every finding is a failure. Tests are held to -Wall -Wextra -Wpedantic only: GoogleTest's macros
#   cost clang-tidy more time than they are worth.
set -euo pipefail

cd "$(dirname "$0")/.."
database=build/clang/compile_commands.json
[ -f "$database" ] || {
  printf 'lint: %s is missing; run: cmake --preset clang\n' "$database" >&2
  exit 1
}
[ "$#" -gt 0 ] || set -- src tools examples bench

failed=0
scripts/sources.sh '*.sh' '.ci/run' | xargs -0 -r shellcheck || failed=1
scripts/sources.sh 'docs/man/*' | xargs -0 -r mandoc -T lint -W warning || failed=1

# Only what the build compiles: for other files there are no flags.
pathspecs=()
for path; do
  pathspecs+=("$path/*.cc" "$path/*.c")
done
while IFS= read -r -d '' file; do
  if grep -qF "/$file\"" "$database"; then printf '%s\0' "$file"; fi
done < <(scripts/sources.sh "${pathspecs[@]}") |
  xargs -0 -r -n 1 -P "${QUAY_JOBS:-$(nproc)}" clang-tidy-16 --quiet -p build/clang || failed=1
exit "$failed"
