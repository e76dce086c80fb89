#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: the builds that `make` does not make: other-builds.sh [NAME...], all of them without a name.
#   no-exceptions  a C++ program with -fno-exceptions -fno-rtti on both C faces, by gcc and clang
#   static         a program that is wholly static
#   musl           the C faces' headers compiled against musl, and programs linked with it, statically
#   m32            the library and its tests for 32-bit x86, and a program in each width of time and offset it may have
#   arm64          the same tests for 64-bit ARM, in qemu's user mode
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
    for header in sys/event.h port.h siginfo.h sys/port_impl.h sys/signalfd.h quay/quay.h quay/kfilter.h; do
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
  local flags=(-std=gnu11 -Wall "${includes[@]}" -Itests/headers -idirafter "$work/kernel")
  for file in tests/headers/*_alone.c examples/bsd/hello_kqueue.c; do
    musl-gcc "${flags[@]}" -c "$file" -o "$work/musl.o" || return 1
  done
  # A filter with its list of notes, for which <sys/queue.h> of the BSD face is enough.
  printf '#include <quay/kfilter.h>\n#include <sys/queue.h>\nint f(struct klist *l, struct knote *n) {\n%s\n}\n' \
    'SLIST_INSERT_HEAD(l, n, kn_selnext); SLIST_REMOVE(l, n, knote, kn_selnext); return SLIST_EMPTY(l);' |
    musl-gcc "${flags[@]}" -Werror -x c -c - -o "$work/musl.o" || return 1
  # Debian has no C++ runtime that was built for musl: its own, with what that misses.
  for file in pipe_event own_face; do
    musl-gcc -static "${flags[@]}" "tests/consumer/$file.c" tests/consumer/musl_runtime.c "$build/lib/libquay.a" \
      -L"$(dirname "$(g++ -print-file-name=libstdc++.a)")" -Wl,--start-group -lstdc++ -lgcc -lgcc_eh -lc -Wl,--end-group \
      -o "$work/musl" && "$work/musl" || return 1
  done
}

# foreign NAME FILTER RUNNER [CMAKE ARGUMENT...]: the library and its tests for another machine, in build/NAME; what RUNNER runs
# of them, all that FILTER lets through, is in build/NAME/tests.log, and how many passed is said. Nothing is optimised there: each
# call that is compared with a model is as dear as under a sanitizer.
foreign() {
  local name=$1 filter=$2 runner=$3 program ran passed skipped sum=(0 0 0) result=0
  local programs=(unit_tests model_tests contract_{kqueue,pipe,port,signal,aio}{,_unhooked})
  shift 3
  [ -d /usr/src/googletest ] || return 77
  if ! { cmake -S . -B "build/$name" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DQUAY_FOREIGN=ON -DQUAY_BENCH=OFF -DQUAY_TOOLS=OFF \
    -DQUAY_EXAMPLES=OFF "$@" && cmake --build "build/$name" -j "$(nproc)" --target "${programs[@]}"; } >"$work/log" 2>&1; then
    grep -B2 -A6 -m3 'error' "$work/log"
    return 1
  fi
  : >"build/$name/tests.log"
  for program in "${programs[@]}"; do
    # shellcheck disable=SC2086 # a runner may have arguments
    QUAY_MODEL_OPERATIONS=${QUAY_MODEL_OPERATIONS:-80000} scripts/run-tests.sh "$filter" $runner "build/$name/tests/$program" \
      >"$work/out" 2>&1 || result=1
    cat "$work/out" >>"build/$name/tests.log"
    read -r ran passed skipped < <(sed -n 's/^\([0-9]*\) tests ran, \([0-9]*\) passed, \([0-9]*\) skipped$/\1 \2 \3/p' "$work/out")
    sum=($((sum[0] + ran)) $((sum[1] + passed)) $((sum[2] + skipped)))
  done
  printf '%-14s %d tests ran, %d passed, %d skipped\n' "$name" "${sum[@]}"
  return "$result"
}

m32() {
  printf 'int main(){}' | g++ -m32 -x c++ - -o "$work/m32" 2>/dev/null || return 77
  CFLAGS=-m32 CXXFLAGS=-m32 LDFLAGS=-m32 foreign m32 '*' '' || return 1
  # The three widths that a 32-bit program may have; the hooks' program has libc's own <aio.h>.
  local width program
  for width in '' -D_FILE_OFFSET_BITS=64 '-D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64'; do
    for program in widths hooked_widths; do
      # shellcheck disable=SC2086
      gcc -m32 -std=gnu11 -Wall -Werror $width -Iinclude/illumos -Iinclude -idirafter include/bsd "tests/consumer/$program.c" \
        -o "$work/m32" -Lbuild/m32/lib -Wl,--no-as-needed -lquay-hooks -lquay -Wl,-rpath,"$PWD/build/m32/lib" && "$work/m32" || return 1
    done
  done
}

# By clang, whose cross compiler may be installed beside gcc-multilib; the system's calls are translated by qemu, whose own
# limits are left out.
arm64() {
  local root=/usr/aarch64-linux-gnu cannot
  { command -v qemu-aarch64 && command -v clang++-16 && [ -e "$root/lib/libc.so.6" ]; } >/dev/null || return 77
  cannot=$(grep -v -e '^#' -e '^$' scripts/qemu-cannot.txt | paste -sd:)
  QUAY_MODEL_OPERATIONS=${QUAY_MODEL_OPERATIONS:-40000} foreign arm64 "-$cannot" "qemu-aarch64 -L $root" \
    -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_C_COMPILER=clang-16 -DCMAKE_CXX_COMPILER=clang++-16 \
    -DCMAKE_C_COMPILER_TARGET=aarch64-linux-gnu -DCMAKE_CXX_COMPILER_TARGET=aarch64-linux-gnu
}

names=("$@")
[ "${#names[@]}" -gt 0 ] || names=(no-exceptions static musl m32 arm64)
for name in "${names[@]}"; do
  case $name in
    no-exceptions) no_exceptions ;;
    static) static ;;
    musl) musl ;;
    m32) m32 ;;
    arm64) arm64 ;;
    *) false ;;
  esac
  case $? in
    0) result "$name" ok ;;
    77) result "$name" 'skipped: no compiler for it here' ;;
    *) result "$name" FAILED ;;
  esac
done
exit "$failed"
