*** Settings ***
Documentation       The throughput keywords on a real cluster: what they measure, and what they say without traffic.
...
...                 *Topology*: one iperf3 server, clients as Jobs in the same namespace.
...                 *Traffic*: TCP and UDP for one second each.
...                 *Passes when*: every measurement is judged by its limits, and each failure names its cause.

Library             OperatingSystem
Library             NetLibrary

Suite Setup         Server Is Started
Suite Teardown      Delete Everything This Run Created    wait=False

Test Tags           iperf3


*** Variables ***
${SERVER_MANIFEST}      ${CURDIR}/../manifests/skupper_iperf3/server.yaml
# Has iperf3 and a shell
${IMAGE}                quay.io/skupper/lanyard:2.0
# An image with a shell but without iperf3, and one without either
${NO_IPERF3}            registry.k8s.io/e2e-test-images/agnhost:2.53
${NO_SHELL}             registry.k8s.io/pause:3.10
&{HELD_BACK}            manifest=${CURDIR}/iperf3_held_back.yaml


*** Test Cases ***
TCP With A Rate Reaches It And Keeps It
    ${result}    Measure    bitrate=5M    at_least=100k
    Should Be True    ${result.bits_per_second} < 8_000_000
    Should Be Equal    ${result.protocol}    tcp
    VAR    ${SLOW}    ${result}    scope=SUITE

UDP From The Server Counts What Is Lost
    ${result}    Measure
    ...    ${ADDRESS}
    ...    protocol=UDP
    ...    reverse=True
    ...    bitrate=2M
    ...    lost_at_most=50 %
    Should Be True    ${result.packets} > 0
    Should Be True    ${result.reverse}

Datagrams Lost In The Client's Own Buffer Are Not The Network's
    [Documentation]    Its CPU limit lets it stand still for most of the time.
    VAR    &{udp}    protocol=UDP    reverse=True    bitrate=200M    lost_at_most=1 %
    ${result}    Measure    ${ADDRESS}    &{udp}    &{HELD_BACK}
    Should Be True    ${result.unread_packets} > 0
    Should Contain    ${result.notes}[-1]    lost in the receiver's own buffer, while its container was held back

A Rate That A CPU Limit Decides Is No Result
    [Tags]    slow
    Run Keyword And Expect Error
    ...    *no valid result: Throughput was *The client's container was held back by its CPU limit: * of 20m *
    ...    Measure    ${ADDRESS}    at_least=1T    &{HELD_BACK}

Share Of A Baseline Is Judged
    ${fast}    Measure
    ${share}    Throughput Should Be At Least Share    ${SLOW}    ${fast}    0.001 %
    Should Be True    0 < ${share} < 100
    Run Keyword And Expect Error    *% of the other run's * at least 100 % was expected.
    ...    Throughput Should Be At Least Share    ${SLOW}    ${fast}    100 %

Throughput Below The Limit Fails With Both Numbers
    Run Keyword And Expect Error    Throughput was *bit/s; at least 1 Tbit/s was expected.
    ...    Measure    bitrate=5M    at_least=1T

Closed Port Is Refused
    ${words}    Traffic Should Be Refused    ${ADDRESS}    ${NAMESPACE}    port=5999    image=${IMAGE}
    Should Contain    ${words}    Connection refused
    Run Keyword And Expect Error
    ...    No throughput from '${NAMESPACE}' to '${ADDRESS}:5999' (1 attempt, *): refused: *Connection refused*.
    ...    Measure    ${ADDRESS}    port=5999    retry_for=0s

Open Port Is Not Refused
    Run Keyword And Expect Error
    ...    A connection from '${NAMESPACE}' to 'iperf3-server:5201' was not refused: *bit/s got through.
    ...    Traffic Should Be Refused    iperf3-server    ${NAMESPACE}    image=${IMAGE}

Unknown Name Is Not A Refusal
    Run Keyword And Expect Error    *was not refused: unresolved: *
    ...    Traffic Should Be Refused    no-such-server    ${NAMESPACE}    image=${IMAGE}

Image Without Iperf3 Is Named
    Run Keyword And Expect Error    The image '${NO_IPERF3}' of the client has no 'iperf3'.
    ...    Measure    image=${NO_IPERF3}

