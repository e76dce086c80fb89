#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: compares what libquay exports with what its releases have exported: tests/house/libquay.symbols.
# Contract: abi.sh SYMBOLS LIBQUAY [update]. Each line of SYMBOLS is a name with its version, and the size of what is data.
#   A line that the library does not have breaks programs that are installed: exit status 1. So does a name that is not in
#   the file: it belongs there before it is released; `update` writes the file anew.
# Invariants: what libquay and its hooks are to each other (quay_hook_*) is theirs alone: they are released together. The names
#   for the wide types of 32-bit programs exist in 32-bit builds only.
set -euo pipefail

symbols=$1 library=$2
present() {
  nm -D --defined-only -S "$library" | awk '
    NF == 4 && $3 ~ /[BDR]/ { sub(/^0*/, "0x", $2); print $4, $2; next }
    $(NF - 1) != "A" { print $NF }' | sed 's/@@/@/' | grep -Ev '^quay_hook_|(64|_time64)@' | LC_ALL=C sort
}

if [ "${3-}" = update ]; then
  present >"$symbols"
  exit
fi
known=$(<"$symbols")
have=$(present)
# The size of data differs with the size of a pointer.
if readelf -h "$library" | grep -q 'Class: *ELF32'; then
  known=$(cut -d' ' -f1 <<<"$known")
  have=$(cut -d' ' -f1 <<<"$have")
fi
LC_ALL=C comm -3 <(printf '%s\n' "$known") <(printf '%s\n' "$have") | awk -F '\t' '
  $1 != "" { print "gone or changed: " $1; wrong = 1 }
  $1 == "" { print "new, and not in the file: " $2; wrong = 1 }
  END { exit wrong }'
