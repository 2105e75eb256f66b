*** Settings ***
Documentation       Sweeps that are killed, that run at once, and beside live runs; copies with the marks of a run;
...                 two runs of one suite at once.

Library             NetLibrary
Library             sweeps.py

Suite Setup         Connect To Cluster

Test Tags           upheaval    slow


*** Variables ***
${SEED}             ${EMPTY}


*** Test Cases ***
Sweeps That Are Killed And Run At Once Remove What Dead Runs Left
    [Documentation]    Runs were killed while they worked, in namespaces of their own and of others, with labels on
    ...    nodes; one while it tidied up; and another one goes on. What the first one made was copied into a namespace
    ...    of others, with all marks, as users do with `kubectl get -o yaml | kubectl apply`.
    [Setup]    Note What Is There    node1    agenttype=server
    Kill Suite    own_application    deployments    netlibrary.io/run
    Copy What Was Left    theirs
    Kill Suite As Guest    own_application    pods    netlibrary.io/run
    Kill Suite    cyperf    nodes    agenttype
    Kill Suite In Its Teardown    cluster_health
    Wait Until Runs Are Silent
    Start Live Run    cluster_health
    Kill Sweeps    3    seed=${SEED}
    Sweep Twice At Once
    Live Run Should Pass
    Copies Should Be There    theirs
    Everything Should Be Back
    [Teardown]    Take Label Off    node1    agenttype

Two Runs Of One Suite Do Not Disturb Each Other
    [Documentation]    First each in namespaces of its own, then both in one that exists. There the names of the second
    ...    one's objects may be taken, which it says, and the first one is not disturbed.
    [Setup]    Note What Is There    node1    agenttype=server
    Two Runs Should Pass    cluster_health
    Two Runs In One Namespace Should Not Disturb Each Other    throughput    --test    Pod On Another Node
    Everything Should Be Back
    [Teardown]    Take Label Off    node1    agenttype
