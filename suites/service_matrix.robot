*** Settings ***
Documentation     Do Services work from every node? One row for each kind of Service; a failing row names the cause.
...
...               *Topology*: one pod and one host-network pod on each schedulable node, a client outside the cluster
...               if there is one, and Services of every kind with these pods behind them.
...               *Traffic*: from every source to every target of the row, over TCP and UDP, with a new connection each;
...               every answer names the pod that gave it and the client address that it saw.
...               *Passes when*: each cell shows what the Services, EndpointSlices, nodes and policies of the cluster
...               require: connected to a correct pod with the correct client address, refused at once, or dropped.
...               *Skipped when*: the cluster lacks what a row needs, such as a load balancer, a second node or IPv6;
...               E2E_TEST names no e2e.test.
...               *Variables*: MATRIX_IMAGE, MATRIX_PODS_PER_NODE, MATRIX_NODE_LABELS, MATRIX_PROBER,
...               MATRIX_PROBER_IMAGE, MATRIX_TIME_LIMIT, MATRIX_SETTLE, MATRIX_LOAD_BALANCER_TIMEOUT,
...               MATRIX_EXTERNAL_NAME, MATRIX_EXTERNAL_IP, MATRIX_LOOK_AT_NODES, and those of
...               common.resource; BASELINE is the matrix.json of an earlier run. Example:
...               robot -d results -v BASELINE:earlier/matrix.json suites/service_matrix.robot

Resource          NetLibrary/resources/service_matrix.resource

Suite Setup       Service Matrix Is Built
Suite Teardown    Service Matrix Is Saved And Removed
Test Template     Case Should Be Right

Test Tags         matrix


*** Test Cases ***    CASE
Pod IP
    [Tags]    pod-ip
    pod ip
Large Packets
    [Tags]    pod-ip    mtu
    large packets
ClusterIP
    [Tags]    cluster-ip
    cluster ip
Hairpin
    [Tags]    cluster-ip    hairpin
    hairpin
All Pods Behind One Service
    [Tags]    cluster-ip
    spread
Several Ports And Protocols
    [Tags]    cluster-ip
    several ports
No Endpoints Means No Connection
    [Tags]    cluster-ip    no-endpoints
    no endpoints
Unready And Published Pod
    [Tags]    cluster-ip    readiness
    readiness
DNS Names
    [Tags]    dns
    names
Headless
    [Tags]    dns    headless
    headless
ExternalName
    [Tags]    dns    external-name
    external name
ExternalName To A Name Outside The Cluster
    [Tags]    dns    external-name
    outside name
Host Network Backends
    [Tags]    cluster-ip    host-network
    host backends
Internal Traffic Policy Local
    [Tags]    cluster-ip    traffic-policy
    internal local
Traffic Distribution Same Node
    [Tags]    cluster-ip    traffic-policy
    near
NodePort At Every Node
    [Tags]    node-port
    node port
External Traffic Policy Local
    [Tags]    node-port    traffic-policy
    node port local
Session Affinity
    [Tags]    cluster-ip    affinity
    affinity
Session Affinity On NodePorts
    [Tags]    node-port    affinity
    affinity node port
External IPs
    [Tags]    external-ip
    external ip
LoadBalancer From Inside
    [Tags]    load-balancer
    load balancer
LoadBalancer From Outside
    [Tags]    load-balancer
    load balancer outside
Session Affinity On LoadBalancer
    [Tags]    load-balancer    affinity
    affinity load balancer
Load Balancer Source Ranges
    [Tags]    load-balancer
    source ranges
SCTP
    [Tags]    sctp
    sctp
Dual Stack
    [Tags]    dual-stack
    dual stack
Label Gives Service Away
    [Tags]    lifecycle    labels
    proxy name label
Label Makes Service Headless
    [Tags]    lifecycle    labels
    headless label
Changing Types
    [Tags]    lifecycle
    type change
Terminating Backend
    [Tags]    lifecycle
    terminating
UDP Flows Over Changes
    [Tags]    lifecycle    udp
    udp flows
Affinity Time Limit
    [Tags]    lifecycle    affinity
    affinity timeout
Bandwidth Between Nodes
    [Tags]    bandwidth    slow
    [Template]    Bandwidth Should Be
    80M    20M

Upstream Conformance Tests
    [Tags]    conformance    slow
    [Template]    NONE
    Skip If    not $E2E_TEST    E2E_TEST names no e2e.test.
    Run Conformance Tests    e2e_test=${E2E_TEST}
