*** Settings ***
Documentation     Why events were lost: each cause is brought about in the cluster, the verdict must name it with the
...               right sentence, and what the sentence advises is done and must mend it. Causes that need one run
...               and a few seconds are in e2sar.robot.

Library           Collections
Library           OperatingSystem
Library           e2sar_lab.py
Resource          NetLibrary/resources/e2sar.resource

Suite Setup       E2SAR Namespace Is Ready
Suite Teardown    Delete Everything This Run Created    wait=False

Test Teardown     Delete E2SAR Senders And Receivers

Test Tags         e2sar    slow


*** Variables ***
${NEW_STYLE}    ${{ {"E2SAR_STANDIN_STYLE": "0.3.2"} }}


*** Test Cases ***
Wrong Port Is Named And Mended
    Loss Is Explained And Mended
    ...    wrong port
    ...    The sender sent to port 21000, but the receiver listens on 19522; set port to 19522\\.
    ...    events=200
    ...    rate=5M
    ...    send_to_port=21000

Receiver That Ends Early Is Named And Mended
    Loss Is Explained And Mended
    ...    receiver ended early
    ...    ended [\\d.]+ s before the sender did, after its 3 s; set duration to \\d+ s or 0
    ...    events=1200
    ...    rate=2M
    ...    duration=3 s
    ...    accept=SHORT_RECEIVER

Throttled Receiver Is Named And Mended
    [Documentation]    The buffer is as large as the kernel allows, so the CPU limit is what can be changed.
    Loss Is Explained And Mended
    ...    buffer and CPU throttling
    ...    its CPU limit of 25m throttled it in \\d+ % of the periods .*raise its CPU limit to 1
    ...    events=60000
    ...    event_bytes=512
    ...    mtu=576
    ...    rate=120M
    ...    receiver_buffer_bytes=4194304
    ...    receiver_cpu_limit=25m

Small Buffer Is Named And Mended
    Loss Is Explained And Mended
    ...    receive buffer
    ...    socket buffer of 4096 bytes, room for about \\d+ .*, overran \\d+ times, not the network; set .* to \\d+
    ...    events=40
    ...    event_bytes=60000
    ...    rate=100M
    ...    receiver_buffer_bytes=4096

Receiver Without Memory Is Named And Mended
    [Documentation]    An event needs its whole length in memory. It is sent datagram by datagram, lest it overruns the
    ...    socket.
    ${killed}    Send One Large Event    28Mi    delivered_at_least=0 %    delivered_at_most=0 %    errors_at_most=1000
    Should Be Equal    ${killed.cause}    memory
    Should Contain
    ...    ${killed.sentence}
    ...    Receiver 'e2sar-receiver-0' was killed because it used more memory than its limit; raise its memory limit.
    Send One Large Event    ${killed.advice}[memory_limit]    delivered_at_least=100 %

Two Receivers On One Port Are Named And Mended
    [Documentation]    Another container of the receiver's pod listens on the same port; it must not be taken for the
    ...    receiver.
    [Setup]    Receivers Have A Rival On Port 19522
    Start E2SAR Receiver
    Run Keyword And Expect Error
    ...    *Receiver 'e2sar-receiver-0' never bound UDP port 19522: UDP port 19522 is already bound by something else*
    ...    Wait Until E2SAR Receiver Is Bound
    ...    timeout=${READY_TIMEOUT}
    Run Keyword And Ignore Error    E2SAR Transfer Should Reach
    Start E2SAR Receiver    port=19523
    Wait Until E2SAR Receiver Is Bound    timeout=${READY_TIMEOUT}
    Stop E2SAR Receiver
    [Teardown]    Run Keywords    Delete E2SAR Senders And Receivers    AND    Use The Suite's Manifests Again

Bandwidth Limit Is Named And Mended
    [Documentation]    A container runtime lets 256 MiB pass before an annotation holds; that burst is taken away.
    ${lost}    Send Through Bandwidth Limit
    ...    50M
    ...    delivered_at_least=0 %
    ...    delivered_at_most=90 %
    Should Be Equal    ${lost.cause}    bandwidth limit
    Should Match Regexp
    ...    ${lost.sentence}
    ...    limit of 10 Mbit/s \\(ingress of e2sar-receiver-0\\) dropped \\d+ datagrams .*; set rate to [\\d.]+ Mbit/s
    Send Through Bandwidth Limit    ${lost.advice}[rate]    delivered_at_least=100 %

