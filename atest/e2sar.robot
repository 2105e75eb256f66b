*** Settings ***
Documentation       The E2SAR keywords meet bad input and what goes wrong while a run goes on. Each failure must
...                 say in its first lines what was wrong and what would mend it.

Library           OperatingSystem
Library           e2sar_lab.py
Resource          NetLibrary/resources/e2sar.resource

Suite Setup       E2SAR Namespace Is Ready
Suite Teardown    Delete Everything This Run Created    wait=False

Test Tags         e2sar


*** Variables ***
${NEW_STYLE}    ${{ {"E2SAR_STANDIN_STYLE": "0.3.2"} }}


*** Test Cases ***
Bad Parameters Are Refused Before Anything Starts
    [Template]    Transfer Should Be Refused
    # WORDS    ARGUMENTS
    *mtu is 100; allowed: 106 to 9000*    mtu=${100}
    *event_bytes is 41; allowed: 42 to*    event_bytes=${41}
    *events is 0; allowed: 1 to*    events=${0}
    *rate is -1 Gbit/s; allowed: 0*    rate_gbps=${-1}
    *mtu is 8000, but the pods' interfaces take *FRAGMENTATION*    mtu=${8000}
    *but the path carries 10 Mbit/s; allowed: up to*OVERLOAD*    egress_bandwidth=10M
    *buffer_bytes of the receiver is 999999999*CAPPED_BUFFER*    receiver_buffer_bytes=${999999999}
    *duration is 1 s, but the sender needs*SHORT_RECEIVER*    duration=1 s
    *duration is 1.5 s; allowed: whole seconds*    duration=1.5 s
    *'accept' got value 'LUCK' *one or more of OVERLOAD, FRAGMENTATION*    accept=LUCK
    *port is 80; allowed: 1024 to 65535*    port=${80}
    *threads is 129; allowed: 1 to 128*    threads=${129}
    *senders is 0; allowed: 1 to 16*    senders=${0}

Unknown Names Are Refused
    Run Keyword And Expect Error
    ...    *policy is 'maybe'; allowed: allow, deny-all, deny-udp, tcp-only, no-egress and none.
    ...    Apply E2SAR Network Policy    maybe
    Run Keyword And Expect Error
    ...    *name is 'nobody'; senders and receivers started in '*': *
    ...    Wait Until E2SAR Receiver Is Bound    nobody
    Run Keyword And Expect Error
    ...    *namespace is 'nowhere'; prepared namespaces: '*'. Use 'Prepare E2SAR Namespace' first.
    ...    Start E2SAR Receiver    namespace=nowhere
    Run Keyword And Expect Error
    ...    *'colour' is not an argument of Transfer E2SAR Events*
    ...    Sweep E2SAR Transfers    colour=red

Image Without The Program Is Named
    Run Keyword And Expect Error
    ...    *Image 'docker.io/library/busybox:1.36' has no e2sar_perf on its PATH; choose another with image=*
    ...    Prepare E2SAR Namespace
    ...    ${NAMESPACE}
    ...    manifests=${E2SAR_MANIFESTS}
    ...    image=docker.io/library/busybox:1.36
    [Teardown]    Use The Suite's Image Again

Image That Cannot Be Had Is Named
    Run Keyword And Expect Error
    ...    *Inspection of image 'absent.invalid/absent:1'*
    ...    Prepare E2SAR Namespace
    ...    ${NAMESPACE}
    ...    manifests=${E2SAR_MANIFESTS}
    ...    image=absent.invalid/absent:1
    [Teardown]    Use The Suite's Image Again

Receiver That Cannot Bind Fails At Once With Its Own Words
    Start E2SAR Receiver    environment=${{ {"IP": "192.0.2.1"} }}
    Run Keyword And Expect Error
    ...    *'e2sar-receiver-0' never bound UDP port 19522: *Unable to open receive sockets*
    ...    Wait Until E2SAR Receiver Is Bound
    ...    timeout=${READY_TIMEOUT}
    [Teardown]    Delete E2SAR Senders And Receivers

Option That This Version Lacks Is Named
    Start E2SAR Receiver    options=['--no-such-option']
    Run Keyword And Expect Error
    ...    *never bound UDP port 19522:*unrecognised option '--no-such-option'*
    ...    Wait Until E2SAR Receiver Is Bound    timeout=${READY_TIMEOUT}
    [Teardown]    Delete E2SAR Senders And Receivers

Name That Does Not Resolve Is Named
    Start E2SAR Sender    receiver=${None}    address=nobody.invalid    resolve_within=2 s
    Wait For E2SAR Sender    timeout=${READY_TIMEOUT}
    Run Keyword And Expect Error
    ...    *found no receiver: 'nobody.invalid' did not resolve to an address within 2 s*
    ...    E2SAR Transfer Should Reach

Denied Transfer Fails With Policy And Remedy
    Apply E2SAR Network Policy    tcp-only
    Run Keyword And Expect Error
    ...    Delivered 0 of 200 events (0 %)*\nNetworkPolicy 'e2sar-policy' (ingress of the receiver) *; add UDP 19522 to*
    ...    Transfer E2SAR Events
    ...    events=200
    ...    start_delay=0 s
    ...    timeout=${READY_TIMEOUT}
    [Teardown]    Apply E2SAR Network Policy    none

