#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: installs the build into a new prefix, moves the prefix, and there builds and runs programs as users do: through
#   pkg-config (quay-bsd, its alias libkqueue, quay alone, static), by -lkqueue and through find_package (C++ with quay::bsd and
#   quay::static, and a project that knows only C). Then uninstalls it.
# Contract: run.sh BUILD-DIR CMAKE CC CXX; exit status 0 iff every program builds, links the right libraries and runs.
set -euo pipefail

build=$1 cmake=$2 cc=$3 cxx=$4
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '== %s\n' "$*"; }
die() {
  printf 'run.sh: %s\n' "$*" >&2
  exit 1
}

say "install"
"$cmake" --install "$build" --prefix "$work/first" >"$work/install.log" || { cat "$work/install.log"; die "installation failed"; }
prefix=$work/second
mv "$work/first" "$prefix"
libdir=$(dirname "$(find "$prefix" -name libquay.so.0)")
export PKG_CONFIG_PATH=$libdir/pkgconfig
for file in "$libdir"/{libquay.so,libquay.a,libquay-hooks.so} "$prefix"/include/{quay-bsd/sys/event.h,quay/quay.h}; do
  [ -e "$file" ] || die "not installed: ${file#"$prefix"/}"
done
[ ! -e "$prefix/include/sys" ] || die "headers with the system's names lie directly below include/"
! grep -rIlF -e "$work/first" -e "$build" "$libdir/pkgconfig" "$libdir/cmake" || die "these name the place they were built or installed in"

# runs PROGRAM WORD...: it succeeds with the installed libraries and has each of them among its own dependencies.
runs() {
  local program=$1 library
  shift
  LD_LIBRARY_PATH=$libdir "$program" || die "$program failed with status $?"
  for library; do
    readelf -dW "$program" | grep -q "NEEDED.*\[$library\]" || die "$program does not need $library"
  done
}

strict=(-Wall -Wextra -Werror)
# Word splitting is how flags of pkg-config are used.
# shellcheck disable=SC2046
{
  for package in quay-bsd libkqueue; do
    say "pkg-config $package, C and C++, --as-needed"
    "$cc" "${strict[@]}" "$here/pipe_event.c" -o "$work/c" -Wl,--as-needed $(pkg-config --cflags --libs "$package")
    runs "$work/c" libquay.so.0 libquay-hooks.so.0
    "$cxx" "${strict[@]}" "$here/pipe_event.cc" -o "$work/cc" $(pkg-config --cflags --libs "$package")
    runs "$work/cc" libquay.so.0 libquay-hooks.so.0
    say "pkg-config $package before the program, as in LDFLAGS, --as-needed"
    "$cc" "${strict[@]}" -Wl,--as-needed $(pkg-config --cflags --libs "$package") "$here/pipe_event.c" -o "$work/before"
    runs "$work/before" libquay.so.0 libquay-hooks.so.0
  done
  say "pkg-config quay-bsd: a program that calls nothing of it, found by its run path"
  echo 'int main(void) { return 0; }' >"$work/idle.c"
  "$cc" "$work/idle.c" -o "$work/idle" -Wl,--as-needed $(pkg-config --libs quay-bsd) -Wl,-rpath,"$libdir"
  env -u LD_LIBRARY_PATH "$work/idle" || die "a program that calls nothing of quay does not start"
  say "the hooks preloaded by their path"
  "$cc" "$work/idle.c" -o "$work/stranger"
  env -u LD_LIBRARY_PATH LD_PRELOAD="$libdir/libquay-hooks.so.0" "$work/stranger" || die "the hooks do not find libquay beside them"
  say "-lkqueue, as for libkqueue without pkg-config"
  "$cc" "${strict[@]}" "$here/pipe_event.c" -I"$prefix/include/kqueue" -o "$work/plain" -L"$libdir" -lkqueue
  runs "$work/plain" libquay.so.0
  say "pkg-config quay: the C++ face"
  "$cxx" -std=c++20 "${strict[@]}" "$here/cxx_face.cc" -o "$work/cxx-face" $(pkg-config --cflags --libs quay)
  runs "$work/cxx-face" libquay.so.0
  say "pkg-config quay: quay.h alone, shared and static"
  "$cc" "${strict[@]}" "$here/own_face.c" -o "$work/own" $(pkg-config --cflags --libs quay)
  runs "$work/own" libquay.so.0
  "$cc" "${strict[@]}" "$here/own_face.c" -o "$work/own-static" $(pkg-config --cflags quay) \
    -L"$libdir" -Wl,-Bstatic $(pkg-config --libs-only-l quay) -Wl,-Bdynamic $(pkg-config --static --libs-only-l quay | sed 's/-lquay//') -pthread
  runs "$work/own-static"
  ! readelf -dW "$work/own-static" | grep -q libquay || die "the static program needs a libquay"
}

for project in cxx c; do
  say "find_package in a project of $project"
  "$cmake" -S "$here/$project" -B "$work/project-$project" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE=Release --no-warn-unused-cli >"$work/log" 2>&1 || { cat "$work/log"; die "configuring failed"; }
  "$cmake" --build "$work/project-$project" >"$work/log" 2>&1 || { cat "$work/log"; die "building failed"; }
  runs "$work/project-$project/hooked" libquay.so.0 libquay-hooks.so.0
  runs "$work/project-$project/shared" libquay.so.0
  runs "$work/project-$project/static"
  ! readelf -dW "$work/project-$project/static" | grep -q libquay || die "the static program needs a libquay"
done
say "uninstall"
touch "$prefix/include/others.h"
"$here/../../scripts/uninstall.sh" "$build" "$prefix"
left=$(find "$prefix" -mindepth 1 -printf '%P ')
[ "$left" = "include include/others.h " ] || die "left behind: $left"
say "all consumers build and run"
