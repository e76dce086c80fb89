#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: lays out every C and C++ file by .clang-format; with --check only tells which are not and fails.
set -euo pipefail

cd "$(dirname "$0")/.."
case ${1-} in
  --check) mode=(--dry-run -Werror) ;;
  '') mode=(-i) ;;
  *)
    printf 'usage: format.sh [--check]\n' >&2
    exit 2
    ;;
esac
scripts/sources.sh '*.c' '*.cc' '*.h' '*.hpp' | xargs -0 -r clang-format-16 "${mode[@]}"
