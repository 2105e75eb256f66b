# Connects some times, with what the image has. Prints a line for each attempt: RESULT MILLISECONDS TEXT
# Arguments: host port protocol seconds attempts family script-for-python
host=$1 port=$2 protocol=$3 limit=$4 attempts=$5 family=$6
if command -v python3 >/dev/null 2>&1; then
  exec python3 -c "$7" "$host" "$port" "$protocol" "$limit" "$attempts" "$family"
fi
if [ "$family" != any ]; then echo "unusable 0 python3 is needed to choose the address family"; exit 0; fi
agnhost=$(command -v agnhost || { [ -x /agnhost ] && echo /agnhost; })
case $host in *:*) target="[$host]:$port" ;; *) target="$host:$port" ;; esac

centiseconds() { read -r up _ </proc/uptime; echo "${up%.*}${up#*.}"; }

attempt() {
  if [ -n "$agnhost" ]; then
    "$agnhost" connect --timeout="${limit}s" --protocol="$protocol" "$target" 2>&1
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

while [ "$attempts" -gt 0 ]; do
  attempts=$((attempts - 1))
  begin=$(centiseconds)
  said=$(attempt) && result=connected || case $said in
    *UNUSABLE*) result=unusable; said="none of python3, agnhost, bash and nc is in the image" ;;
    *REFUSED* | *[Rr]efused*) result=refused ;;
    *TIMEOUT* | *"timed out"*) result=silent ;;
    *"DNS:"* | *"not known"* | *"bad address"* | *resolv* | *"Try again"*) result=unresolved ;;
    *"o route"* | *nreachable* | *rohibited*) result=unreachable ;;
    *) result=other ;;
  esac
  echo "$result $((($(centiseconds) - begin) * 10)) $(echo "$said" | tr '\n' ' ')"
done