Stray Datagrams Are Counted And Do No Harm
    Start E2SAR Receiver    environment=${NEW_STYLE}
    Wait Until E2SAR Receiver Is Bound    timeout=${READY_TIMEOUT}
    ${pod}    Get E2SAR Pod    e2sar-receiver-0
    VAR    ${strays}
    ...    import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);
    ...    to = (socket.gethostbyname(socket.gethostname()), 19522);
    ...    [s.sendto(data, to) for data in (b"", b"hello", bytes(36), b"x" * 9000)]
    Run In Pod    ${pod}    ${NAMESPACE}    python3    -c    ${strays}    container=observer
    Start E2SAR Sender    events=300    environment=${NEW_STYLE}
    Wait For E2SAR Sender    timeout=${READY_TIMEOUT}
    ${result}    E2SAR Transfer Should Reach
    Should Be Equal As Integers    ${result.judgement.bad_headers}    4

Namespace Deleted In The Middle Keeps The Logs
    [Tags]    slow
    ${namespace}    E2SAR Namespace Is Ready    ${NAMESPACE}-doomed    inspect=${False}
    Start E2SAR Receiver    namespace=${namespace}
    Wait Until E2SAR Receiver Is Bound    timeout=${READY_TIMEOUT}    namespace=${namespace}
    Start E2SAR Sender    events=20000    rate=5M    namespace=${namespace}
    Wait Until E2SAR Events Arrive    100    timeout=${READY_TIMEOUT}    namespace=${namespace}
    Delete Namespace    ${namespace}
    Run Keyword And Expect Error
    ...    *End of sender 'e2sar-sender-0': The pod of sender* was deleted while it ran*
    ...    Wait For E2SAR Sender    timeout=${READY_TIMEOUT}    namespace=${namespace}
    Run Keyword And Expect Error
    ...    Delivered * of 20000 events*\nThe pod of * 'e2sar-*-0' was deleted while it ran.*
    ...    E2SAR Transfer Should Reach    namespace=${namespace}
    [Teardown]    Use The Suite's Image Again

Receiver That Is Not Yet Bound Is Named And Mended
    Start E2SAR Receiver    environment=${{ {"START_DELAY": "6"} }}
    Start E2SAR Sender    events=200    rate=5M
    Wait For E2SAR Sender    timeout=${READY_TIMEOUT}
    Wait Until E2SAR Receiver Is Bound    timeout=${READY_TIMEOUT}
    ${lost}    E2SAR Transfer Should Reach
    ...    delivered_at_least=0 %
    ...    delivered_at_most=0 %
    ...    errors_at_most=1000
    ...    expected_cause=not yet bound
    Should Match Regexp    ${lost.sentence}    sender began [\\d.]+ s before e2sar-receiver-0 had bound its port; wait
    [Teardown]    Delete E2SAR Senders And Receivers

Eviction Is Named
    Start E2SAR Receiver
    Wait Until E2SAR Receiver Is Bound    timeout=${READY_TIMEOUT}
    Start E2SAR Sender    events=4000    rate=10M
    Wait Until E2SAR Events Arrive    300    timeout=${READY_TIMEOUT}
    ${pod}    Get E2SAR Pod    e2sar-receiver-0
    Evict Pod    ${pod}    ${NAMESPACE}
    Wait For E2SAR Sender    timeout=${READY_TIMEOUT}
    ${result}    E2SAR Transfer Should Reach
    ...    delivered_at_least=1 %
    ...    delivered_at_most=90 %
    ...    errors_at_most=100000
    ...    expected_cause=evicted
    Should Match Regexp
    ...    ${result.sentence}
    ...    'e2sar-receiver-0' was evicted from its node \\S+ while it ran \\(EvictionByEvictionAPI.*; free the node
    [Teardown]    Delete E2SAR Senders And Receivers

Events Come From Outside The Cluster
    [Documentation]    A sender on a host that is no node, by the NodePort of a node without the receiver.
    Start E2SAR Receiver
    Wait Until E2SAR Receiver Is Bound    ready=True    timeout=${READY_TIMEOUT}
    ${report}    Send E2SAR Events From Outside    events=500    event_bytes=4000    rate=20M
    Should Be Equal As Integers    ${report.frames_sent}    1500
    E2SAR Transfer Should Reach    delivered_at_least=100 %
    [Teardown]    Delete E2SAR Senders And Receivers

Logs Of A Version That Was Recorded Are Read
    Create File
    ...    ${OUTPUT DIR}/recorded.log
    ...    Sending 1e+06 event buffers\nCompleted, 9 frames sent, 3 errors\nLast error encountered: Connection refused\n
    ${report}    Parse E2SAR Log    ${OUTPUT DIR}/recorded.log
    Should Be Equal As Integers    ${report.events}    1000000
    Should Be Equal    ${report.last_error}    Connection refused
    Run Keyword And Expect Error
    ...    *path is '*absent.log', which cannot be read*
    ...    Parse E2SAR Log
    ...    ${OUTPUT DIR}/absent.log


*** Keywords ***
Transfer Should Be Refused
    [Documentation]    The transfer must be refused with these words, and leave no Job behind.
    [Arguments]    ${words}    &{arguments}
    Run Keyword And Expect Error    ${words}    Transfer E2SAR Events    &{arguments}
    ${jobs}    Get Objects    Job    ${NAMESPACE}
    Should Be Empty    ${jobs}

Use The Suite's Image Again
    [Documentation]    Makes the suite's namespace the current one.
    E2SAR Namespace Is Ready    inspect=${False}
