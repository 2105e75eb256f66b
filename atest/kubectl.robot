*** Settings ***
Documentation       What one does with kubectl, done with keywords; see docs/kubectl.md.

Library             NetLibrary    timeout=60s
Library             RequestsLibrary

Suite Setup         Application Runs
Suite Teardown      Delete Everything This Run Created

Test Tags           kubectl


*** Variables ***
${DATA}     ${CURDIR}/kubectl


*** Test Cases ***
A Bad Image Is Rolled Out And Taken Back
    Scale Workload    deploy    web    ${NAMESPACE}    replicas=3
    Set Image    deploy    web    ${NAMESPACE}    image.invalid/none:1    wait_until_complete=False
    Run Keyword And Expect Error
    ...    STARTS: Rollout of Deployment '${NAMESPACE}/web': pod 'web-
    ...    Wait Until Rollout Is Complete    deploy    web    ${NAMESPACE}    timeout=40s
    ${revision}    Undo Rollout    deploy    web    ${NAMESPACE}
    Should Be Equal    ${revision}    ${1}
    ${history}    Get Rollout History    deploy    web    ${NAMESPACE}
    Should Be Equal    ${history}[0][images]    ${{['image.invalid/none:1']}}
    Scale Workload    deploy    web    ${NAMESPACE}    replicas=2

A Port Of A Pod Is Reached From Here
    ${address}    Start Port Forward    svc/web    ${NAMESPACE}    80
    ${answer}    GET    http://${address}/hostname    expected_status=200
    Should Start With    ${answer.text}    web-
    ${long}    GET    url=http://${address}/echo?msg=${{'x' * 5000}}
    Length Should Be    ${long.text}    5000
    Run Keyword And Expect Error
    ...    Nobody answers on port 9 of pod '${NAMESPACE}/web-*': *connection refused*
    ...    Start Port Forward    svc/web    ${NAMESPACE}    9    timeout=0s
    Stop Port Forward    ${address}

A Budget Holds Pods Of A Node That Is Drained
    ${pods}    Get Objects    po    ${NAMESPACE}    labels=app=web
    VAR    ${node}    ${pods}[0][spec][nodeName]
    VAR    ${name}    ${pods}[0][metadata][name]
    Apply Manifest    ${DATA}/web.yaml    namespace=${NAMESPACE}    min_available=2
    Run Keyword And Expect Error
    ...    Eviction of pod '${NAMESPACE}/${name}': *is held: *budget web-stays-up needs 2 healthy pods*
    ...    Evict Pod    ${name}    ${NAMESPACE}    timeout=0s
    Apply Manifest    ${DATA}/web.yaml    namespace=${NAMESPACE}    min_available=1
    ${evicted}    Drain Node    ${node}    labels=app=web
    Should Contain    ${evicted}    ${NAMESPACE}/${name}
    ${object}    Get Object    no    ${node}
    Should Be True    $object['spec']['unschedulable']
    Uncordon Node    ${node}
    Wait Until Rollout Is Complete    Deployment    web    ${NAMESPACE}

A Taint Is Set And Removed
    ${nodes}    Get Schedulable Nodes
    Taint Node    ${nodes}[0]    netlibrary-test=yes:PreferNoSchedule
    ${node}    Get Object    Node    ${nodes}[0]
    Should Be Equal    ${node}[spec][taints][0][key]    netlibrary-test
    Untaint Node    ${nodes}[0]    netlibrary-test-
    Run Keyword And Expect Error
    ...    *taint is 'netlibrary-test'; the taints of node '${nodes}[0]' are *
    ...    Untaint Node    ${nodes}[0]    netlibrary-test


*** Keywords ***
Application Runs
    ${id}    Get Run Id
    VAR    ${NAMESPACE}    kubectl-${id}    scope=suite
    Create Namespace    ${NAMESPACE}
    Apply Manifest    ${DATA}/web.yaml    namespace=${NAMESPACE}
    Wait Until Rollout Is Complete    deploy    web    ${NAMESPACE}
