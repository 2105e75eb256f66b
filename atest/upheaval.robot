*** Settings ***
Documentation       Suites that are killed, in their worst moment or at any, leave nothing that a sweep does not remove.
...
...                 The moment is the appearance of an object, by kind and labels.

Library             NetLibrary
Library             upheaval.py

Suite Setup         Connect To Cluster

Test Tags           upheaval    slow


*** Variables ***
${SEED}             ${EMPTY}


*** Test Cases ***
Killed Runs Are Swept
    [Documentation]    Pods run, policies are in force, nodes carry labels beside one that its user has labelled, and
    ...    namespaces of three Sites exist.
    [Setup]    Note What Is There    node1    agenttype=server
    Kill Suite    cluster_health    pods    app=health
    Kill Suite    own_application    deployments    netlibrary.io/run
    Kill Suite    throughput    jobs    netlibrary.io/run
    Kill Suite    network_break    services    netlibrary.io/run
    Kill Suite    service_matrix    services    netlibrary.io/run
    Kill Suite    e2sar    networkpolicies    netlibrary.io/run    --include    policy
    Kill Suite    cyperf    nodes    agenttype
    Kill Suite    network_policies    networkpolicies    netlibrary.io/run
    Kill Suite    skupper_iperf3    sites.skupper.io    netlibrary.io/run
    Sweep Should Bring Back What Was There
    [Teardown]    Take Label Off    node1    agenttype

What Was Kept Is Swept
    [Documentation]    SKIP_TEARDOWN leaves a namespace and the labels of nodes.
    [Setup]    Note What Is There    node1    agenttype=server
    Suite Should Keep Everything    cyperf    -t    HTTP By Cluster IP
    Sweep Should Bring Back What Was There
    [Teardown]    Take Label Off    node1    agenttype

Runs That Were Killed At Any Moment Are Swept
    [Documentation]    Ten draws of a suite and of a moment; the log has the seed, `-v SEED:N` repeats them.
    [Setup]    Note What Is There    node1    agenttype=server
    Kill Suites At Random    10    seed=${SEED}
    Sweep Should Bring Back What Was There
    [Teardown]    Take Label Off    node1    agenttype

Runs That Are Asked To End Leave Nothing
    [Documentation]    SIGTERM at any moment, also in the setup; a second one meanwhile leaves the rest to a sweep.
    [Setup]    Note What Is There    node1    agenttype=server
    VAR    @{suites}    cluster_health    own_application    service_matrix    cyperf
    Stop Suites At Random    @{suites}    seed=${SEED}
    Stop Suites At Random    own_application    cyperf    seed=${SEED}    again=${1.5}
    Sweep Should Bring Back What Was There
    [Teardown]    Take Label Off    node1    agenttype
