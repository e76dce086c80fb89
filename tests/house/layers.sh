#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: fails when an include crosses the layers of the house.
# Contract: layers.sh [ROOT] checks a source tree; layers.sh --self-test checks the check. Exit status 0 kept, 1 broken
#   (one line per offending include), 2 wrong usage.
#   Who may include whom, besides the system's headers and one's own folder:
#     core       nobody
#     host       core
#     a system   core, host, public          kqueue, port, pipe, signalfd, aio: never one another
#     faces      core, host, systems, public
#     hooks      core, host, systems, faces, public
#     tools      core, host, systems, faces, public
#     public     nobody                      everything below include/
#     examples   public                      they are what a user writes
# Invariants: 1. A name is resolved as the compiler does: quoted names beside the includer first, then src/, include/bsd,
#                include/illumos, include/. What resolves to no file of the project belongs to the system, unless it is
#                quoted: a quoted name that is nowhere counts as the layer that its first folder names.
#             2. An include whose name is a macro cannot be checked and is an offence.
set -euo pipefail

check_tree() {
  (
    cd "$1"
    for folder in src include tools examples; do
      [ ! -d "$folder" ] || find "$folder" -type f \
        \( -name '*.h' -o -name '*.hpp' -o -name '*.c' -o -name '*.cc' -o -name '*.inc' \) -print
    done | LC_ALL=C sort | awk '
      function layer_of(path,   part) {
        split(path, part, "/")
        if (part[1] == "include") return "public"
        if (part[1] == "src") return part[2]
        return part[1]
      }
      # a/b/../c -> a/c
      function plain(path,   part, n, i, kept, out) {
        n = split(path, part, "/")
        kept = 0
        for (i = 1; i <= n; i++) {
          if (part[i] == "." || part[i] == "") continue
          if (part[i] == ".." && kept > 0) { kept--; continue }
          stack[++kept] = part[i]
        }
        out = ""
        for (i = 1; i <= kept; i++) out = out (i > 1 ? "/" : "") stack[i]
        return out
      }
      # The layer that `name`, included by `from`, belongs to; "" is the system.
      function target_layer(from, name, quoted,   folder, i, path, first) {
        if (quoted) {
          folder = from
          sub(/[^\/]*$/, "", folder)
          path = plain(folder name)
          if (path in known) return layer_of(path)
        }
        for (i = 1; i <= roots; i++) {
          path = plain(root[i] "/" name)
          if (path in known) return layer_of(path)
        }
        if (!quoted) return ""
        path = plain(folder name)
        if (path !~ /^\.\./ && name ~ /^\.\.\//) return layer_of(path)
        if (name !~ /\//) return layer_of(from)
        first = name
        sub(/\/.*/, "", first)
        return first
      }
      function allow(from, list,   part, n, i) {
        n = split(list, part, " ")
        for (i = 1; i <= n; i++) allowed[from, part[i]] = 1
        allowed[from, from] = 1
        layer[from] = 1
      }
      function offence(file, line, text) {
        printf "%s:%d: %s\n", file, line, text
        broken = 1
      }
      BEGIN {
        roots = split("src include/bsd include/illumos include tools tools/quay", root, " ")
        systems = "kqueue port pipe signalfd aio"
        n = split(systems, system_name, " ")
        allow("core", "")
        allow("host", "core")
        for (i = 1; i <= n; i++) allow(system_name[i], "core host public")
        allow("faces", "core host public " systems)
        allow("hooks", "core host public faces " systems)
        allow("tools", "core host public faces " systems)
        allow("public", "")
        allow("examples", "public")
      }
      { known[$0] = 1; file[++files] = $0 }
      END {
        for (f = 1; f <= files; f++) {
          from = layer_of(file[f])
          if (!(from in layer)) offence(file[f], 1, "lies in no layer of the house")
          number = 0
          while ((getline text < file[f]) > 0) {
            number++
            if (text !~ /^[ \t]*#[ \t]*(include|include_next|import)[ \t"<A-Za-z_]/) continue
            sub(/^[ \t]*#[ \t]*(include_next|include|import)[ \t]*/, "", text)
            opening = substr(text, 1, 1)
            if (opening != "<" && opening != "\"") {
              offence(file[f], number, "includes the value of a macro: " text)
              continue
            }
            name = substr(text, 2)
            sub(/[>"].*/, "", name)
            to = target_layer(file[f], name, opening == "\"")
            if (to != "" && !((from, to) in allowed))
              offence(file[f], number, from " must not include " to ": " name)
          }
          close(file[f])
        }
        exit broken
      }'
  )
}

# A tree in which every allowed arrow is drawn once.
plant_sound_tree() {
  local top=$1
  local -a systems=(kqueue port pipe signalfd aio)
  mkdir -p "$top"/include/{bsd/sys,quay} "$top"/src/{core,host,faces,hooks} "$top"/tools/quay "$top"/examples/bsd
  printf '#include <stdint.h>\n' >"$top/include/bsd/sys/event.h"
  printf '#include <sys/event.h>\n' >"$top/include/quay/quay.h"
  printf '#include <cstdint>\n' >"$top/src/core/note.hpp"
  printf '#include "note.hpp"\n#include "core/note.hpp"\n' >"$top/src/core/note.cc"
  printf '#include "core/note.hpp"\n#include <sys/epoll.h>\n' >"$top/src/host/host.hpp"
  printf '#include "core/note.hpp"\n#include "host/host.hpp"\n' >"$top/src/faces/face.hpp"
  for system in "${systems[@]}"; do
    mkdir -p "$top/src/$system"
    printf '#include "core/note.hpp"\n#include "../host/host.hpp"\n#include <quay/quay.h>\n' >"$top/src/$system/$system.hpp"
    printf '#include "%s/%s.hpp"\n' "$system" "$system" >>"$top/src/faces/face.hpp"
  done
  printf '#include "faces/face.hpp"\n#include "kqueue/kqueue.hpp"\n' >"$top/src/hooks/close.cc"
  printf '#include "faces/face.hpp"\n#include "kqueue/kqueue.hpp"\n#include "main.hpp"\n' >"$top/tools/quay/main.cc"
  printf '#include <string>\n' >"$top/tools/quay/main.hpp"
  printf '#include <sys/event.h>\n' >"$top/examples/bsd/server.c"
}

self_test() {
  local top wrong=0 output
  top=$(mktemp -d)
  # shellcheck disable=SC2064 # the name is needed now, the local is gone at exit
  trap "rm -rf '$top'" EXIT
  plant_sound_tree "$top/sound"
  if ! output=$(check_tree "$top/sound"); then
    printf 'a sound tree is found broken:\n%s\n' "$output"
    wrong=1
  fi
  # file | text of the offending include | what the report must say
  local -a offences=(
    'src/core/bad.hpp|"host/host.hpp"|core must not include host'
    'src/core/bad.hpp|"kqueue/kqueue.hpp"|core must not include kqueue'
    'src/core/bad.hpp|<quay/quay.h>|core must not include public'
    'src/core/bad.hpp|<sys/event.h>|core must not include public'
    'src/core/bad.cc|"../faces/face.hpp"|core must not include faces'
    'src/core/bad.cc|"./../host/./host.hpp"|core must not include host'
    'src/host/bad.hpp|"port/port.hpp"|host must not include port'
    'src/host/bad.hpp|"faces/face.hpp"|host must not include faces'
    'src/kqueue/bad.cc|"port/port.hpp"|kqueue must not include port'
    'src/kqueue/filters/bad.cc|"../../pipe/pipe.hpp"|kqueue must not include pipe'
    'src/port/bad.cc|"kqueue/kqueue.hpp"|port must not include kqueue'
    'src/pipe/bad.cc|<aio/aio.hpp>|pipe must not include aio'
    'src/signalfd/bad.cc|"kqueue/absent.hpp"|signalfd must not include kqueue'
    'src/aio/bad.cc|"faces/face.hpp"|aio must not include faces'
    'src/faces/bad.cc|"hooks/close.cc"|faces must not include hooks'
    'src/hooks/bad.cc|"../../tools/quay/main.hpp"|hooks must not include tools'
    'tools/quay/bad.cc|"hooks/close.cc"|tools must not include hooks'
    'include/quay/bad.h|"../../src/core/note.hpp"|public must not include core'
    'include/quay/bad.h|"core/note.hpp"|public must not include core'
    'include/bsd/sys/bad.h|<kqueue/kqueue.hpp>|public must not include kqueue'
    'examples/bsd/bad.c|"core/note.hpp"|examples must not include core'
    'src/kqueue/bad.cc|QUAY_HEADER|includes the value of a macro'
    'src/annex/bad.cc|<vector>|lies in no layer'
  )
  local offence file include report
  for offence in "${offences[@]}"; do
    IFS='|' read -r file include report <<<"$offence"
    rm -rf "$top/planted"
    cp -r "$top/sound" "$top/planted"
    mkdir -p "$(dirname "$top/planted/$file")"
    printf '// a comment\n  #  include %s\n' "$include" >"$top/planted/$file"
    if output=$(check_tree "$top/planted"); then
      printf 'not noticed: %s in %s\n' "$include" "$file"
      wrong=1
    elif [ "$(wc -l <<<"$output")" != 1 ] || [[ $output != "$file:"*"$report"* ]]; then
      printf 'reported wrongly: %s in %s:\n%s\n' "$include" "$file" "$output"
      wrong=1
    fi
  done
  [ "$wrong" = 0 ] && printf 'a sound tree passes, %d planted offences are each reported once\n' "${#offences[@]}"
  return "$wrong"
}

case ${1-} in
  --self-test) self_test ;;
  -*)
    printf 'usage: layers.sh [ROOT] | --self-test\n' >&2
    exit 2
    ;;
  *) check_tree "${1:-$(dirname "$0")/../..}" ;;
esac
