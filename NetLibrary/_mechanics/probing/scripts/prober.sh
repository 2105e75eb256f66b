# Batch prober for images with nothing but a POSIX shell: one process per probe, /agnhost connect or nc.
# Slower than the others and without the client's address; see ../plan.py for the protocol.
if command -v /agnhost >/dev/null 2>&1; then tool=agnhost
elif command -v nc >/dev/null 2>&1; then tool=nc
else tool=none; fi

emit() { printf 'R\t%s\t%s\t0\t1\t%s\t%s\t%s\n' "$1" "$2" "${3:--}" "${4:--}" "${5:--}"; }

lookup() { # ID dns SERVER PORT TYPE/NAME
  if ! command -v dig >/dev/null 2>&1; then emit "$1" ERROR - - "DNS lookups need dig, bash or python3 in the source image"; return; fi
  server=''
  [ "$3" = - ] || server="@$3 -p $4"
  name=${5#*/}
  if out=$(dig $server +nocmd +noall +comments +answer +time=$seconds +tries=1 -t "${5%%/*}" "${name%%/*}" 2>&1); then
    status=$(printf '%s\n' "$out" | sed -n 's/.*status: \([A-Z]*\).*/\1/p' | head -n 1)
    records=$(printf '%s\n' "$out" | grep -v '^;' | sed '/^$/d' | while read -r _ _ _ _ data; do echo "$data"; done | tr ' \n' '_,' | sed 's/,$//')
    if [ "$status" = NOERROR ]; then emit "$1" OK "${records:--}" - NOERROR; else emit "$1" FAILED - - "DNS $status"; fi
  else
    emit "$1" FAILED - - "DNS server does not answer"
  fi
}

one() { # ID KIND HOST PORT EXTRA
  case $3 in *:*) host="[$3]" ;; *) host=$3 ;; esac
  case $2 in
    http|tcp|connect|udp|sctp) ;;
    dns) lookup "$@"; return ;;
    *) emit "$1" ERROR - - "$2 probes need bash or python3 in the source image"; return ;;
  esac
  case $tool in
    agnhost)
      protocol=tcp
      case $2 in udp|sctp) protocol=$2 ;; esac
      if out=$(/agnhost connect "$host:$4" --protocol=$protocol --timeout="${seconds}s" 2>&1); then
        emit "$1" OK - - "identity not asked"
      else
        emit "$1" FAILED - - "$(printf %s "$out" | tail -n 1 | tr '\t' ' ')"
      fi ;;
    nc)
      case $2 in
        udp)
          out=$(printf 'hostname\n' | nc -u -w "$seconds" "$3" "$4" 2>/dev/null)
          if [ -n "$out" ]; then emit "$1" OK "$out"; else emit "$1" FAILED - - "no answer"; fi ;;
        http)
          out=$(printf 'GET /hostname HTTP/1.0\r\n\r\n' | nc -w "$seconds" "$3" "$4" 2>/dev/null) && got=0 || got=$?
          if [ -n "$out" ]; then emit "$1" OK "$(printf %s "$out" | tail -n 1 | tr -d '\r')"
          else emit "$1" FAILED - - "nc ended with $got and no answer"; fi ;;
        *) emit "$1" ERROR - - "$2 probes need bash, python3 or agnhost in the source image" ;;
      esac ;;
    *) emit "$1" ERROR - - "the source image has neither bash 5, python3, agnhost nor nc" ;;
  esac
}

printf 'HELLO\tsh\t%s\t%s\t%s\n' "$tool" "$(cat /proc/sys/kernel/hostname 2>/dev/null || echo -)" \
  "$(sed -n 's/^search[[:space:]]*//p' /etc/resolv.conf 2>/dev/null | tail -n 1)"
plan='' seconds=2
while IFS= read -r line; do
  case $line in
    "PLAN "*) plan='' ms=${line#PLAN }; seconds=$(((ms + 999) / 1000)) ;;
    END)
      echo BEGIN
      count=0
      while IFS=' ' read -r id kind host port extra _; do
        [ -n "$id" ] || continue
        count=$((count + 1))
        one "$id" "$kind" "$host" "$port" "$extra" &
      done <<EOF
$plan
EOF
      wait
      printf 'END\t%s\t0\n' "$count" ;;
    QUIT) exit 0 ;;
    *) plan="$plan
$line" ;;
  esac
done
