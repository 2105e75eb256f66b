*** Settings ***
Documentation       Two runs of traffic against the same servers, each by a process of Robot of its own: the second
...                 waits for what is left of the pause, which is the TIME_WAIT timeout of the nodes.
...
...                 *Topology*: agents of the stand-in, in a namespace that outlives both runs.
...                 *Traffic*: HTTP to the servers, by ClusterIP in the first run and by NodePort in the second one.
...                 *Passes when*: the second run's traffic begins as long after the end of the first one's as the nodes
...                 keep closed connections, and not much later; and only what is left of that is waited for.

Library             Process
Library             NetLibrary
Library             pause.py

Suite Setup         Connect To Cluster
Suite Teardown      Delete Everything This Run Created

Test Tags           cyperf    slow


*** Variables ***
${SECONDS}      75
${OUT}          ${OUTPUT DIR}/cyperf_pause


*** Test Cases ***
Second Process Waits For What Is Left
    [Setup]    Nodes Keep Closed Connections    ${SECONDS}
    ${id}    Get Run Id
    VAR    ${NAMESPACE}    pause-${id}    scope=TEST
    Create Namespace    ${NAMESPACE}
    Stand Ins Are Installed
    Traffic Flows In A Process Of Its Own    first    cluster ip
    ${waited}    Seconds Waited    ${OUT}/first/output.xml
    Should Be Equal As Numbers    ${waited}    0
    ${ended}    End Of The Last Run    ${NAMESPACE}
    Traffic Flows In A Process Of Its Own    second    node port
    ${begun}    Begin Of The Traffic    ${OUT}/second/output.xml
    ${waited}    Seconds Waited    ${OUT}/second/output.xml
    Log    The second waited ${waited} s and began ${{ round($begun - $ended, 1) }} s after the first.    console=True
    Should Be True    0 < ${waited} < ${SECONDS}
    Should Be True    ${SECONDS} <= ${begun} - ${ended} < ${SECONDS} + 20
    [Teardown]    Nodes Keep Closed Connections    120


*** Keywords ***
Traffic Flows In A Process Of Its Own
    [Documentation]    Runs _cyperf_pause.robot with clients aimed at a target.
    [Arguments]    ${name}    ${target}
    ${lab}    Get Library Instance    NetLibrary
    ${run}    Run Process
    ...    ${{ sys.executable }}    -m    robot    -d    ${OUT}/${name}
    ...    -v    CLUSTER:lab:${lab.session.cluster(None).lab.name}
    ...    -v    NAMESPACE:${NAMESPACE}
    ...    -v    TARGET:${target}
    ...    -v    CYPERF_DURATION:2 s
    ...    ${CURDIR}/_cyperf_pause.robot
    ...    stdout=${OUT}_${name}.txt    stderr=STDOUT    timeout=5 minutes
    Should Be Equal As Integers    ${run.rc}    0    msg=${run.stdout}
