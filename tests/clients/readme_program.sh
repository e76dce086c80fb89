#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# What: the program that README.md shows is examples/bsd/hello_kqueue.c, and it does what the README says.
# Contract: readme_program.sh SOURCE_DIR [HELLO_PROGRAM]; exit status 0 equal, 1 not, 77 nothing to run.
set -eu
[ $# -ge 1 ] || { echo "usage: readme_program.sh SOURCE_DIR [HELLO_PROGRAM]" >&2; exit 2; }
source=$1/examples/bsd/hello_kqueue.c
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The first block of C in the README, and the file from its first #include on.
awk '/^```c$/ { inside = 1; next } /^```$/ && inside { exit } inside' "$1/README.md" > "$work/readme.c"
awk '/^#include/ { inside = 1 } inside' "$source" > "$work/file.c"
diff -u "$work/file.c" "$work/readme.c" || { echo "README.md shows another program than $source" >&2; exit 1; }

[ $# -ge 2 ] || exit 0
[ -x "$2" ] || { echo "$2 is not built" >&2; exit 77; }
first=$(printf 'hello\n' | "$2" | head -n 1)
[ "$first" = "6 bytes to read" ] || { echo "the program said: $first" >&2; exit 1; }
