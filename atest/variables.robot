*** Settings ***
Documentation       Every variable of a suite, set on the command line to what is not its default: the effect is seen in
...                 the pods and Services that the run makes, in its records, or in arguments of keywords. With
...                 SKIP_TEARDOWN the commands that it prints are run as they stand, and leave nothing.

Library             NetLibrary
Library             variables.py

Suite Setup         Connect To Cluster
Suite Teardown      Delete Everything This Run Created

Test Tags           variables    slow


*** Variables ***
${OTHER}        other.example


*** Test Cases ***
# A list of variables, and of the places where they show
# robocop: off=LEN04,LEN06
E2SAR
    Load Images Under Another Name    e2sar    ${OTHER}
    ${manifests}    Copy Of    manifests/e2sar    app: e2sar-receiver=app: e2sar-receiver
    VAR    ${image}    ${OTHER}/netlibrary/e2sar-perf-standin:1
    Run Suite With    e2sar    -t    Original*
    ...    E2SAR_IMAGE:${image}
    ...    E2SAR_SERVICE:e2sar-receiver-svc
    ...    E2SAR_MTU:1400
    ...    E2SAR_RATE:20M
    ...    E2SAR_LENGTH:2000
    ...    E2SAR_NUM_EVENTS:400
    ...    E2SAR_BUF_SIZE:524288
    ...    E2SAR_DURATION:25 s
    ...    E2SAR_PORT:20522
    ...    E2SAR_THREADS:2
    ...    E2SAR_MANIFESTS:${manifests}
    ...    NAMESPACE:variables-e2sar
    ...    READY_TIMEOUT:99 s
    ...    SKIP_TEARDOWN:True
    Records Should Have    e2sar    parameters.senders[0].mtu    1400
    Records Should Have    e2sar    parameters.senders[0].rate_gbps    0.02
    Records Should Have    e2sar    parameters.senders[0].event_bytes    2000
    Records Should Have    e2sar    parameters.senders[0].events    400
    Records Should Have    e2sar    parameters.senders[0].buffer_bytes    524288
    Records Should Have    e2sar    parameters.receivers[0].buffer_bytes    524288
    Records Should Have    e2sar    parameters.receivers[0].port    20522
    Records Should Have    e2sar    parameters.receivers[0].threads    2
    Objects Should Have    Pod    e2sar-(receiver|sender)-0    spec.containers[0].image    ${image}
    Number Of Objects Should Be    Service    variables-e2sar/e2sar-receiver-svc    1
    Log Should Say    ${{ re.escape(str($manifests)) }}    timeout=[^|]*99    duration=[^|]*25
    What Stayed Can Be Looked At And Removed    e2sar-receiver
    Run Suite With    e2sar    -t    Events Arrive By Pod*
    ...    E2SAR_SENDER_IMAGE:${image}
    ...    E2SAR_RECEIVER_IMAGE:ghcr.io/netlibrary/e2sar-perf-standin:1
    Objects Should Have    Pod    e2sar-sender-0    spec.containers[0].image    ${image}
    Objects Should Have    Pod    receiver-0    spec.containers[0].image    ghcr.io/netlibrary/e2sar-perf-standin:1
    Run Suite With    e2sar    E2SAR_DIRECT_MODE:no    E2SAR_URI:ejfat://127.0.0.1:1025/lb/1?data=127.0.0.2    status=SKIP
    Messages Should Say    Missing: An EJFAT load balancer
