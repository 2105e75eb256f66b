*** Settings ***
Documentation     Outages of odd lengths and of every kind, made by hand on a lab, against what is reported.
...
...               *Topology*: that of suites/network_break.robot, on a lab.
...               *Traffic*: all kinds of probes to a pod on another node.
...               *Passes when*: each probe reports the kind that its packets really met and the length that the
...               outage really had, and a probe that the outage does not concern reports none.

Resource          NetLibrary/resources/network_break.resource

Suite Setup       Nodes Are Known
Suite Teardown    Delete Everything This Run Created    wait=False
Test Teardown     Abort Outage Measurement
Test Template     Break By Hand

Test Tags         break    disruptive    needs-lab    slow


*** Test Cases ***
Requests Are Dropped
    # MILLISECONDS    NODE    BREAK    MEND    KINDS BY PROBE
    730    far    rule    ip saddr $SOURCE drop
    ...    way=requests lost on the forward path
    ...    icmp=silent drop    udp=silent drop    tcp_new=silent drop    tcp_kept=stalled and resumed
Answers Are Dropped
    270    source    rule    ip saddr $FAR ip daddr $SOURCE drop
    ...    way=answers lost on the return path
    ...    icmp=silent drop    udp=silent drop    tcp_new=silent drop    tcp_kept=stalled and resumed
Administratively Prohibited
    1310    far    rule    ip saddr $SOURCE reject with icmp type admin-prohibited
    ...    icmp=unreachable    udp=unreachable    tcp_new=unreachable    tcp_kept=stalled and resumed
Connections Are Reset
    410    far    rule    ip saddr $SOURCE meta l4proto tcp reject with tcp reset
    ...    tcp_new=refused    tcp_kept=reset
Only UDP Is Refused
    530    far    rule    ip saddr $SOURCE udp dport 7007 reject
    ...    udp=refused
Route Is Deleted But Another One Leads There Too
    650    source    ip route add $NETWORK via $NODE metric 900 && ip route del $NETWORK via $NODE
    ...    ip route add $NETWORK via $NODE && ip route del $NETWORK via $NODE metric 900
Route Is A Black Hole
    870    source    ip route add blackhole $FAR    ip route del blackhole $FAR
    ...    icmp=silent drop    udp=silent drop    tcp_new=silent drop    tcp_kept=stalled and resumed
Route Is Prohibited
    340    source    ip route add prohibit $FAR    ip route del prohibit $FAR
    ...    icmp=unreachable    udp=unreachable    tcp_new=unreachable    tcp_kept=stalled and resumed
Bridge Is Down
    550    far    ip link set cni0 down    ip link set cni0 up
    ...    icmp=unreachable    udp=unreachable    tcp_new=unreachable    tcp_kept=stalled and resumed
Neighbour Has A Wrong Address
    910    source    ip neigh replace $NODE lladdr 02:00:00:00:00:01 dev eth0 nud permanent
    ...    ip neigh replace $NODE lladdr $LINK dev eth0 nud reachable
    ...    icmp=silent drop    udp=silent drop    tcp_new=silent drop    tcp_kept=stalled and resumed
Link Is Too Slow
    1730    far    tc qdisc add dev eth0 root tbf rate 64kbit burst 2000 latency 400ms    tc qdisc del dev eth0 root
    ...    slack=${300}    icmp=silent drop    udp=silent drop    tcp_new=silent drop    tcp_kept=stalled and resumed
Large Packets Vanish
    470    far    rule    ip length > 1000 drop
    ...    size=${1400}    icmp=silent drop    udp=silent drop
Large Packets Vanish And Small Ones Do Not
    470    far    rule    ip length > 1000 drop


