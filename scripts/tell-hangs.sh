#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: tell-hangs.sh DIRECTORY [SECONDS]: says of every program below DIRECTORY that has run for longer than SECONDS (200)
#   what its threads are doing, once, into the program's own output: so it stands in the report of the test that hangs.
# Contract: runs until it is killed. Linux's /proc is all it needs; with gdb installed it adds their stacks.
set -uo pipefail

if [ $# -lt 1 ] || [ "$1" = --help ]; then
  sed -n '4,6s/^# //p' "$0"
  [ $# -ge 1 ] && exit 0 || exit 2
fi
directory=$(realpath "$1") || exit 2
seconds=${2:-200}

threads() {
  local task
  printf '\n==== process %s has run for more than %s s\n' "$1" "$seconds"
  for task in /proc/"$1"/task/*; do
    printf '%s: %s, waits in %s, system call %s\n' "${task##*/}" \
      "$(sed -n 's/^State:\t//p' "$task/status")" "$(cat "$task/wchan")" "$(cat "$task/syscall")"
  done
  readlink /proc/"$1"/fd/* | sort | uniq -c
  ! command -v gdb >/dev/null || timeout 60 gdb -p "$1" -batch -nx -ex 'thread apply all backtrace'
}

declare -A told=()
while sleep 5; do
  for process in /proc/[0-9]*; do
    program=$(readlink "$process/exe") || continue
    [[ $program == "$directory"/* ]] || continue
    pid=${process##*/}
    age=$(ps -o etimes= -p "$pid") || continue
    if [ "$age" -le "$seconds" ] || [ -n "${told[$pid]-}" ]; then continue; fi
    told[$pid]=yes
    threads "$pid" >"$process/fd/1" 2>/dev/null
  done
done
