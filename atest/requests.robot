*** Settings ***
Documentation       Latency and new connections: silent where all is well, the right words where a path is shaped.

Library             NetLibrary

Suite Setup         A Server Runs
Suite Teardown      Delete Everything This Run Created    wait=False

Test Tags           fortio    needs-lab


*** Test Cases ***
A Healthy Path Keeps Its Limits
    ${seen}    Measure Request Latency    fortio-server    ${NAMESPACE}    duration=1s
    ...    p50_at_most=20 ms    p99_at_most=500 ms    failed_at_most=0 %
    Should Be True    0 < $seen.p50_ms <= $seen.p99_ms <= $seen.p999_ms <= $seen.max_ms * 1.01
    ${seen}    Measure Connection Rate    fortio-server    ${NAMESPACE}    duration=1s
    ...    at_least=50    failed_at_most=0 %
    Should Be True    $seen.connections >= $seen.answers > 50

A Server That Nobody Runs Fails It
    Run Keyword And Expect Error    '${SILENT}:9' answered none of * requests: *
    ...    Measure Request Latency    ${SILENT}    ${NAMESPACE}    port=9    duration=1s    retry_for=0s

A Shaped Path Fails Each Figure
    [Documentation]    The way from the server's node is held to 200 kbit/s, and to 4 Mbit/s for iperf3, which counts
    ...    whole blocks of 128 KiB.
    On Node    ${NODES}[0]    tc qdisc add dev eth0 root tbf rate 200kbit burst 2000 latency 400ms
    Run Keyword And Expect Error    *: 99 ${PERCENT} of the answers took up to * ms; at most 5 ms is allowed.
    ...    Measure Request Latency    fortio-server    ${NAMESPACE}    node=${NODES}[1]    duration=2s
    ...    p99_at_most=5 ms
    Run Keyword And Expect Error    'fortio-server:8080' answered * requests per second; expected at least 500.
    ...    Measure Connection Rate    fortio-server    ${NAMESPACE}    node=${NODES}[1]    duration=2s    at_least=500
    On Node    ${NODES}[0]    tc qdisc change dev eth0 root tbf rate 4mbit burst 4000 latency 400ms
    Run Keyword And Expect Error    Throughput was * Mbit/s; at least 100 Mbit/s was expected.
    ...    Measure Throughput    iperf3-server    ${NAMESPACE}    node=${NODES}[1]    duration=1s    at_least=100M
    ...    reverse=True
    [Teardown]    On Node    ${NODES}[0]    tc qdisc del dev eth0 root

A Server That Gets No Processor Is Late
    ${pods}    Get Objects    Pod    ${NAMESPACE}    labels=app=fortio-server
    Break Pod    ${NAMESPACE}    ${pods}[0][metadata][name]    starved
    Run Keyword And Expect Error    *: 99 ${PERCENT} of the answers took up to * ms; at most 500 ms is allowed.
    ...    Measure Request Latency    fortio-server    ${NAMESPACE}    duration=2s    p99_at_most=500 ms
    [Teardown]    Restore All Faults


*** Keywords ***
A Server Runs
    [Documentation]    Starts the server.
    ${id}    Get Run Id
    VAR    ${NAMESPACE}    netlib-${id}-requests    scope=SUITE
    VAR    ${PERCENT}    %    scope=SUITE
    Create Namespace    ${NAMESPACE}
    ${nodes}    Get Schedulable Nodes
    VAR    ${NODES}    ${nodes}    scope=SUITE
    Start Fortio Server    ${NAMESPACE}    node=${NODES}[0]
    Start Iperf3 Server    ${NAMESPACE}    node=${NODES}[0]
    ${service}    Get Object    Service    fortio-server    ${NAMESPACE}
    VAR    ${SILENT}    ${service}[spec][clusterIP]    scope=SUITE

On Node
    [Documentation]    Runs a line of shell in the network of a node of the lab.
    [Arguments]    ${node}    ${line}
    ${library}    Get Library Instance    NetLibrary
    Evaluate    $library.session.cluster().lab.node($node).run(['sh', '-c', $line])
