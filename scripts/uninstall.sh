#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: removes an installed quay again: every file that an installation of this build would put below the prefix, then
#   the folders that are empty without it.
# Contract: uninstall.sh BUILD_DIR PREFIX. Exit status 0 also when nothing was there. Files of others are left alone, and so
#   are the folders that /usr and /usr/local have of themselves.
set -euo pipefail

if [ $# -ne 2 ] || [ ! -d "$1" ]; then
  printf 'usage: uninstall.sh BUILD_DIR PREFIX\n' >&2
  exit 2
fi
build=$1 prefix=$2
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cmake --install "$build" --prefix "$stage" >/dev/null

count=0
while IFS= read -r -d '' file; do
  if [ -e "$prefix/$file" ] || [ -L "$prefix/$file" ]; then
    rm -f "$prefix/$file"
    count=$((count + 1))
  fi
done < <(cd "$stage" && find . \( -type f -o -type l \) -printf '%P\0')
case $prefix in
  /usr | /usr/ | /usr/local | /usr/local/) ours=(-path '*quay*') ;;
  *) ours=(-true) ;;
esac
while IFS= read -r folder; do # deepest first, the prefix itself last
  rmdir "$prefix/$folder" 2>/dev/null || true
done < <(cd "$stage" && find . -depth -type d "${ours[@]}" -printf '%P\n')
printf 'uninstall: %d files removed below %s\n' "$count" "$prefix"
