#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: the Debian packages libquay0, libquay-dev and quay (with their debugging symbols), judged by lintian, and a
#   tarball of what an installation has.
# Contract: package.sh DIRECTORY; packages what is committed. Exit status 0 iff everything was built and lintian finds
#   neither an error nor a warning.
set -euo pipefail

[ $# -eq 1 ] || { printf 'usage: package.sh DIRECTORY\n' >&2; exit 2; }
cd "$(dirname "$0")/.."
mkdir -p "$1"
out=$(cd "$1" && pwd)
version=$(sed -n 's/^  VERSION \(.*\)$/\1/p' CMakeLists.txt | head -n 1)
tree=$out/quay-$version

rm -rf "$tree"
mkdir "$tree"
git archive HEAD | tar -x -C "$tree"
mv "$tree/packaging/debian" "$tree/debian"

(cd "$tree" && dpkg-buildpackage --unsigned-source --unsigned-changes --build=binary)
lintian --fail-on error,warning --info "$out"/quay_"$version"-*.changes
build=$(find "$tree" -maxdepth 1 -type d -name 'obj-*')
(cd "$build" && cpack -B "$out" >/dev/null)
printf 'package: in %s:\n' "$out"
(cd "$out" && ls -1 ./*.deb ./*.tar.gz)