Fragments That A Firewall Drops Are Named And Mended
    [Tags]    disruptive
    ${lost}    Send With Fragments Dropped
    ...    1800
    ...    accept=FRAGMENTATION
    ...    delivered_at_least=0 %
    ...    delivered_at_most=0 %
    Should Be Equal    ${lost.cause}    fragmentation
    Should Match Regexp
    ...    ${lost.sentence}
    ...    IP packets of 1800 bytes were cut .*, because the MTU of the interface is 1500: .*; set mtu to 1500\\.
    Send With Fragments Dropped    ${lost.advice}[mtu]    delivered_at_least=100 %

Black Hole Is Named And Mended
    [Tags]    disruptive
    ${lost}    Send Through Black Hole    1100    delivered_at_least=0 %    delivered_at_most=0 %
    Should Be Equal    ${lost.cause}    MTU black hole
    Should Match Regexp
    ...    ${lost.sentence}
    ...    Packets of 1100 bytes do not get through, but shorter ones do: .* \\(MTU black hole\\); set mtu to 576
    Send Through Black Hole    ${lost.advice}[mtu]    delivered_at_least=100 %

Reordered Datagrams Are Named And Mended
    [Documentation]    The fragments of each event come last one first.
    ${lost}    Send From Outside Unruly    reverse    512    delivered_at_least=0 %    delivered_at_most=0 %
    Should Be Equal    ${lost.cause}    reordering
    Should Match Regexp
    ...    ${lost.sentence}
    ...    All \\d+ datagrams were read, yet 200 events stayed incomplete: their datagrams arrived out of order
    Send From Outside Unruly    reverse    ${lost.advice}[mtu]    delivered_at_least=100 %

Duplicated Datagrams Are Named
    ${result}    Send From Outside Unruly    double    1400    delivered_at_least=100 %
    Should Be Equal    ${result.cause}    duplicates
    Should Contain    ${result.sentence}    200 more events were received than sent
    Should Contain    ${result.counts}    200 duplicated

Unsupported Version Is Named
    Add Image With An Older E2SAR Perf    ghcr.io/netlibrary/e2sar-perf-too-old:1
    Run Keyword And Expect Error
    ...    *'ghcr.io/netlibrary/e2sar-perf-too-old:1' (0.0.9) is not supported: --help does not show *--recv*
    ...    Prepare E2SAR Namespace
    ...    ${NAMESPACE}
    ...    manifests=${E2SAR_MANIFESTS}
    ...    image=ghcr.io/netlibrary/e2sar-perf-too-old:1
    [Teardown]    E2SAR Namespace Is Ready    inspect=${False}


*** Keywords ***
Send From Outside Unruly
    [Documentation]    Sends from outside with a program that reverses or doubles the datagrams of each event.
    [Arguments]    ${how}    ${mtu}    &{expectations}
    Set Environment Variable    E2SAR_UNRULY    ${how}
    Start E2SAR Receiver
    Wait Until E2SAR Receiver Is Bound    ready=True    timeout=${READY_TIMEOUT}
    Send E2SAR Events From Outside    events=200    mtu=${mtu}    rate=10M    program=${CURDIR}/e2sar_unruly.py
    ${result}    E2SAR Transfer Should Reach    &{expectations}    name=${TEST NAME}: mtu ${mtu}
    RETURN    ${result}
    [Teardown]    Remove Environment Variable    E2SAR_UNRULY

Loss Is Explained And Mended
    [Documentation]    A run with these arguments loses events for this reason; with the advice of its verdict it does
    ...    not.
    [Arguments]    ${cause}    ${words}    &{run}
    ${lost}    Transfer E2SAR Events
    ...    &{run}
    ...    delivered_at_least=0 %
    ...    delivered_at_most=99 %
    ...    mangled_at_most=1000000
    ...    errors_at_most=1000000
    ...    name=${TEST NAME}: before
    ...    timeout=${READY_TIMEOUT}
    Should Be Equal    ${lost.cause}    ${cause}    ${lost.sentence}
    Should Match Regexp    ${lost.sentence}    ${words}
    Should Not Be Empty    ${lost.advice}
    VAR    &{mended}    &{run}    &{lost.advice}
    Transfer E2SAR Events
    ...    &{mended}
    ...    delivered_at_least=100 %
    ...    name=${TEST NAME}: as advised
    ...    timeout=${READY_TIMEOUT}

