*** Settings ***
Documentation     Breaks a lab on purpose, one fault at a time, and checks that the Service matrix names the cause.
...
...               *Topology*: one Service matrix on a lab of three nodes, kept for all faults.
...               *Traffic*: for each fault all cases that it may touch, probed in one go.
...               *Passes when*: a healthy lab gives no finding, each fault is found with its cause and its place, and
...               that one cause explains most of the wrong cells.

Library           Collections
Library           NetLibrary
Library           breakage.py

Suite Setup       Lab And Matrix Are Up
Suite Teardown    Nothing Is Left Broken
Test Template     Fault Should Be Found

# Each fault takes some seconds; a quick run (--exclude slow) makes one of each kind
Test Tags         matrix    faults    disruptive    slow


*** Variables ***
# Probed for every fault; rows name what they need besides
@{CASES}    pod ip    large packets    cluster ip    names
# Share of the wrong cells that the first cause has to explain
${LEAST}    ${0.7}


*** Test Cases ***    FAULT    CAUSE    AT FAULT    MORE CASES
Nothing Is Broken
    [Tags]    -slow
    [Template]    Nothing Should Be Found
    once
Service Proxy Without Rules
    [Tags]    -slow
    service proxy without rules    service proxy of node    node2    node port
Service Proxy Stopped
    service proxy stopped    stale proxy of node    node2    spread
Service Proxy Hangs
    service proxy hangs    stale proxy of node    node2    spread
Link Cut
    link cut    node cut off    node3
Node Address Changed
    address changed    node cut off    node3
One Direction Between Two Nodes Dropped
    [Tags]    -slow
    one direction dropped    node pair    node1 and node2
New Connections Dropped One Way
    connections dropped one way    pod network in one direction    node1 to node2
UDP Dropped At A Node
    udp dropped at node    protocol at node    UDP at node2
MTU Black Hole
    large packets dropped    large packets    node2
New Flows Dropped As With A Full Conntrack Table
    new flows dropped    loss at node    node3
Packets Lost At A Node
    packets lost    loss at node    node1
DNS Down
    [Tags]    -slow
    dns down    dns    cluster
DNS Down For One Node
    dns down at node    dns    node1
DNS Gives Wrong Addresses
    dns wrong    dns wrong    cluster
DNS Slow
    dns slow    dns slow    cluster
DNS Knows No Names
    dns without names    dns says no    cluster
Resolver File Names Another Server
    resolver names another server    dns asks another server    on-node2
Pod Unreachable
    pod unreachable    pod cut off    on-node2
Pod Refuses
    pod refuses    pod cut off    on-node3
Pod Resets TCP
    pod resets    target pod protocol    on-node3 TCP
Source Pod Isolated
    source pod isolated    source pod    on-node1
All Pods Isolated
    pods isolated    pods isolated    cluster
Dead Backend Behind A Service
    backend dead behind service    service changed    spread    spread
One Port Of A Service Refused
    one port refused    service port    several-ports 81/TCP    several ports
Target Port Changed
    wrong target port    service changed    several-ports    several ports
Selector Changed
    selector changed    service changed    to-on-node2
Policy Of Somebody Else
    policy of others    policy of others    default-deny
Pod With A Wrong Gateway
    pod with wrong gateway    pod network of node    node2
Server Hangs
    server hangs    target pod    on-node3
Pod Starved Of Processor Time
    pod starved    pod starved    on-node3
One Port Of A Service Dropped At A Node
    service port dropped at node    service port on node    several-ports 81/TCP on node2    several ports
One NodePort Dropped
    one node port dropped    node port at node    nodeport TCP at node2    node port    node port local
Packets Lost Between Two Nodes
    link loses packets    loss between nodes    node1 and node2
UDP Flow Stays With The Old Backend
    [Template]    Fault Should Be Found By Row
    stale udp flow    udp flows    stale flow    node2
Hairpin Blocked
    hairpin blocked    hairpin    node1    hairpin
Foreign Backend Behind A Service
    foreign backend    wrong backend    to-on-node1 on 'node2'
