# Batch prober for images with bash 5 or newer (the stock agnhost image has it). Runs inside the source pod.
#
# Reads plans on standard input, writes one result line per probe; see ../plan.py for both formats.
# No process is started per probe while probes are answered: TCP goes over /dev/tcp in one worker, UDP over
# /dev/udp in another. When a connection stalls, the rest of the plan fans out, so that any number of unanswered probes
# waits in the same time limit: one curl process finds out which HTTP servers stay silent, where the image has curl;
# everything else gets a subshell per probe.
LC_ALL=C
stall_us=250000
late_us=300000
# Until every curl of a busy machine has started and its time limit is over
curl_grace_us=800000
# A worker that listens in vain ends so much before the deadline, so that its words come before it is ended
early_us=100000
resend_us=(200000 500000 1000000)
tab=$'\t' nl=$'\n' cr=$'\r'
blank=$cr$nl$cr$nl
# Ends every record between workers and collector. Not by the newline alone: "read -t" may take a newline away and still
# say that its time was over.
stop=$'\x1e\n'
# Sent by one write each ("printf %s"): line by line, Nagle's algorithm and delayed acknowledgements cost 40 ms a probe.
close_after="HTTP/1.1${cr}${nl}Host: n${cr}${nl}Connection: close$blank"
ask_both="GET /hostname HTTP/1.1${cr}${nl}Host: n${blank}GET /clientip $close_after"

clock() { now=${EPOCHREALTIME/[.,]/}; }

# An anonymous pipe, opened for reading and writing, in the variable named by $1. Bash keeps a short here-string in a
# pipe (from 5.1 on), which can be had without a process; else one is needed.
new_pipe() {
  local made
  exec {made}<<<x
  if [[ -p /proc/self/fd/$made ]]; then
    eval "exec {$1}<>/proc/self/fd/$made"
    read -r -u $made
  else
    eval "exec {$1}<> <(:)"
  fi
  exec {made}<&-
}

# Seconds with fraction left until $deadline, for read -t; never below a millisecond.
left() {
  clock
  local us=$((deadline - now - ${1:-0}))
  ((us < 1000)) && us=1000
  printf -v left '%d.%06d' $((us / 1000000)) $((us % 1000000))
}

