*** Settings ***
Documentation       Connections, names and path MTUs of a user's own application, and what the keywords say.

Library             NetLibrary

Suite Setup         Application Runs
Suite Teardown      Delete Everything This Run Created    wait=False

Test Tags           connection


*** Variables ***
${APPLICATION}      ${CURDIR}/../manifests/own_application/application.yaml


*** Test Cases ***
A Policy Lets Its Clients Through And Keeps Others Away
    ${seen}    Connection Should Succeed    web    80    ${CLIENT}
    Should Be Equal    ${seen}[0][attempts][0][result]    connected
    Connection Should Be Blocked    web    80    ${OTHER}    attempts=2    timeout=1s
    Connection Should Succeed    ${NAMESPACE}/app=web    8080    ${CLIENT}

A Port Where Nobody Listens Refuses
    Connection Should Be Refused    ${NAMESPACE}/${CLIENT_NAME}    9    ${OTHER}

A Wrong Expectation Says What Was Seen
    ${blocked}    Run Keyword And Expect Error    STARTS: From '${OTHER}' to 'web:80': expected connected
    ...    Connection Should Succeed    web    80    ${OTHER}    attempts=1    timeout=1s    settle=0s
    Should Contain    ${blocked}    no answer within the limit (1 of 1)
    Should Contain    ${blocked}    Repeat it: kubectl exec -n ${NAMESPACE}
    Run Keyword And Expect Error    STARTS: From '${CLIENT}' to 'web:80': expected blocked, seen connected (3 of 3)
    ...    Connection Should Be Blocked    web    80    ${CLIENT}    settle=0s
    ${refused}    Run Keyword And Expect Error
    ...    STARTS: From '${OTHER}' to '${NAMESPACE}/${CLIENT_NAME}:9': expected blocked
    ...    Connection Should Be Blocked    ${NAMESPACE}/${CLIENT_NAME}    9    ${OTHER}    settle=0s
    Should Contain    ${refused}    by=any accepts both

Names Resolve From Pods And Nodes
    ${service}    Get Object    Service    web    ${NAMESPACE}
    Name Should Resolve To    web    ${service}[spec][clusterIP]    source=${CLIENT}
    Name Should Resolve To
    ...    web.${NAMESPACE}
    ...    ${service}[spec][clusterIP]
    ...    source=every node
    ...    time_at_most=2 s
    Name Should Not Resolve    no-such-service    source=${CLIENT}
    Run Keyword And Expect Error    *'web' should resolve to 192.0.2.1; seen: ${service}[spec][clusterIP].
    ...    Name Should Resolve To    web    192.0.2.1    source=${CLIENT}
    Run Keyword And Expect Error    *'web' should not resolve; seen: ${service}[spec][clusterIP].
    ...    Name Should Not Resolve    web    source=${CLIENT}

The Path MTU Between Pods Is Measured
    ${prober}    Start Prober    ${NAMESPACE}    image=ghcr.io/netlibrary/probe:1
    ${mtu}    Path MTU Should Be    1500    ${NAMESPACE}/${CLIENT_NAME}    ${prober}
    Should Be Equal As Integers    ${mtu}    1500
    Run Keyword And Expect Error    *expected: 1400 bytes.
    ...    Path MTU Should Be    1400    ${NAMESPACE}/${CLIENT_NAME}    ${prober}
    Run Keyword And Expect Error    *has no python3, which measures a path's MTU*
    ...    Path MTU Should Be    1500    ${NAMESPACE}/${CLIENT_NAME}    ${CLIENT}

Wrong Arguments Say What Is Allowed
    Run Keyword And Expect Error
    ...    *Give a pod as namespace/name*    Connection Should Succeed    web    80    ${{ 'web' }}
    Run Keyword And Expect Error    attempts is 0; allowed: 1 to 100.
    ...    Connection Should Succeed    web    80    ${CLIENT}    attempts=0
    Run Keyword And Expect Error    No pod in '${NAMESPACE}' has the labels 'app=nobody'; there are pods with *
    ...    Connection Should Succeed    web    80    ${NAMESPACE}/app=nobody
    Run Keyword And Expect Error    *node9*    Connection Should Succeed    web    80    node:node9


*** Keywords ***
Application Runs
    [Documentation]    Deploys the application of the suite to copy, a client that may reach it and one that may not.
    ${id}    Get Run Id
    VAR    ${NAMESPACE}    netlib-${id}-connections    scope=SUITE
    Create Namespace    ${NAMESPACE}
    Apply Manifest    ${APPLICATION}    namespace=${NAMESPACE}
    ${CLIENT}    Start Prober    ${NAMESPACE}    labels={'role': 'client'}    name=client
    ${OTHER}    Start Prober    ${NAMESPACE}    name=other
    Wait Until Deployment Is Available    web    ${NAMESPACE}
    VAR    ${CLIENT}    ${CLIENT}    scope=SUITE
    VAR    ${OTHER}    ${OTHER}    scope=SUITE
    VAR    ${CLIENT_NAME}    client    scope=SUITE
