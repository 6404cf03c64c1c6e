# Completion of penstock for bash. It offers what the program's own --help says, so that it lacks no
# command, no option and no value of the version that is installed.

# Of one line of help the words in braces: "--format TEXT:{sh, fish}=sh".
_penstock_values() {
  [[ $1 == *\{*\}* ]] || return
  local values=${1#*\{}
  echo "${values%%\}*}" | tr ',' ' '
}

# The names at the start of the lines of one section of the help on standard input.
_penstock_names() {
  sed -n "/^$1:/,/^\$/p" | grep -oE '^  [^ ]+' | tr ',' ' '
}

# The line of help $1 for option $2, when a value comes after it: "  -c,--config TEXT".
_penstock_valued() {
  grep -E -- "^  ([^ ]*,)?$2(,[^ ]*)? [A-Z]" <<<"$1"
}

_penstock() {
  local cur prev words cword
  # Without ':' and '=': addresses have both.
  _init_completion -n := || return
  local at line command='' arguments=0 help
  help=$("${words[0]}" --help 2>/dev/null) || return
  for ((at = 1; at < cword; ++at)); do
    if [[ ${words[at]} == -- ]]; then
      _command_offset $((at + 1))
      return
    elif [[ ${words[at]} == -* ]]; then
      if _penstock_valued "$help" "${words[at]}" >/dev/null; then ((++at)); fi
    elif [[ $command ]]; then
      ((++arguments))
    else
      command=${words[at]}
      help=$("${words[0]}" "$command" --help 2>/dev/null) || return
    fi
  done

  if [[ $prev == -c || $prev == --config || $prev == --diff || ${words[cword - 2]} == --diff ]]; then
    _filedir
  elif [[ $prev == -* ]] && line=$(_penstock_valued "$help" "$prev"); then
    COMPREPLY=($(compgen -W "$(_penstock_values "$line")" -- "$cur"))
  elif [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$(_penstock_names Options <<<"$help")" -- "$cur"))
  elif [[ ! $command ]]; then
    COMPREPLY=($(compgen -W "$(_penstock_names Subcommands <<<"$help")" -- "$cur"))
  else
    line=$(sed -n '/^Positionals:/,/^$/p' <<<"$help" | grep '^  [A-Z]' | sed -n "$((arguments + 1))p")
    COMPREPLY=($(compgen -W "$(_penstock_values "$line")" -- "$cur"))
  fi
} && complete -F _penstock penstock
