#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: the builds that `make` does not make: other-builds.sh [NAME...], all of them without a name.
#   no-exceptions  a C++ program with -fno-exceptions -fno-rtti on both C faces, by gcc and clang
#   static         a program that is wholly static
#   musl           the C faces' headers and programs compiled against musl (linking needs a C++ runtime built for it)
#   m32            the library for 32-bit x86, and a program that uses it
# Contract: exit status 0 iff none fails; one whose compiler is missing says so and is skipped. Needs build/release.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

build=build/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
result() {
  printf '%-14s %s\n' "$1" "$2"
  [ "$2" != FAILED ] || failed=1
}
includes=(-Iinclude/bsd -Iinclude/illumos -Iinclude)

no_exceptions() {
  local cxx
  for cxx in g++ clang++-16; do
    command -v "$cxx" >/dev/null || continue
    "$cxx" -std=c++20 -Wall -Wextra -Werror -fno-exceptions -fno-rtti "${includes[@]}" tests/consumer/pipe_event.cc -o "$work/plain" \
      -L"$build/lib" -lquay -Wl,-rpath,"$PWD/$build/lib" && "$work/plain" || return 1
    for header in sys/event.h port.h sys/signalfd.h quay/quay.h quay/kfilter.h; do
      printf '#include <%s>\n' "$header" | "$cxx" -std=c++20 -Wall -Wextra -Werror -fno-exceptions -fno-rtti "${includes[@]}" \
        -fsyntax-only -x c++ - || return 1
    done
  done
}

static() {
  g++ -static "${includes[@]}" -x c tests/consumer/pipe_event.c -x none -o "$work/static" -L"$build/lib" -l:libquay.a -pthread &&
    "$work/static"
}

musl() {
  command -v musl-gcc >/dev/null || return 77
  local file
  # The kernel's headers, as a distribution with musl has them among its own.
  mkdir "$work/kernel"
  ln -s /usr/include/linux /usr/include/asm-generic "/usr/include/$(gcc -print-multiarch)/asm" "$work/kernel"
  for file in tests/consumer/pipe_event.c tests/consumer/own_face.c examples/bsd/hello_kqueue.c tests/headers/*_alone.c; do
    # Built on <sys/queue.h>, which musl does not have.
    [[ $file != *kfilter* ]] || continue
    musl-gcc -std=gnu11 -Wall "${includes[@]}" -Itests/headers -idirafter "$work/kernel" -c "$file" -o "$work/musl.o" || return 1
  done
}

m32() {
  printf 'int main(){}' | g++ -m32 -x c++ - -o "$work/m32" 2>/dev/null || return 77
  if ! { CFLAGS=-m32 CXXFLAGS=-m32 LDFLAGS=-m32 cmake --preset release -B build/m32 -DQUAY_TESTS=OFF -DQUAY_TOOLS=OFF \
    -DQUAY_BENCH=OFF -DQUAY_EXAMPLES=OFF -DQUAY_WERROR=OFF && cmake --build build/m32 -j "$(nproc)"; } >"$work/log" 2>&1; then
    tail -20 "$work/log"
    return 1
  fi
  g++ -m32 -D_FILE_OFFSET_BITS=64 "${includes[@]}" -x c tests/consumer/pipe_event.c -x none -o "$work/m32" -Lbuild/m32/lib -lquay \
    -Wl,-rpath,"$PWD/build/m32/lib" && "$work/m32"
}

names=("$@")
[ "${#names[@]}" -gt 0 ] || names=(no-exceptions static musl m32)
for name in "${names[@]}"; do
  case $name in
    no-exceptions) no_exceptions ;;
    static) static ;;
    musl) musl ;;
    m32) m32 ;;
    *) false ;;
  esac
  case $? in
    0) result "$name" ok ;;
    77) result "$name" 'skipped: no compiler for it here' ;;
    *) result "$name" FAILED ;;
  esac
done
exit "$failed"
