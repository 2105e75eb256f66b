# Asks for a name some way that the image has. Prints: STATUS MILLISECONDS VALUE…
# Arguments: name type seconds
name=$1 type=$2 limit=$3
centiseconds() { read -r up _ </proc/uptime; echo "${up%.*}${up#*.}"; }
begin=$(centiseconds)
if command -v dig >/dev/null 2>&1; then
  said=$(dig +search +noall +comments +answer +tries=1 +time="${limit%.*}" "$name" "$type" 2>&1)
  status=$(echo "$said" | sed -n 's/.*status: \([A-Z]*\).*/\1/p' | head -n 1)
  values=$(echo "$said" | awk -v type="$type" '!/^;/ && $4 == type {$1=$2=$3=$4=""; print}' | tr '\n' '|')
elif command -v python3 >/dev/null 2>&1 && { [ "$type" = A ] || [ "$type" = AAAA ]; }; then
  said=$(python3 -c "$4" "$name" "$type" 2>&1)
  status=${said%% *} values=${said#* }
elif command -v getent >/dev/null 2>&1 && { [ "$type" = A ] || [ "$type" = AAAA ]; }; then
  [ "$type" = A ] && base=ahostsv4 || base=ahostsv6
  values=$(getent "$base" "$name" | awk '{print $1}' | sort -u | tr '\n' '|')
  [ -n "$values" ] && status=NOERROR || status=NXDOMAIN
else
  status=UNUSABLE values="dig is not in the image, and python3 and getent cannot ask for $type"
fi
echo "${status:-TIMEOUT} $((($(centiseconds) - begin) * 10)) $values"
