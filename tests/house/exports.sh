#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: what the built libraries show to the dynamic linker: names, versions, sonames, dependencies.
# Contract: exports.sh MAP LIBQUAY [LIBQUAY-HOOKS]. Every name that MAP spells out is exported, nothing outside MAP is,
#   all of it versioned; the hooks are unversioned and export no C++ name; neither library needs more than libc, the
#   C++ runtime and, for the hooks, libquay.
set -euo pipefail

map=$1 libquay=$2 hooks=${3-}
wrong=0
complain() {
  printf '%s\n' "$*"
  wrong=1
}

dynamic() { readelf -dW "$1" | sed -n "s/.*($2).*\[\(.*\)\]/\1/p"; }
# "name@@VERSION", or "name" where there is none; the version nodes themselves (absolute symbols) left out.
exported() { nm -D --defined-only "$1" | awk '$2 != "A" { print $3 }'; }

check_needs() {
  local library=$1 needed
  shift
  for needed in $(dynamic "$library" NEEDED); do
    case " libc.so.6 libstdc++.so.6 libgcc_s.so.1 libm.so.6 ld-linux-x86-64.so.2 ld-linux-aarch64.so.1 ld-linux.so.2 $* " in
      *" $needed "*) ;;
      *) complain "$(basename "$library") needs $needed" ;;
    esac
  done
}

mapfile -t patterns < <(sed -n '/global:/,/local:/s/^ *\([A-Za-z0-9_*]*\);.*/\1/p' "$map")
[ "${#patterns[@]}" -gt 0 ] || complain "no names found in $map"

[ "$(dynamic "$libquay" SONAME)" = libquay.so.0 ] || complain "the soname of $libquay is $(dynamic "$libquay" SONAME)"
check_needs "$libquay"
names=$(exported "$libquay")
for symbol in $names; do
  name=${symbol%%@*}
  [ "$name" != "$symbol" ] || complain "$name is exported without a version"
  matched=
  for pattern in "${patterns[@]}"; do
    # shellcheck disable=SC2053 # the map's names are patterns
    [[ $name != $pattern ]] || matched=yes
  done
  [ "$matched" ] || complain "$name is exported and not in the map"
done
for pattern in "${patterns[@]}"; do
  case $pattern in
    *'*'*) ;;
    *) grep -q "^$pattern@" <<<"$names" || complain "$pattern is in the map and not exported: has its declaration default visibility?" ;;
  esac
done

if [ "$hooks" ]; then
  [ "$(dynamic "$hooks" SONAME)" = libquay-hooks.so.0 ] || complain "the soname of $hooks is $(dynamic "$hooks" SONAME)"
  check_needs "$hooks" libquay.so.0
  names=$(exported "$hooks")
  for symbol in $names; do
    case $symbol in
      *@*) complain "the hook $symbol has a version: callers of libc's versioned name pass it by" ;;
      _Z*) complain "the hooks export the C++ name $symbol" ;;
    esac
  done
  for name in close dup2 dup3; do
    grep -qx "$name" <<<"$names" || complain "the hooks do not define $name"
  done
fi
exit "$wrong"
