#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: lists the project's own files that match the given git pathspecs, NUL-separated: the tracked ones and those
#   that are new and not ignored. What was deleted and not committed yet is left out.
set -euo pipefail

cd "$(dirname "$0")/.."
git ls-files -z --cached --others --exclude-standard -- "$@" |
  while IFS= read -r -d '' file; do
    [ ! -f "$file" ] || printf '%s\0' "$file"
  done
