# Asks for a name some way that the image has. Prints: STATUS MILLISECONDS VALUE…
# Arguments: name type seconds script-for-python
# The time is that of the questions as the program itself took it: the start of a process must not count as DNS.
name=$1 type=$2 limit=$3
centiseconds() { read -r up _ </proc/uptime; echo "${up%.*}${up#*.}"; }
addresses() { getent "$base" "$1" | awk '{print $1}' | sort -u | tr '\n' '|'; }
begin=$(centiseconds) ms=
if command -v dig >/dev/null 2>&1; then
  said=$(dig -u +search +showsearch +noall +comments +answer +stats +tries=1 +time="${limit%.*}" "$name" "$type" 2>&1)
  every=$(echo "$said" | sed -n 's/.*status: \([A-Z]*\).*/\1/p; s/^;.*no servers could be reached.*/TIMEOUT/p')
  # The last word counts: those before it are about other names of the search list. A name without a dot is one of that
  # list; as it stands it goes to servers outside of the cluster, which need not be there.
  status=$(echo "$every" | tail -n 1)
  case $name:$status:$(echo "$every" | head -n 1) in
    *.*) ;;
    *:SERVFAIL:NXDOMAIN | *:REFUSED:NXDOMAIN) status=NXDOMAIN ;;
  esac
  values=$(echo "$said" | awk -v type="$type" '!/^;/ && $4 == type {$1=$2=$3=$4=""; print}' | tr '\n' '|')
  if [ "$status" != TIMEOUT ]; then
    ms=$(echo "$said" | awk '/^;; Query time:/ {sum += $4 / ($5 == "usec" ? 1000 : 1); n++} END {if (n) printf "%.1f", sum}')
  fi
elif command -v python3 >/dev/null 2>&1 && { [ "$type" = A ] || [ "$type" = AAAA ]; }; then
  said=$(python3 -c "$4" "$name" "$type" 2>&1)
  status=${said%% *} values=${said#* } ms=${values%% *} values=${values#* }
elif command -v getent >/dev/null 2>&1 && { [ "$type" = A ] || [ "$type" = AAAA ]; }; then
  [ "$type" = A ] && base=ahostsv4 || base=ahostsv6
  values=$(addresses "$name")
  [ -n "$values" ] && status=NOERROR || status=NXDOMAIN
  took=$(($(centiseconds) - begin)) begin=$(centiseconds)
  addresses 127.0.0.1 >/dev/null # an address asks nobody: this is what the programs take, and the clock's step of 10 ms
  took=$((took - $(centiseconds) + begin - 1))
  [ $took -gt 0 ] || took=0
  ms=$((took * 10))
else
  status=UNUSABLE values="dig is not in the image, and python3 and getent cannot ask for $type"
fi
echo "${status:-TIMEOUT} ${ms:-$((($(centiseconds) - begin) * 10))} $values"
