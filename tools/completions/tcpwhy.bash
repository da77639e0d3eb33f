# bash completion for tcpwhy
_tcpwhy() {
  local cur prev
  cur=${COMP_WORDS[COMP_CWORD]}
  prev=${COMP_WORDS[COMP_CWORD-1]}
  case "$prev" in
    --format) COMPREPLY=($(compgen -W "text jsonl json" -- "$cur")); return ;;
    --kernel) COMPREPLY=($(compgen -W "2.6.32 el6 3.10 4.4 4.19 5.15 6.1 6.18 running" -- "$cur")); return ;;
    --only) COMPREPLY=($(compgen -W "failed all" -- "$cur")); return ;;
    -i|--interface) COMPREPLY=($(compgen -W "$(ls /sys/class/net 2>/dev/null) any" -- "$cur")); return ;;
  esac
  if [[ ${COMP_WORDS[1]} == why ]]; then
    COMPREPLY=($(compgen -W "$(tcpwhy why 2>/dev/null | sed 's/^[a-z]*: //; s/,/ /g')" -- "$cur"))
  elif [[ ${COMP_WORDS[1]} == watch ]]; then
    COMPREPLY=($(compgen -W "--netns --all-netns --duration --format --cost --help" -- "$cur"))
  elif [[ ${COMP_WORDS[1]} == probe ]]; then
    COMPREPLY=($(compgen -A hostname -W "--max-packets --timeout --connects --other-ports --max-hops --idle --half-open --no-raw --format --help -4 -6" -- "$cur"))
  elif [[ ${COMP_WORDS[1]} == host ]]; then
    COMPREPLY=($(compgen -W "--netns --pid --all-netns --interval --times --wait --patience --format --save --help" -- "$cur"))
  elif [[ ${COMP_WORDS[1]} == lab ]]; then
    if [[ $COMP_CWORD -eq 2 ]]; then COMPREPLY=($(compgen -W "compare fuzz list run script serve" -- "$cur"))
    elif [[ $prev == run || $prev == compare ]]; then COMPREPLY=($(compgen -W "$(tcpwhy lab list 2>/dev/null | awk '{print $1}')" -- "$cur"))
    elif [[ ${COMP_WORDS[2]} == script && $cur != -* ]]; then COMPREPLY=($(compgen -f -- "$cur"))
    elif [[ ${COMP_WORDS[2]} == script ]]; then COMPREPLY=($(compgen -W "--kernel --set --define --family --format --story --help" -- "$cur"))
    elif [[ ${COMP_WORDS[2]} == serve ]]; then COMPREPLY=($(compgen -W "--kernel --set --listen --address --gateway --device --pcap --packets --max-descriptors --duration --seed --format --help" -- "$cur"))
    elif [[ ${COMP_WORDS[2]} == fuzz ]]; then COMPREPLY=($(compgen -W "--seconds --trials --seed --jobs --fast-open --ipv6 --kernel --out --help" -- "$cur"))
    elif [[ ${COMP_WORDS[2]} == compare ]]; then COMPREPLY=($(compgen -W "--kernel --set --param --tolerance --seed --format --help" -- "$cur"))
    else COMPREPLY=($(compgen -W "--kernel --set --param --sweep --pcap --tap --seed --format --help" -- "$cur")); fi
  elif [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "--interface --with-kernel --host --filter --from --to --connection --format --only --ring --vantages
      --threads --max-connections --verify-checksums --help --version" -- "$cur"))
  else
    [[ $COMP_CWORD -eq 1 ]] && COMPREPLY=($(compgen -W "explain host lab probe watch why" -- "$cur"))
    COMPREPLY+=($(compgen -f -- "$cur"))
  fi
}
complete -o filenames -F _tcpwhy tcpwhy
