# SPDX-License-Identifier: BSD-2-Clause
#
# What: completion of quay(1) for bash. The subcommands and their options are asked of the tool itself, so that they cannot
#   grow apart.

_quay_words() { # the options or subcommands in the help of "quay $@"
  quay "$@" --help 2>/dev/null | grep -oE -- "$_quay_pattern" | sort -u
}

_quay() {
  local current=${COMP_WORDS[COMP_CWORD]} sub=${COMP_WORDS[1]-} _quay_pattern
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$(quay --help 2>/dev/null |
      awk '/^Subcommands:/ { list = 1; next } list && /^  [a-z]/ { print $1 } list && /^$/ { exit }')" -- "$current")
    return
  fi
  case $sub in
    run | trace)
      local word i
      for ((i = 2; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
          -o | --output) i=$((i + 1)) ;;
          -*) ;;
          *) # the program's own words
            declare -F _command_offset >/dev/null && _command_offset "$i"
            return ;;
        esac
      done
      case ${COMP_WORDS[COMP_CWORD - 1]} in
        -o | --output) mapfile -t COMPREPLY < <(compgen -f -- "$current") && return ;;
      esac
      [[ $current == -* ]] || { mapfile -t COMPREPLY < <(compgen -c -- "$current"); return; }
      ;;
    bench) [[ $current == -* || ${COMP_WORDS[COMP_CWORD - 1]} == --report || ${COMP_WORDS[COMP_CWORD - 1]} == --from ]] || {
      mapfile -t COMPREPLY < <(compgen -W "$(quay bench --list 2>/dev/null | grep -v '^ ')" -- "$current")
      return
    } ;;
    stat) [[ $current == -* ]] || { mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && printf '%s\n' [0-9]*)" -- "$current"); return; } ;;
  esac
  if [[ $current == -* ]]; then
    _quay_pattern='--[a-z-]+'
    mapfile -t COMPREPLY < <(compgen -W "$(_quay_words "$sub")" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -o filenames -F _quay quay