Send One Large Event
    [Documentation]    One event of 24 MiB to a receiver with so much memory.
    [Arguments]    ${memory}    &{expectations}
    Start E2SAR Receiver
    ...    memory_limit=${memory}
    ...    environment=${NEW_STYLE}
    ...    buffer_bytes=4194304
    ...    options=['--timeout', '10000']
    Wait Until E2SAR Receiver Is Bound    timeout=${READY_TIMEOUT}
    Start E2SAR Sender
    ...    events=1
    ...    event_bytes=25165824
    ...    rate=150M
    ...    options=['--smooth']
    ...    environment=${NEW_STYLE}
    Wait For E2SAR Sender    timeout=${READY_TIMEOUT}
    ${result}    E2SAR Transfer Should Reach    &{expectations}    name=${TEST NAME}: ${memory}
    RETURN    ${result}

Receivers Have A Rival On Port 19522
    [Documentation]    Prepares with manifests whose receiver pod has one more container.
    VAR    ${folder}    ${OUTPUT DIR}/e2sar-rival
    Copy Directory    ${E2SAR_MANIFESTS}    ${folder}
    ${text}    Get File    ${folder}/30-receiver.yaml
    VAR    ${program}
    ...    import socket, time; s = socket.socket(2, 2); s.bind(("", 19522)); time.sleep(600)
    ${rival}    Catenate    SEPARATOR=\n
    ...    ${SPACE * 6}initContainers:
    ...    ${SPACE * 8}- name: rival
    ...    ${SPACE * 10}image: ghcr.io/netlibrary/e2sar-perf-standin:1
    ...    ${SPACE * 10}imagePullPolicy: IfNotPresent
    ...    ${SPACE * 10}restartPolicy: Always
    ...    ${SPACE * 10}command: ["python3", "-c", '${program}']
    VAR    ${observer}    ${SPACE * 8}- name: observer
    ${text}    Evaluate    $text.replace("initContainers:", "").replace($observer, $rival + "\\n" + $observer)
    Create File    ${folder}/30-receiver.yaml    ${text}
    E2SAR Namespace Is Ready    ${NAMESPACE}-rival    manifests=${folder}    inspect=${False}

Use The Suite's Manifests Again
    [Documentation]    Makes the suite's namespace and manifests the current ones.
    Delete Namespace    ${NAMESPACE}-rival
    E2SAR Namespace Is Ready    inspect=${False}

Send Through Bandwidth Limit
    [Documentation]    Sends to a receiver whose pod may take 10 Mbit/s.
    [Arguments]    ${rate}    &{expectations}
    Start E2SAR Receiver    ingress_bandwidth=10M
    Wait Until E2SAR Receiver Is Bound    timeout=${READY_TIMEOUT}
    ${node}    Get E2SAR Node    e2sar-receiver-0
    Let Bandwidth Limit Of Node Act At Once    ${node}    10mbit
    Start E2SAR Sender    events=1000    rate=${rate}    accept=OVERLOAD
    Wait For E2SAR Sender    timeout=${READY_TIMEOUT}
    ${result}    E2SAR Transfer Should Reach    &{expectations}    name=${TEST NAME}: ${rate}
    RETURN    ${result}

Send With Fragments Dropped
    [Documentation]    Sends to a node that lets no fragment but the first of a packet pass.
    [Arguments]    ${mtu}    ${accept}=${EMPTY}    &{expectations}
    Start E2SAR Receiver
    Wait Until E2SAR Receiver Is Bound    timeout=${READY_TIMEOUT}
    ${node}    Get E2SAR Node    e2sar-receiver-0
    Drop Fragments At Node    ${node}
    Start E2SAR Sender    events=300    event_bytes=1700    rate=5M    mtu=${mtu}    accept=${accept}
    Wait For E2SAR Sender    timeout=${READY_TIMEOUT}
    ${result}    E2SAR Transfer Should Reach    &{expectations}    name=${TEST NAME}: mtu ${mtu}
    RETURN    ${result}
    [Teardown]    Let Fragments Pass

Send Through Black Hole
    [Documentation]    Sends to a node to which packets above 1000 bytes do not come.
    [Arguments]    ${mtu}    &{expectations}
    Start E2SAR Receiver
    Wait Until E2SAR Receiver Is Bound    timeout=${READY_TIMEOUT}
    ${node}    Get E2SAR Node    e2sar-receiver-0
    Break Large Packets Of Node    ${node}    above=1000
    Start E2SAR Sender    events=300    event_bytes=1200    rate=5M    mtu=${mtu}
    Wait For E2SAR Sender    timeout=${READY_TIMEOUT}
    ${result}    E2SAR Transfer Should Reach    &{expectations}    name=${TEST NAME}: mtu ${mtu}
    RETURN    ${result}
    [Teardown]    Restore All Faults
