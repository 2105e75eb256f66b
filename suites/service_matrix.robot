*** Settings ***
Documentation       Do Services work from every node? One row for each kind of Service; a failing row names the cause.
...
...                 *Topology*: one pod and one host-network pod on each schedulable node, a client outside the cluster
...                 where there is one, and Services of every kind with these pods behind them.
...                 *Traffic*: from every source to every target of the row, TCP and UDP, new connections each; every
...                 answer names the pod that gave it and the client address that it saw.
...                 *Passes when*: each cell shows what the Services, EndpointSlices, nodes and policies of the cluster
...                 demand: connected to a right pod with the right client address, refused at once, or dropped.

Resource            ../resources/service_matrix.resource

Suite Setup         Service Matrix Is Built
Suite Teardown      Service Matrix Is Saved And Removed
Test Template       Case Should Be Right

Test Tags           matrix


*** Test Cases ***    CASE
Pod IP                              pod ip
    [Tags]    pod-ip
Large Packets                       large packets
    [Tags]    pod-ip    mtu
ClusterIP                           cluster ip
    [Tags]    cluster-ip
Hairpin                             hairpin
    [Tags]    cluster-ip    hairpin
All Pods Behind One Service         spread
    [Tags]    cluster-ip
Several Ports And Protocols         several ports
    [Tags]    cluster-ip
No Endpoints Means Refused          endless
    [Tags]    cluster-ip    endless
Unready And Published Pod           readiness
    [Tags]    cluster-ip    readiness
DNS Names                           names
    [Tags]    dns
Headless                            headless
    [Tags]    dns    headless
ExternalName                        external name
    [Tags]    dns    external-name
Host Network Backends               host backends
    [Tags]    cluster-ip    host-network
Internal Traffic Policy Local       internal local
    [Tags]    cluster-ip    traffic-policy
NodePort At Every Node              node port
    [Tags]    node-port
External Traffic Policy Local       node port local
    [Tags]    node-port    traffic-policy
Session Affinity                    affinity
    [Tags]    cluster-ip    affinity
Session Affinity On NodePorts       affinity node port
    [Tags]    node-port    affinity
External IPs                        external ip
    [Tags]    external-ip
LoadBalancer From Inside            load balancer
    [Tags]    load-balancer
LoadBalancer From Outside           load balancer outside
    [Tags]    load-balancer
Session Affinity On LoadBalancer    affinity load balancer
    [Tags]    load-balancer    affinity
Load Balancer Source Ranges         source ranges
    [Tags]    load-balancer
SCTP                                sctp
    [Tags]    sctp
Dual Stack                          dual stack
    [Tags]    dual-stack
Label Gives Service Away            proxy name label
    [Tags]    lifecycle    labels
Label Makes Service Headless        headless label
    [Tags]    lifecycle    labels
Changing Types                      type change
    [Tags]    lifecycle
Terminating Backend                 terminating
    [Tags]    lifecycle
UDP Flows Over Changes              udp flows
    [Tags]    lifecycle    udp
Affinity Time Limit                 affinity timeout
    [Tags]    lifecycle    affinity
