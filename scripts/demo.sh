#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What: `make demo`: a BSD kqueue server under real requests, then `quay watch`, then how to compile a program of one's
# own. Every claim it prints is checked where it is printed.
# Contract: demo.sh BUILD_DIR; ends by itself; exit status 0 when every check held, 1 when one did not, 2 wrong usage.
set -euo pipefail

[[ $# -eq 1 && -d $1 ]] || { printf 'usage: demo.sh BUILD_DIR\n' >&2; exit 2; }
build=$(cd "$1" && pwd)
httpd=$build/examples/kqueue_httpd
load=$build/examples/kqueue_load
quay=$build/bin/quay
for program in "$httpd" "$load" "$quay"; do
  [[ -x $program ]] || { printf 'demo: %s is not built\n' "$program" >&2; exit 1; }
done
command -v curl >/dev/null || { printf 'demo: curl is needed\n' >&2; exit 1; }

bold='' green='' red='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-} != dumb ]]; then
  bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi

work=$(mktemp -d)
server_pid=''
finish() {
  [[ -z $server_pid ]] || kill "$server_pid" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

failed=0
title() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
show() { printf '  $ %s\n' "$*"; }
# check <words> <command>...: says whether the command succeeds.
check() {
  local words=$1
  shift
  if "$@" >>"$work/log" 2>&1; then
    printf '  %sok%s      %s\n' "$green" "$plain" "$words"
  else
    printf '  %sFAILED%s  %s\n' "$red" "$plain" "$words"
    failed=1
  fi
}

title '1. A web server written for BSD'
printf '  examples/bsd/kqueue_httpd.c includes <sys/event.h> and knows nothing of quay or of Linux.\n'
site=$work/site
mkdir "$site"
printf '<!DOCTYPE html><title>quay</title><p>Served by kqueue.\n' >"$site/index.html"
head -c 40000 /dev/urandom >"$site/small"
head -c 20000000 /dev/urandom >"$site/large"

show "kqueue_httpd -p 0 -d site -t 1500"
exec {server}< <(exec "$httpd" -p 0 -d "$site" -t 1500 2>&1)
server_pid=$!
read -r -t 10 line <&"$server" || { printf 'demo: the server does not start\n' >&2; exit 1; }
printf '  %s\n' "$line"
url=${line#listening on }
port=${url##*:}
port=${port%/}

title '2. Requests with curl'
curl() { command curl --silent --show-error --max-time 10 "$@"; }
curl "$url" -o "$work/index.html" || true
check 'the page arrives as it was written' cmp "$site/index.html" "$work/index.html"
curl "${url}large" -o "$work/large" || true
check '20,000,000 bytes arrive, all equal (writes that found no room: EVFILT_WRITE)' cmp "$site/large" "$work/large"
connects=$(curl -w '%{num_connects} ' -o /dev/null "$url" -o /dev/null "$url" -o /dev/null "$url" || true)
check 'three requests take one connection (keep-alive)' test "$connects" = '1 0 0 '
status=$(curl -o /dev/null -w '%{http_code}' --path-as-is "${url}../etc/passwd" || true)
check 'a path that leaves the directory is refused (400)' test "$status" = 400

title '3. Two hundred connections at once, a client that is a kqueue program too'
show "kqueue_load -c 200 -n 50 -q 4 -f site/small /small"
loaded=$("$load" -p "$port" -c 200 -n 50 -q 4 -f "$site/small" /small 2>&1 || true)
printf '  %s\n' "$loaded"
check '10,000 responses, 400,000,000 bytes, each compared with the file' \
  test "${loaded%% in *}" = '200 connections, 10000 responses, 400000000 bytes compared, all equal,'

title '4. Timers (EVFILT_TIMER) close idle connections, a user event (EVFILT_USER) ends the server'
hang_up() { # returns when the server has closed the connection
  exec {connection}<>"/dev/tcp/127.0.0.1/$port"
  timeout 10 cat <&"$connection"
  exec {connection}>&-
}
check 'a connection that says nothing is closed' hang_up
check 'GET /shutdown is answered' test "$(curl "${url}shutdown" || true)" = bye
summary=''
read -r -t 10 summary <&"$server" || true
printf '  %s\n' "$summary"
# 6 by curl, 10,000 by kqueue_load, one to end it.
check 'its counts are ours: 10,007 requests on 206 connections, one of them idle' \
  test "$summary" = 'served 10007 requests on 206 connections, closed 1 idle ones'
ended() { wait "$server_pid"; }
check 'it ended by itself, with exit status 0' ended
server_pid=''

title '5. What a queue sees: standard input, timers and user events'
show "quay watch --read - --drain --timer 400ms --after 1s --user 7@300ms --for 1500ms"
events=$work/events
{ printf 'hello\n'; sleep 0.5; printf 'a second line\n'; sleep 0.2; } |
  "$quay" watch --read - --drain --timer 400ms --after 1s --user 7@300ms --for 1500ms | tee "$events" | sed 's/^/  /'
check 'input came with its number of bytes' grep -Eq 'READ .* 14 +0x1 ' "$events"
check 'the end of input is an event too (EV_EOF)' grep -Eq 'READ .*EOF' "$events"
check 'the periodic timer expired' grep -Eq 'TIMER +1 ' "$events"
check 'the one-shot timer expired once' test "$(grep -Ec 'TIMER +2 .*ONESHOT' "$events")" = 1
check 'another thread triggered the user event' grep -Eq 'USER +7 ' "$events"
"$quay" watch --user 1 --json >"$work/json"
printf '  the same for programs:  $ quay watch --user 1 --json\n  %s\n' "$(cat "$work/json")"
check 'it is JSON with the fields of struct kevent' \
  grep -Eq '^\{.*"ident":1,"filter":"EVFILT_USER","flags":\[.*\],"fflags":1,.*"data":1,.*"udata":1' "$work/json"

title '6. An illumos program: event ports'
printf '  examples/illumos/event_ports.c includes <port.h> and knows nothing of quay or of Linux.\n'
ports=$work/ports
"$build/examples/event_ports" | tee "$ports" | sed 's/^/  /'
for source in FD TIMER FILE USER ALERT; do
  check "an event of the source $source came" grep -q "^$source " "$ports"
done

title 'Your own program'
cat <<'TEXT'
  cc hello.c $(pkg-config --cflags --libs quay-bsd) -o hello      (after `make install PREFIX=...`)

  examples/bsd/hello_kqueue.c is one to begin with, `quay watch --help` and `quay doctor` are to look around.
TEXT

if [[ $failed -ne 0 ]]; then
  printf '\n%sSomething did not hold; what the checks said:%s\n' "$red" "$plain"
  tail -n 40 "$work/log"
  exit 1
fi
printf '\n%sEvery check held.%s\n' "$green" "$plain"