Image Without A Shell Is Named
    Run Keyword And Expect Error    The image '${NO_SHELL}' of the client has no 'sh', which starts *
    ...    Measure    image=${NO_SHELL}

Busy Server Is Named
    ${pod}    Run In Pod    ${SERVER}    ${NAMESPACE}    sh    -c
    ...    iperf3 -c 127.0.0.1 -t 20 -b 100K >/dev/null 2>&1 & sleep 1; echo started
    Should Be Equal    ${pod}    started\n
    Run Keyword And Expect Error    *No throughput from *: busy: *the server is busy running a test*
    ...    Measure    retry_for=1s
    [Teardown]    Run In Pod    ${SERVER}    ${NAMESPACE}    sh    -c    pkill -f 'iperf3 -c' || true

Server That Ends In The Middle Is A Break And No Rerun
    [Documentation]    It passed with many attempts: the measurement was repeated until it went through.
    Start Iperf3 Server    ${NAMESPACE}    doomed    image=${IMAGE}    timeout=60s
    ${pods}    Get Objects    Pod    ${NAMESPACE}    labels=app=doomed
    Run In Pod    ${pods}[0][metadata][name]    ${NAMESPACE}    sh    -c
    ...    (sleep 5; kill -TERM 1) >/dev/null 2>&1 &
    ${message}    Run Keyword And Expect Error
    ...    The traffic from '${NAMESPACE}' to 'doomed:5201' broke off after * s of 8 s: closed: *
    ...    Measure    doomed    duration=8s    bitrate=10M
    Should Match Regexp    ${message}    Until then (9|10)(\\.\\d+)? Mbit/s\\.
    ${attempts}    Get Last Record    parameters    attempts
    Should Be Equal As Integers    ${attempts}    1
    ${after}    Get Last Record    summary    broke_after_seconds
    Should Be True    0 < ${after} < 8

Several Servers Behind One Address Are Refused At Once
    [Setup]    Scale Server To    2
    Run Keyword And Expect Error    2 pods are behind 'iperf3-server' (*); iperf3 needs one: *    Measure
    [Teardown]    Scale Server To    1


*** Keywords ***
Server Is Started
    [Documentation]    A namespace of this run with one server behind a Service.
    ${id}    Get Run Id
    VAR    ${NAMESPACE}    netlib-${id}-iperf3    scope=SUITE
    Create Namespace    ${NAMESPACE}
    Apply Manifest
    ...    ${SERVER_MANIFEST}
    ...    namespace=${NAMESPACE}
    ...    Deployment.spec.template.spec.containers.0.image=${IMAGE}
    Wait Until Deployment Is Available    iperf3-server    ${NAMESPACE}    timeout=60s
    ${pods}    Get Objects    Pod    ${NAMESPACE}    labels=app=iperf3-server
    VAR    ${SERVER}    ${pods}[0][metadata][name]    scope=SUITE
    VAR    ${ADDRESS}    ${pods}[0][status][podIP]    scope=SUITE

Measure
    [Documentation]    Measures for one second with the image of this suite.
    [Arguments]    ${server}=iperf3-server    &{options}
    VAR    &{all}    image=${IMAGE}    duration=1s    &{options}
    ${result}    Measure Throughput    ${server}    ${NAMESPACE}    &{all}
    RETURN    ${result}

Scale Server To
    [Documentation]    Gives the server a number of replicas and waits for them.
    [Arguments]    ${replicas}
    Apply Manifest
    ...    ${SERVER_MANIFEST}
    ...    namespace=${NAMESPACE}
    ...    Deployment.spec.template.spec.containers.0.image=${IMAGE}
    ...    Deployment.spec.replicas=${{ int($replicas) }}
    Wait Until Deployment Is Available    iperf3-server    ${NAMESPACE}    timeout=60s

Get Last Record
    [Documentation]    Returns a field of the last measurement of this run.
    [Arguments]    ${part}    ${field}
    ${text}    Get File    ${OUTPUT DIR}/measurements.jsonl
    ${record}    Evaluate    json.loads($text.strip().splitlines()[-1])
    RETURN    ${record}[${part}][${field}]
