#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: the manual pages as HTML, linked with one another, with a list of them.
# Contract: docs.sh DIRECTORY; needs mandoc. Exit status 0 iff every page was rendered.
set -euo pipefail

[ $# -eq 1 ] || { printf 'usage: docs.sh DIRECTORY\n' >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/../docs/man"

cat >"$out/manual.css" <<'CSS'
body { max-width: 46em; margin: 2em auto; padding: 0 1em; font: 1rem/1.5 serif; color: #222; }
code, pre, .Bd-indent, .Nm, .Fn, .Dv, .Er, .In { font-family: monospace; }
pre { overflow-x: auto; background: #f4f4f1; padding: 0.7em; }
h1 { font-size: 1.15em; border-bottom: 1px solid #ccc; }
table.head, table.foot { width: 100%; color: #777; font-size: 0.85em; }
td.head-vol { text-align: center; } td.head-rtitle, td.foot-os { text-align: right; }
CSS

{
  printf '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>quay: the manual</title>\n'
  printf '<link rel="stylesheet" href="manual.css"></head><body><h1>quay: the manual</h1>\n<ul>\n'
  for page in quay.7 $(printf '%s\n' *.[1-9] | grep -vx quay.7); do
    mandoc -T html -O "style=manual.css,man=%N.%S.html" "$page" >"$out/$page.html"
    about=$(sed -n 's/^\.Nd //p' "$page")
    printf '<li><a href="%s.html">%s(%s)</a>: %s</li>\n' "$page" "${page%.*}" "${page##*.}" "$about"
  done
  printf '</ul></body></html>\n'
} >"$out/index.html"
printf 'docs: %s/index.html\n' "$out"
