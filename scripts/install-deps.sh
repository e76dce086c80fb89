#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: sees to it that the Debian packages for a task are installed.
# Contract: install-deps.sh [build|demo|bench|docs|package|format|lint|ci|other]; needs nothing but a Debian system. Nothing missing: exit 0 and silence.
#   Something missing: installed as root or through sudo without a password; where neither is to be had, the exact command
#   is printed and the exit status is 1. QUAY_SKIP_DEPS=1 skips everything, for those who brought the tools otherwise.
set -euo pipefail

build=(g++ cmake ninja-build pkg-config libgtest-dev libgmock-dev libfmt-dev libcli11-dev nlohmann-json3-dev libasio-dev
  binutils gzip)
demo=(curl)
bench=(libevent-dev libuv1-dev libev-dev)
docs=(mandoc)
package=(debhelper dpkg-dev lintian git)
format=(clang-format-16 git)
# For scripts/other-builds.sh: 32 bit, musl, and 64-bit ARM by clang with Debian's cross libraries, which unlike the cross
# gcc may be installed beside gcc-multilib.
other=(gcc-multilib g++-multilib musl-tools googletest clang-16 qemu-user binutils-aarch64-linux-gnu libc6-dev-arm64-cross
  libstdc++-12-dev-arm64-cross)
lint=(clang-16 clang-tidy-16 shellcheck mandoc git)

case ${1-build} in
  build) wanted=("${build[@]}") ;;
  demo) wanted=("${build[@]}" "${demo[@]}") ;;
  bench) wanted=("${build[@]}" "${bench[@]}") ;;
  docs) wanted=("${docs[@]}") ;;
  package) wanted=("${build[@]}" "${bench[@]}" "${package[@]}") ;;
  format) wanted=("${format[@]}") ;;
  lint) wanted=("${build[@]}" "${lint[@]}") ;;
  # The sanitizers' runtime, and the symbolizer without which it cannot tell what tests/tsan.supp names: clang-16 only recommends
  # them.
  ci) wanted=("${build[@]}" "${bench[@]}" "${format[@]}" "${lint[@]}" libclang-rt-16-dev llvm-16) ;;
  other) wanted=("${build[@]}" "${other[@]}") ;;
  *)
    printf 'usage: install-deps.sh [build|demo|bench|docs|package|format|lint|ci|other]\n' >&2
    exit 2
    ;;
esac

[ "${QUAY_SKIP_DEPS-}" != 1 ] || exit 0
if ! command -v dpkg-query >/dev/null; then
  printf 'install-deps: this is no Debian system. Install what these packages hold, then set QUAY_SKIP_DEPS=1:\n  %s\n' \
    "${wanted[*]}" >&2
  exit 1
fi

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed* ]] || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

install=(apt-get install -y --no-install-recommends "${missing[@]}")
printf 'install-deps: missing: %s\n' "${missing[*]}"
if [ "$(id -u)" = 0 ]; then
  as_root=(env DEBIAN_FRONTEND=noninteractive)
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  as_root=(sudo -n env DEBIAN_FRONTEND=noninteractive)
else
  printf 'install-deps: run this first:\n  sudo sh -c "apt-get update && %s"\n' "${install[*]}" >&2
  exit 1
fi
"${as_root[@]}" apt-get update
"${as_root[@]}" "${install[@]}"