*** Keywords ***
Nodes Are Known
    [Documentation]    Addresses of pods and nodes, for rules by hand.
    Connect To Cluster
    Outage Endpoints Are Ready
    ${library}    Get Library Instance    NetLibrary
    VAR    ${LAB}    ${{ $library.session.cluster().lab }}    scope=SUITE
    ${here}    Get Object    Pod    source    ${NAMESPACE}
    ${there}    Get Object    Pod    far    ${NAMESPACE}
    VAR    &{NODES}    source=${here}[spec][nodeName]    far=${there}[spec][nodeName]    scope=SUITE
    ${link}    On Node    far    ip -br link show eth0
    VAR    &{PLACES}
    ...    SOURCE=${here}[status][podIP]
    ...    FAR=${there}[status][podIP]
    ...    NODE=${there}[status][hostIP]
    ...    NETWORK=${{ $there['status']['podIP'].rsplit('.', 1)[0] + '.0/24' }}
    ...    LINK=${{ $link.split()[2] }}
    ...    scope=SUITE

On Node
    [Documentation]    Runs a line of shell in the network of a node.
    [Arguments]    ${role}    ${line}
    ${done}    Evaluate    $LAB.node($NODES[$role]).run(['sh', '-c', $line])
    RETURN    ${done.stdout}

Break By Hand
    [Documentation]    Breaks and mends, and compares what was measured with what was done.
    [Arguments]    ${milliseconds}    ${role}    ${break}    ${mend}    ${slack}=${20}    &{kinds}
    VAR    ${text}    ${{ string.Template($mend).substitute($PLACES) }}
    IF    $break == 'rule'
        VAR    ${begin}    nft 'table inet by_hand { chain c { type filter hook forward priority 0; ${text}; }; }'
        VAR    ${end}    nft delete table inet by_hand
    ELSE
        VAR    ${begin}    ${{ string.Template($break).substitute($PLACES) }}
        VAR    ${end}    ${text}
    END
    Start Outage Measurement    ${TEST_NAME}    ${NAMESPACE}    pod on other node
    ...    quiet=1 s    settle=1 s    recovery=15 s    echo_size=${{ $kinds.get('size', 56) }}
    ${breaking}    Span On Node    ${role}    ${begin}
    Wait During Measurement    ${milliseconds} ms    step=${begin}
    ${mending}    Span On Node    ${role}    ${end}
    Outages Should Be Within Limits
    VAR    ${least}    ${{ ($mending[0] - $breaking[1]) * 1000 - $slack }}
    VAR    ${most}    ${{ ($mending[1] - $breaking[0]) * 1000 + $slack }}
    FOR    ${probe}    IN    icmp    udp    tcp_new    tcp_kept
        Outages Should Be    ${probe}    ${{ $kinds.get($probe) }}    ${least}    ${most}
    END
    IF    'way' in $kinds
        ${outages}    Get Outages    pod on other node    udp
        Should Be Equal    ${{ max($outages, key=lambda outage: outage['length_ms'])['way'] }}    ${kinds}[way]
    END

Span On Node
    [Documentation]    Runs a line of shell on a node; returns the times before and after it.
    [Arguments]    ${role}    ${line}
    ${before}    Evaluate    time.monotonic()
    On Node    ${role}    ${line}
    ${after}    Evaluate    time.monotonic()
    RETURN    ${{ ($before, $after) }}

Outages Should Be
    [Documentation]    The longest outage is of this kind and about this length, or there is none when no kind is named.
    [Arguments]    ${probe}    ${kind}    ${least}    ${most}
    ${outages}    Get Outages    pod on other node    ${probe}
    VAR    ${told}    ${probe}: in truth ${{ round($least) }} to ${{ round($most) }} ms, told ${outages}
    Log    ${told}    console=${True}
    IF    $kind is None
        Should Be Empty    ${outages}    ${told}
        RETURN
    END
    Should Not Be Empty    ${outages}    ${told}
    VAR    ${longest}    ${{ max($outages, key=lambda outage: outage['length_ms']) }}
    Should Be Equal    ${longest}[kind]    ${kind}    ${told}
    Should Be True    ${longest}[longest_ms] >= ${least}    ${told}
    # TCP repeats after ever longer times, so a kept connection may stall for twice as long
    VAR    ${more}    ${{ $most + 250 if $probe == 'tcp_kept' else 0 }}
    Should Be True    ${longest}[shortest_ms] <= ${most} + ${more}    ${told}