Session Affinity Ignored
    affinity ignored    affinity    node2    affinity
Client Address Lost
    client address lost    client address    node2    node port
Local Policy Treated As Cluster
    local policy ignored    local policy ignored    *    node port local
NodePorts Blocked From Elsewhere
    node port blocked    entry node from elsewhere    node2 TCP    node port    node port local
LoadBalancer Not Announced
    balancer not announced    load balancer    outside    load balancer    load balancer outside
Dropped Instead Of Refused Is A Fact And No Fault
    [Template]    Fault Should Be A Fact
    dropped not refused    no endpoints    timed out
Kubelet Stopped
    kubelet stopped    sources not probed    node2
Kubelet Hangs
    kubelet hangs    sources not probed    node2
Nothing Is Broken Any More
    [Template]    Nothing Should Be Found
    once more


*** Keywords ***
Lab And Matrix Are Up
    [Documentation]    One matrix for all faults; whatever an earlier run left broken is repaired first.
    Connect To Cluster
    Restore All Faults
    # a SYN is repeated after 1 s, and most of the time of a row is this limit, several times
    Build Service Matrix    silence=1.2 s

Nothing Is Left Broken
    [Documentation]    Repairs everything and removes the matrix.
    Repair What Was Broken
    Restore All Faults
    Delete Service Matrix

Nothing Should Be Found
    [Documentation]    One row without a fault: every case, and no finding.
    [Arguments]    ${when}
    Forget Service Matrix Results
    Probe Service Matrix    settle=10 s
    ${findings}    Explain Service Matrix
    Should Be Empty    ${findings}    Found something in a healthy lab (${when}): ${findings}

Fault Should Be A Fact
    [Documentation]    Left to the implementation by Kubernetes is seen, and never wrong.
    [Arguments]    ${fault}    ${case}    ${fact}
    Forget Service Matrix Results
    Break By Name    ${fault}
    Service Matrix Case Should Be Right    ${case}
    ${cells}    Get Service Matrix Cells    ${case}
    Should Contain    ${{[c['fact'] for c in $cells]}}    ${fact}
    [Teardown]    Repair What Was Broken

Fault Should Be Found By Row
    [Documentation]    As below, for cases that change objects while they probe.
    [Arguments]    ${fault}    ${case}    ${cause}    ${subject}
    Forget Service Matrix Results
    Break By Name    ${fault}
    Run Keyword And Expect Error    * cells are wrong*    Service Matrix Case Should Be Right    ${case}
    ${findings}    Explain Service Matrix
    Should Be Equal    ${findings}[0][cause]    ${cause}    Wrong cause: ${findings}[0][text]    values=${False}
    Should Match    ${findings}[0][subject]    ${subject}    Wrong place: ${findings}[0][text]    values=${False}
    [Teardown]    Repair What Was Broken

Fault Should Be Found
    [Documentation]    One row: breaks, probes, and compares the first finding with the cause that is known here.
    [Arguments]    ${fault}    ${cause}    ${subject}    @{more}
    Forget Service Matrix Results
    Break By Name    ${fault}
    ${seen}    Probe Service Matrix    @{CASES}    @{more}    settle=0.3 s
    ${findings}    Explain Service Matrix
    Should Not Be Empty    ${findings}    The fault '${fault}' was not found at all.
    VAR    ${first}    ${findings}[0]
    Should Be Equal    ${first}[cause]    ${cause}    Wrong cause. Said:\n${first}[text]    values=${False}
    Should Match    ${first}[subject]    ${subject}    Wrong place. Said:\n${first}[text]    values=${False}
    Should Not Be Equal    ${first}[confidence]    in doubt    Refuted by its own follow-up:\n${first}[text]
    VAR    ${share}    ${{ $first['evidence'] / $seen['wrong'] }}
    Should Be True    ${share} >= ${LEAST}    It explains ${first}[evidence] of ${seen}[wrong] cells only: ${findings}
    [Teardown]    Repair What Was Broken
