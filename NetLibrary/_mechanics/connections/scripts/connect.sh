# Connects some times, with what the image has. Prints a line for each attempt: RESULT MILLISECONDS TEXT
# Arguments: host port protocol seconds attempts family script-for-python
host=$1 port=$2 protocol=$3 limit=$4 attempts=$5 family=$6
if command -v python3 >/dev/null 2>&1; then
  exec python3 -c "$7" "$host" "$port" "$protocol" "$limit" "$attempts" "$family"
fi
case $host in *:* | *[0-9].*[0-9].*[0-9].*[0-9]) named= ;; *) named=yes ;; esac
if [ "$family" != any ] && [ -n "$named" ]; then
  if ! command -v dig >/dev/null 2>&1; then
    echo "unusable 0 python3 or dig is needed to choose the address family of a name"
    exit 0
  fi
  case $family in ipv4) kind=A ;; *) kind=AAAA ;; esac
  found=$(dig +search +short +time=1 +tries=2 "$host" "$kind" 2>/dev/null | grep -E '^[0-9a-fA-F:]+[.:][0-9a-fA-F.:]*$' | head -n 1)
  if [ -z "$found" ]; then
    while [ "$attempts" -gt 0 ]; do attempts=$((attempts - 1)); echo "unresolved 0 no $kind record of $host"; done
    exit 0
  fi
  host=$found
fi
# A name server that is silent holds programs for longer than their own limit
bounded() {
  if command -v timeout >/dev/null 2>&1; then
    timeout "$((${limit%.*} + 4))" "$@" || { code=$?; [ $code = 124 ] || [ $code = 143 ] && echo "OVERDUE"; return $code; }
  else
    "$@"
  fi
}
# Whether a name leads nowhere, where silence may be that of the name server
unknown() {
  [ -n "$named" ] && [ -z "$agnhost" ] || return 1
  if command -v getent >/dev/null 2>&1; then [ -z "$(bounded getent hosts "$host" 2>/dev/null | grep -v OVERDUE)" ]
  elif command -v dig >/dev/null 2>&1; then [ -z "$(dig +search +short +time=1 +tries=2 "$host" 2>/dev/null)" ]
  else return 1; fi
}
agnhost=$(command -v agnhost || { [ -x /agnhost ] && echo /agnhost; })
case $host in *:*) target="[$host]:$port" ;; *) target="$host:$port" ;; esac

centiseconds() { read -r up _ </proc/uptime; echo "${up%.*}${up#*.}"; }

attempt() {
  if [ -n "$agnhost" ]; then
    bounded "$agnhost" connect --timeout="${limit}s" --protocol="$protocol" "$target" 2>&1
  elif [ "$protocol" != tcp ]; then
    echo UNUSABLE; return 1
  elif command -v bash >/dev/null 2>&1 && command -v timeout >/dev/null 2>&1; then
    timeout "$limit" bash -c 'exec 3<>"/dev/tcp/$1/$2"' connect "$host" "$port" 2>&1 || { [ $? = 124 ] && echo TIMEOUT; return 1; }
  elif command -v nc >/dev/null 2>&1; then
    nc -z -v -w "${limit%.*}" "$host" "$port" 2>&1
  else
    echo UNUSABLE; return 1
  fi
}

# What the program's start takes, and a step of the clock: neither is the network's time
start=0
if [ "$protocol" = tcp ]; then
  begin=$(centiseconds)
  (host=127.0.0.1 port=1 target=127.0.0.1:1 limit=1; attempt) >/dev/null 2>&1
  start=$(($(centiseconds) - begin + 1))
fi

while [ "$attempts" -gt 0 ]; do
  attempts=$((attempts - 1))
  begin=$(centiseconds)
  said=$(attempt) && result=connected || case $said in
    *UNUSABLE*) result=unusable; said="none of python3, agnhost, bash and nc is in the image" ;;
    *OVERDUE*)
      result=silent said="no answer within $((${limit%.*} + 4)) s"
      if [ -n "$named" ]; then result=unresolved said="no name server answered in time"; fi ;;
    *REFUSED* | *[Rr]efused*) result=refused ;;
    *TIMEOUT* | *"timed out"*) result=silent ;;
    *"DNS:"* | *"not known"* | *"bad address"* | *resolv* | *"Try again"*) result=unresolved ;;
    *"o route"* | *nreachable* | *rohibited*) result=unreachable ;;
    *) result=other ;;
  esac
  if [ $result = silent ] && unknown; then result=unresolved said="no name server answered in time"; fi
  took=$(($(centiseconds) - begin))
  case $result in connected | refused) took=$((took > start ? took - start : 0)) ;; esac
  echo "$result $((took * 10)) $(echo "$said" | tr '\n' ' ')"
done