# All records that one answer of DNS can hold must fit into a field.
clean() { clean=${1//[^[:print:]]/ }; clean=${clean:0:8000}; }

# Attempts of a connection that took $1 microseconds: Linux sends a SYN again after 1 s and after 3 s, to the millisecond.
syns() {
  tried=1
  (($1 > 990000 && $1 < 1200000)) && tried=2
  (($1 > 2990000 && $1 < 3250000)) && tried=3
}

# Silence counts only when it was listened to for most of the time limit: report_silence ID SINCE ATTEMPTS DETAIL
report_silence() {
  if ((now - $2 > limit_us * 3 / 5)); then
    report "$1" FAILED $((now - $2)) "$3" - - "$4"
  else
    report "$1" ERROR 0 0 - - "the source was starved of processor time"
  fi
}

# report ID CLASS LATENCY_US ATTEMPTS RESPONDER CLIENT DETAIL
report() {
  clean "$5"; local who=$clean
  clean "$6"; local client=$clean
  clean "$7"
  printf 'R\t%s\t%s\t%s\t%s\t%s\t%s\t%s' "$1" "$2" "$3" "$4" "${who:--}" "${client:--}" "${clean:--}$stop" >&$results
}

# What bash wrote to standard error since the last call; standard error of every worker is a pipe of its own.
# The first line has the reason, the next one only says that the redirection failed.
complaint() {
  local line
  complaint=
  while IFS= read -r -t 0.03 -u 2 line; do
    [[ -n $complaint ]] || complaint=${line##*: }
  done
}

# Body of the first and of the second HTTP response in $answer.
split_http() {
  who=- client=- detail=
  if [[ $answer != HTTP/1.* ]]; then
    detail="not HTTP: ${answer:0:80}"
    return
  fi
  local status=${answer%%$cr*} body=${answer#*$blank}
  status=${status#* }
  who=${body%%HTTP/1.*}
  [[ $body == *HTTP/1.*$blank* ]] && client=${body#*HTTP/1.*$blank}
  if [[ $status != 200* || $1 != - ]]; then
    detail="HTTP $status ${who:0:100}" who=-
  fi
}

# An answer of which only a part came in time is none.
part() {
  answer=
  drain
}

# Sets the deadline of the probe with line $1: its own limit, or that of the plan when that is longer.
give_time() {
  local own=$((${1##* } * 1000))
  clock
  deadline=$((now + (own > limit_us ? own : limit_us)))
}

# probe_tcp ID KIND HOST PORT EXTRA
probe_tcp() {
  local id=$1 kind=$2 host=$3 port=$4 extra=$5 begin answer= who=- client=- detail= latency complaint left
  clock; begin=$now
  if ! { exec 5<>"/dev/tcp/$host/$port"; } ; then
    clock; latency=$((now - begin))
    complaint
    report "$id" FAILED $latency 1 - - "$complaint"
    return
  fi
  clock; latency=$((now - begin))
  case $kind in
    http)
      if [[ $extra == - ]]; then
        printf %s "$ask_both" >&5
      elif [[ $extra == size=* ]]; then
        printf -v answer '%*s' "${extra#size=}" ''
        printf %s "GET /echo?msg=${answer// /x} $close_after" >&5
        answer=
      else
        printf %s "GET $extra $close_after" >&5
      fi
      left $early_us
      IFS= read -r -d '' -N 65536 -t "$left" -u 5 answer || (($? < 128)) || part "$answer"
      ;;
    tcp)
      left $early_us
      IFS= read -r -d '' -N 300 -t "$left" -u 5 answer || (($? < 128)) || part "$answer"
      ;;
  esac
  exec 5>&-
  # a connection alone says nothing, and looking for its complaint would take its time
  [[ $kind == connect ]] || complaint_if_empty "$answer"
  if [[ $kind != connect && -z $answer ]]; then
    if [[ -n $complaint ]]; then
      report "$id" FAILED $latency 1 - - "$complaint"
    else
      clock
      if ((now > deadline - early_us - 30000)); then
        report_silence "$id" "$begin" 1 "connected but no answer"
      else
        report "$id" FAILED $latency 1 - - "connected but closed without answer"
      fi
    fi
    return
  fi
  case $kind in
    http)
      split_http "$extra"
      if [[ $extra == size=* ]]; then
        answer=${answer#*$blank}
        detail="bytes=${#answer}"
      fi
      ;;
    tcp) who=$answer ;;
  esac
  clock
  [[ -z $detail ]] && ((now - begin > late_us)) && detail="answered after $(((now - begin) / 1000)) ms"
  local tried
  syns $latency
  report "$id" OK $latency $tried "$who" "$client" "$detail"
}

complaint_if_empty() { complaint=; [[ -n $1 ]] || complaint; }

# probe_tool ID KIND HOST PORT EXTRA: what needs a program of the image.
probe_tool() {
  local id=$1 kind=$2 host=$3 port=$4 extra=$5 out begin
  clock; begin=$now
  case $kind in
    sctp)
      if [[ ! -x /agnhost ]]; then report "$id" ERROR 0 0 - - "SCTP needs /agnhost or python3 in the source image"; return; fi
      left
      if out=$(/agnhost connect --protocol=sctp --timeout="${left}s" "$(bracket "$host"):$port" 2>&1); then
        clock; report "$id" OK $((now - begin)) 1 - - ""
      else
        clock; report "$id" FAILED $((now - begin)) 1 - - "${out##*: }"
      fi
      ;;
    udpsize)
      # EXTRA is the size of the datagram; dd sends it by one write
      local fd text left tries=0 end
      complaint=
      if ! { exec {fd}<>"/dev/udp/$host/$port"; }; then
        complaint; report "$id" FAILED 0 1 - - "$complaint"; return
      fi
      printf -v text '%*s' $((extra - 6)) ''
      left $early_us; clock; end=$((now + 10#${left/[.,]/}))
      while ((now < end)); do
        ((tries++))
        printf 'echo %s\n' "${text// /x}" | dd bs="$extra" iflag=fullblock >&$fd 2>/dev/null
        for ((turn = 0; turn < 16; turn++)); do
          if read -t 0 -u $fd; then
            clock; exec {fd}>&-
            report "$id" OK $((now - begin)) $tries - - "bytes"
            return
          fi
          read -r -t 0.03 -u $quiet
        done
        clock
      done
      exec {fd}>&-
      report_silence "$id" "$begin" $tries "no answer"
      ;;
    dns)
      # HOST is the DNS server or "-" for the pod's own resolver, EXTRA is type/name.
      if ! command -v dig >/dev/null; then report "$id" ERROR 0 0 - - "DNS lookups need dig or python3 in the source image"; return; fi
      local server=() left name=${extra#*/} room=
      [[ $name == */* ]] && room=${name#*/} name=${name%%/*}
      [[ -n $room ]] && server=(+bufsize=$room +ignore)
      [[ $host != - ]] && server+=("@$host" -p "$port")
      left 100000
      local whole=${left%.*}
      ((whole < 1)) && whole=1
      if out=$(dig "${server[@]}" +search +nocmd +noall +comments +answer +stats +time=$whole +tries=1 -t "${extra%%/*}" "$name" 2>&1); then
        clock
        # dig's own measure leaves its start out
        local status=${out#*status: } records= asked=${out#*Query time: } took=$((now - begin))
        asked=${asked%% *}
        [[ $asked =~ ^[0-9]+$ ]] && took=$((asked * 1000))
        status=${status%%,*}
        while read -r _ _ _ _ data; do [[ -n $data ]] && records+="${records:+,}${data// /_}"; done < <(grep -v '^;' <<<"$out")
        if [[ -n $room && $out == *"flags: "*" tc"* ]]; then report "$id" FAILED $took 1 - - "DNS answer was cut short"
        elif [[ -n $room && $status == NOERROR ]]; then report "$id" OK $took 1 - - "records"
        elif [[ $status == NOERROR ]]; then report "$id" OK $took 1 "${records:--}" - "NOERROR"
        else report "$id" FAILED $((now - begin)) 1 - - "DNS ${status:0:60}"; fi
      else
        clock
        report "$id" FAILED $((now - begin)) 1 - - "DNS server does not answer"
      fi
      ;;
    *) report "$id" ERROR 0 0 - - "unknown kind $kind" ;;
  esac
}

bracket() { [[ $1 == *:* ]] && echo "[$1]" || echo "$1"; }

probe_any() {
  case $2 in
    http|tcp|connect) probe_tcp "$@" ;;
    *) probe_tool "$@" ;;
  esac
}

# One worker, one probe after the other; stops after a probe that took so long that the collector has fanned out.
serial_worker() {
  new_pipe own; exec 2<&$own 2>&$own
  local line begin
  for line in "${stream[@]}"; do
    give_time "$line"; begin=$now
    printf 'S\t%s' "${line%% *}$stop" >&$results
    probe_any $line
    clock
    ((now - begin > stall_us - 50000)) && return
  done
}

single_worker() {
  new_pipe own; exec 2<&$own 2>&$own
  printf 'S\t%s' "${1%% *}$stop" >&$results
  give_time "$1"   # each has the whole time limit
  probe_any $1
}

# Asks all HTTP probes of addresses in $open_http at once, in one process. Reports those that stay silent; the others
# answer, one way or another, so the main loop is told (Q) to probe them on their own, and who has answered already: a
# connection that came about must not count as failed because the next one was lost. Its lines begin on a new line,
# because curl may write of its progress to the same place. A body comes on the line before its transfer's own, from curl
# 7.75 on, which is the version that knows "exitcode" too (tool_operate.c, post_per_transfer).
curl_worker() {
  local -A waiting=()   # what each asks for
  local line id kind host port extra rest config= total connect code exit who body=
  for line in "${open_http[@]}"; do
    read -r id kind host port extra rest <<<"$line"
    waiting[$id]=$extra
    give_time "$line"; left
    [[ $host == *:* ]] && host=[$host]
    config+="next${nl}url = \"http://$host:$port/hostname\"${nl}silent${nl}output = /proc/self/fd/2${nl}connect-timeout = $left${nl}max-time = $left${nl}"
    config+="write-out = \"%{stderr}\\n$id %{time_connect} %{time_total} %{http_code} %{exitcode}\\n\"${nl}"
  done
  while read -r line; do
    read -r id connect total code exit <<<"$line"
    if [[ -z ${waiting[${id:--}]} || ! $code ]]; then
      body=$line
      continue
    fi
    extra=${waiting[$id]}
    unset "waiting[$id]"
    connect=$((10#${connect/[.,]/})) total=$((10#${total/[.,]/}))
    if [[ $code != 000 ]] || ((total < limit_us * 3 / 5)); then
      who=
      [[ $code == 200 && $exit == [0-9]* && $extra == - ]] && who=${body##*[[:space:]]}   # behind curl's progress
      clean "$who"
      printf 'Q\t%s\t%s\t%s' "$id" $connect "$clean$stop" >&$results
    elif ((connect)); then
      report "$id" FAILED $connect 1 - - "connected but no answer"
    else
      report "$id" FAILED $total 1 - - "no answer to connect"
    fi
    body=
  done < <(curl -q -s -Z --parallel-immediate --parallel-max 300 -K - <<<"${config#next$nl}" 2>&1 >/dev/null)
  for id in "${!waiting[@]}"; do printf 'Q\t%s\t0\t%s' "$id" "$stop" >&$results; done   # a curl that is too old, or was ended
  printf 'C%s' "$stop" >&$results
}

# A datagram has no end that "read" could see, so a second question makes the server send a long filler after each
# answer: both together fill the asked number of characters, and no clock has to decide what belongs together.
filler_size=500
printf -v filler '%*s' $filler_size ''
filler=${filler// /x}
# Fails when an ICMP error to an earlier datagram has come, which a socket reports at its next use.
ask() { printf '%s\n' "$2" >&$1 && printf 'echo |%s|%s\n' "$1" "$filler" >&$1; }

# The answer that waits at descriptor $1, in $answer; fails when it did not come whole.
take() {
  local got=
  answer=
  if IFS= read -r -N $filler_size -t 0.1 -u $1 got && [[ $got == [^\|]*"|$1|x"* ]]; then
    answer=${got%%|*}
    # two answers ahead of one filler, when a filler got lost
    [[ $answer == "${answer:0:${#answer}/2}${answer:0:${#answer}/2}" ]] && answer=${answer:0:${#answer}/2}
    return 0
  fi
  [[ -z $got ]] && complaint
  drain
  return 1
}

# What was read in part stays in bash's buffer, and would turn up in the next read of any descriptor.
drain() {
  local junk=x
  while [[ -n $junk ]]; do
    junk=
    IFS= read -r -N 4096 -t 0.005 -u $quiet junk
  done
}

# All UDP probes of a plan in one process: open sockets, ask, look who has answered, ask again.
udp_worker() {
  new_pipe own; exec 2<&$own 2>&$own
  # attempts are told as one, and those that stayed without any answer: what was answered twice was late and not lost
  local -a fds ids sent state tries names latency pending next
  local i id kind host port extra fd answer complaint line
  for ((i = 0; i < ${#datagram[@]}; i++)); do
    read -r id kind host port extra _ <<<"${datagram[i]}"
    ids[i]=$id tries[i]=1 state[i]=hostname names[i]=-
    clock; sent[i]=$now
    if { exec {fd}<>"/dev/udp/$host/$port"; }; then
      fds[i]=$fd
      ask $fd hostname || dead $i
      [[ ${state[i]} == dead ]] || pending+=($i)
    else
      complaint
      report "$id" FAILED 0 1 - - "$complaint"
    fi
  done
  clock
  local started=$now round=0 rest_ms=4 pause
  while ((${#pending[@]})); do
    next=()
    # whoever is silent is looked at less often, for silent sockets must not take the processor from the others
    ((rest_ms = rest_ms < 25 ? rest_ms * 3 / 2 : 40))
    for i in "${pending[@]}"; do
      fd=${fds[i]}
      complaint=
      if ! read -t 0 -u $fd; then
        next+=($i)
      elif rest_ms=4; take $fd; then
        clock
        if [[ ${state[i]} == hostname ]]; then
          names[i]=$answer latency[i]=$((now - sent[i])) state[i]=clientip
          ask $fd clientip || dead $i
          [[ ${state[i]} == dead ]] || next+=($i)
        elif [[ $answer == "${names[i]}" ]]; then
          ((tries[i] > 1)) && ((tries[i]--))
          next+=($i)   # the answer to a question that was repeated
        else
          report "${ids[i]}" OK "${latency[i]}" "${tries[i]}" "${names[i]}" "$answer" ""
          exec {fd}>&-
        fi
      elif [[ -z $complaint ]]; then
        next+=($i)   # came in part, or an ICMP error that somebody else has fetched; it is asked again
      else
        dead $i "$complaint"
      fi
    done
    pending=("${next[@]}")
    ((${#pending[@]})) || break
    clock
    if ((now > deadline - early_us)); then
      for i in "${pending[@]}"; do
        if [[ ${state[i]} == clientip ]]; then
          report "${ids[i]}" OK "${latency[i]}" "${tries[i]}" "${names[i]}" - "no answer to clientip"
        else
          report_silence "${ids[i]}" "${sent[i]}" "${tries[i]}" "no answer"
        fi
      done
      return
    fi
    if ((round < ${#resend_us[@]} && now - started > resend_us[round])); then
      ((round++, rest_ms = 4))
      for i in "${pending[@]}"; do
        [[ ${state[i]} == hostname ]] && ((tries[i]++))
        ask ${fds[i]} ${state[i]} || dead $i
      done
      next=()
      for i in "${pending[@]}"; do [[ ${state[i]} == dead ]] || next+=($i); done
      pending=("${next[@]}")
    fi
    printf -v pause '0.%03d' $rest_ms
    IFS= read -r -t $pause -u $quiet line
  done
}

# The network has said no to socket number $1 of the worker; $2 is its reason when it is known already.
dead() {
  local complaint=$2
  [[ -n $complaint ]] || complaint
  clock
  if [[ ${state[$1]} == clientip ]]; then
    report "${ids[$1]}" OK "${latency[$1]}" "${tries[$1]}" "${names[$1]}" - ""
  else
    report "${ids[$1]}" FAILED $((now - sent[$1])) "${tries[$1]}" - - "${complaint:-Connection refused}"
  fi
  state[$1]=dead
  fd=${fds[$1]}
  exec {fd}>&-
}

# The next record of the workers, in $record; fails when none came whole within $1 seconds. The rest is kept in $torn.
next_record() {
  local line
  if IFS= read -r -t $1 -u $results line; then
    torn+=$line
    [[ -n $torn ]] || return   # a newline that belongs to a record taken before
  else
    torn+=$line
  fi
  [[ $torn == *${stop%$nl} ]] || return
  record=${torn%${stop%$nl}} torn=
}

# Puts the plan's deadline $1 microseconds from now, unless it is later already.
extend() {
  clock
  ((now + $1 > deadline)) && deadline=$((now + $1))
}

# What is still open of the plan, once a connection has stalled: to one curl, or to the queue of single probes.
fan_out() {
  local -a open_http=()
  local line kind host rest
  for line in "${stream[@]}"; do
    read -r id kind host rest <<<"$line"
    [[ -n ${open[$id]} ]] || continue
    line_of[$id]=$line
    # names are left to bash: with curl, silence of a resolver looks like silence of the server
    if [[ -n $curl && $kind == http && $host != *[!0-9a-fA-F:.]* ]]; then
      open_http+=("$line")
    else
      queue+=("$line")
    fi
  done
  if ((${#open_http[@]} <= 2)); then
    queue+=("${open_http[@]}")
    return
  fi
  extend $longest
  curl_until=$((now + longest + curl_grace_us))
  curl_worker & workers+=($!)
}

# Result lines go out together: each write of its own is a message of its own to everybody on the way to the reader.
tell() { told+=$1$nl; ((${#told} < 2000)) || out; }
out() { [[ -z $told ]] || printf %s "$told"; told=; }

# The answer that curl has had; its second connection, which asks for the client's address, failed.
tell_heard() {
  tell "R${tab}$1${tab}OK${tab}${heard[$1]%%$tab*}${tab}2${tab}${heard[$1]#*$tab}${tab}-${tab}answered, but not when it was asked again"
}

run_plan() {
  local -A open=()
  local -a datagram=() stream=() workers=()
  local -A started=()
  local line id kind rest count=0 fanned=0 idle=0 got i begin before lag=0 torn= told= record longest=$limit_us
  echo BEGIN
  clock; begin=$now
  for line in "${plan[@]}"; do
    read -r id kind rest <<<"$line"
    open[$id]=1
    ((count++))
    ((${rest##* } * 1000 > longest)) && longest=$((${rest##* } * 1000))
    if [[ $kind == udp ]]; then datagram+=("$line"); else stream+=("$line"); fi
  done
  deadline=$((begin + limit_us))
  if ((${#datagram[@]})); then udp_worker & workers+=($!); fi
  if ((${#stream[@]})); then serial_worker & workers+=($!); fi
  deadline=$((begin + longest))
  local streams=${#stream[@]} last=$begin
  local -a queue=()
  local -A line_of=() heard=()
  local next=0 pause=0.05 curl_until=0 asked=0
  while ((count > 0)); do
    # a few at a time, or starting them all would take the processor from those that are being answered
    for ((i = 0; i < 6 && next < ${#queue[@]}; next++)); do
      id=${queue[next]%% *}
      if [[ -n ${open[$id]} ]]; then
        extend $longest
        single_worker "${queue[next]}" & workers+=($!)
        ((i++))
      fi
    done
    pause=0.05
    ((next < ${#queue[@]} || (!idle && last == begin))) && pause=0.01
    before=$now
    if next_record $pause; then
      case $record in
        S$tab*)
          clock; started[${record#S$tab}]=$now
          ((asked)) || asked=$now
          ;;
        Q$tab*)
          got=${record#Q$tab}; id=${got%%$tab*}
          queue+=("${line_of[$id]}")
          [[ $got == *$tab ]] || heard[$id]=${got#*$tab}
          ;;
        C) curl_until=0 ;;
        R$tab*)
          got=${record#R$tab}; got=${got%%$tab*}
          if [[ -n ${open[$got]} ]]; then
            unset "open[$got]"
            ((count--))
            if [[ -n ${heard[$got]} && $record == R$tab$got${tab}FAILED* ]]; then
              tell_heard $got
            else
              tell "$record"
            fi
            clock; last=$now
            # a long plan may take longer than the time limit as long as it is answered
            ((fanned)) || extend $longest
          fi
          ;;
      esac
      continue
    fi
    out
    clock
    ((i == 0 && now - before - 50000 > lag)) && lag=$((now - before - 50000))
    if ((!idle && now - last > 60000 && (fanned || streams == 0) && next == ${#queue[@]})); then
      idle=1
      echo IDLE
    fi
    # nothing at all yet: most likely everything is blocked, and others need not wait for this source
    if ((!idle && asked && last == begin && now - asked > 30000)); then
      idle=1
      echo IDLE
    fi
    if ((!fanned && streams > 0 && last == begin && now - last > stall_us / 2)); then
      fanned=1
      fan_out
    elif ((!fanned && streams > 0 && now - last > stall_us)); then
      fanned=1
      fan_out
    fi
    ((now > deadline + 40000 && now > curl_until)) && break
  done
  ((${#workers[@]})) && kill -KILL "${workers[@]}"
  wait
  for id in "${!open[@]}"; do
    # only a connection that had its time may be called unanswered
    if [[ -n ${heard[$id]} ]]; then
      tell_heard $id
    elif [[ -n ${started[$id]} ]] && ((deadline - started[$id] > limit_us * 3 / 5)); then
      tell "R$tab$id${tab}FAILED$tab$limit_us${tab}1$tab-$tab-${tab}no answer to connect"
    else
      tell "R$tab$id${tab}ERROR${tab}0${tab}0$tab-$tab-${tab}the source was starved of processor time"
    fi
  done
  out
  while IFS= read -r -t 0 -u $results && IFS= read -r -u $results line; do :; done
  clock
  printf 'END\t%s\t%s\t%s\n' "${#plan[@]}" $((now - begin)) $lag
}

# watch_flow HOST PORT INTERVAL_MS DURATION_MS: one UDP socket kept for the whole time, one line per change of the answer.
watch_flow() {
  local host=$1 port=$2 pause fd begin end before= state answer who complaint
  printf -v pause '%d.%03d' $(($3 / 1000)) $(($3 % 1000))
  new_pipe own; exec 2<&$own 2>&$own
  clock; begin=$now; end=$((begin + $4 * 1000))
  # where a Service without endpoints is refused by its route, not even the socket comes about; the flow begins after that
  until { exec {fd}<>"/dev/udp/$host/$port"; }; do
    complaint
    [[ -n $before ]] || printf 'F\t0\tFAILED\t-\t%s\n' "$complaint"
    before=FAILED--$complaint
    IFS= read -r -t "$pause" -u $quiet
    clock
    ((now < end)) || return
  done
  while ((now < end)); do
    answer= state=FAILED who=- complaint=
    if ! ask $fd hostname; then
      complaint
      IFS= read -r -t "$pause" -u $quiet
    elif IFS= read -r -t "$pause" -u $quiet; then
      :
    elif ! read -t 0 -u $fd; then
      complaint="no answer"
    elif take $fd; then
      state=OK who=$answer
      # older answers may wait; the newest counts
      while read -t 0 -u $fd && take $fd; do who=$answer; done
    elif [[ -z $complaint ]]; then
      clock
      continue
    fi
    clock
    clean "$who"
    if [[ $state$clean$complaint != "$before" ]]; then
      before=$state$clean$complaint
      printf 'F\t%s\t%s\t%s\t%s\n' $((now - begin)) "$state" "$clean" "${complaint:--}"
    fi
  done
  exec {fd}>&-
}

new_pipe results
new_pipe quiet
curl=
command -v curl >/dev/null && curl=" with curl"
host=- search=
{ read -r host </proc/sys/kernel/hostname; } 2>/dev/null
while read -r word rest; do [[ $word == search ]] && search=$rest; done 2>/dev/null </etc/resolv.conf
mtu=-
{ read -r mtu </sys/class/net/eth0/mtu; } 2>/dev/null
printf 'HELLO\tbash\t%s\t%s\t%s\t%s\n' "${BASH_VERSION%%(*}$curl" "$host" "${search:--}" "$mtu"
plan=() limit_us=1500000
while IFS= read -r -t 900 line; do
  case $line in
    "PLAN "*) plan=(); limit_us=$((${line#PLAN } * 1000)) ;;
    END) run_plan 2>/dev/null ;;
    "FLOW "*) ( watch_flow ${line#FLOW } ); printf 'END\t0\t0\n' ;;
    QUIT) exit 0 ;;
    *) plan+=("$line") ;;
  esac
done
