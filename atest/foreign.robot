*** Settings ***
Documentation       Suites on clusters unlike the usual lab must neither fail nor accuse: each row is a healthy cluster.
...
...                 One row with everything unusual at once is quick; the others take minutes: tox -e foreign.

Library             kinds.py

Test Teardown       Stop Lab
Test Template       Suites Pass On Lab

Test Tags           foreign


*** Test Cases ***
Everything Unusual At Once
    [Documentation]    IPv6 first, another domain, host names unlike node names, no load balancer.
    [Template]    NONE
    VAR    ${names}    --cluster-domain corp.example --host-names ip-10-0-0-
    Start Lab Of Kind    --nodes 2 --ip-family dual-ipv6-first --no-load-balancer ${names}
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application    -t    Clients*    -t    Every*    -t    Names*
    Suite Should Pass    service_matrix    --include    pod-ip    --include    dns
    Suite Should Pass    throughput    -t    Pod On Another Node
    Suite Should Pass    network_policies    -t    Nobody Gets In
    Suite Should Pass    network_break    -t    Quiet*
    Suite Should Pass    e2sar    -t    Events Arrive By Pod Address
    Suite Should Pass    cyperf    -t    HTTP By Cluster IP
    Rows Should Be Skipped    skupper_iperf3    SKUPPER_LINK_ACCESS chooses another type    -t    Traffic Crosses*
    Suite Should Pass In A Closed Namespace    cluster_health

Nodes That Are Others Beside
    [Documentation]    A Windows node, an arm64 node and a virtual one, none with a kubelet; all but the Windows node
    ...    keep pods away by a taint.
    [Tags]    slow
    [Template]    NONE
    Start Lab Of Kind    --nodes 2
    Add Node Object    win1    windows
    Add Node Object    arm1    linux    dedicated=arm64:NoSchedule    arch=arm64
    Add Node Object    virtual1    linux    virtual-kubelet.io/provider=azure:NoSchedule
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application
    Suite Should Pass    service_matrix    --include    pod-ip    --include    node-port
    Suite Should Pass    throughput    -t    Pod*
    Suite Should Pass    e2sar    --include    smoke

A Node That Is Not Ready, A Cordoned And A Tainted One
    [Documentation]    They are left out and named; the row about nodes' health fails for the one that is not ready.
    [Tags]    slow
    [Template]    NONE
    Start Lab Of Kind    --nodes 4
    Add Node Object    broken1    linux    ready=${False}
    Keep Pods Away    node3    node4
    Suite Should Fail Only In    cluster_health    Every Node Is Healthy    broken1
    Suite Should Pass    own_application
    Suite Should Pass    service_matrix    --include    pod-ip    --include    node-port
    Suite Should Pass    throughput    -t    Pod*
    Suite Should Pass    network_break    -t    Quiet*
    Suite Should Pass    e2sar    --include    smoke

Policies That Nobody Enforces
    [Documentation]    It is said, rows that need them are skipped, and nothing is accused.
    [Tags]    slow
    [Template]    NONE
    Start Lab Of Kind    --nodes 2 --network flannel
    Rows Should Be Skipped    network_policies    does not enforce
    Rows Should Be Skipped    own_application    does not enforce    --include    policy
    Rows Should Be Skipped    e2sar    not enforced    --include    policy
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application
    Suite Should Pass    service_matrix    --include    pod-ip    --include    node-port

IPv6 Only
    [Tags]    slow
    --ip-family ipv6    ${EMPTY}    network_policies

IPv6 First
    [Tags]    slow
    --ip-family dual-ipv6-first    ${EMPTY}    network_policies

One Node
    [Documentation]    Rows that need two nodes are skipped and say so; so is all of cyperf.
    [Tags]    slow
    [Template]    NONE
    Start Lab Of Kind    --nodes 1
    Rows Should Be Skipped    cyperf    free nodes for client and server agents
    Rows Should Be Skipped    network_break    Two schedulable nodes are needed    -t    Quiet*
    FOR    ${suite}    IN    cluster_health    own_application    service_matrix    throughput    skupper_iperf3
        Run Keyword And Continue On Failure    Suite Should Pass    ${suite}
    END
    Suite Should Pass    e2sar    --include    smoke

Sixteen Nodes
    [Documentation]    As many as a lab can have.
    [Tags]    slow
    [Template]    NONE
    Start Lab Of Kind    --nodes 16
    Suite Should Pass    cluster_health
    Suite Should Pass    service_matrix    --include    pod-ip    --include    dns
    Suite Should Pass    throughput    -t    Pod*
    Suite Should Pass    network_break    -t    Quiet*

Another Minor Version
    [Tags]    slow
    --kubernetes 1.34

Another Cluster Domain
    [Tags]    slow
    --cluster-domain corp.example

Host Names Unlike Node Names
    [Tags]    slow
    --host-names ip-10-0-0-

Another Range Of Node Ports
    [Tags]    slow
    --node-ports 20000-22767

Pods Held To Restricted
    [Tags]    slow
    --pod-security restricted

Closed Namespaces
    [Documentation]    Level restricted, a quota, limits, a policy that lets nobody in or out, roots that are read-only,
    ...    user ids of the cluster's choice.
    [Tags]    slow
    [Template]    NONE
    Start Lab Of Kind    --nodes 2
    FOR    ${suite}    IN    cluster_health    own_application    throughput    skupper_iperf3    service_matrix
        Run Keyword And Continue On Failure    Suite Should Pass In A Closed Namespace    ${suite}
    END
    Run Keyword And Continue On Failure    Suite Should Pass In A Closed Namespace    network_break    -t    Quiet*
    Suite Should Pass In A Closed Namespace    e2sar    --include    smoke    --include    policy

No Load Balancer
    [Documentation]    Rows that need one are skipped and say so; so is all of skupper_iperf3, whose link access is one.
    [Tags]    slow
    [Template]    NONE
    Start Lab Of Kind    --no-load-balancer
    Rows Should Be Skipped    skupper_iperf3    SKUPPER_LINK_ACCESS chooses another type    -t    Traffic*
    Rows Should Be Skipped    skupper_iperf3    grant server (skupper-grant-server); the controller's
    ...    -t    Traffic*    -v    SKUPPER_LINK_ACCESS:local
    FOR    ${suite}    IN    cluster_health    own_application    service_matrix    throughput
        Run Keyword And Continue On Failure    Suite Should Pass    ${suite}
    END
    Run Keyword And Continue On Failure    Suite Should Pass    network_break    -t    Quiet*
    Suite Should Pass    e2sar    --include    smoke

Proxy By Nftables
    [Tags]    slow
    --proxy nftables

Flannel And MetalLB
    [Tags]    slow
    --network flannel --load-balancer metallb

Flannel With Routes
    [Tags]    slow
    --network flannel-host-gw --proxy nftables

Kube-Router
    [Tags]    slow
    --network kube-router

A Network That The Lab Does Not Know
    [Documentation]    Installed by its own manifest: devices in pairs and no bridge, static routes, no policies.
    [Tags]    slow
    --network none    atest/networks/routed.yaml

Another Network That The Lab Does Not Know
    [Documentation]    Pods with one address and a gateway that nobody has, tunnels, routes in a table of their own.
    [Tags]    slow
    --network none    atest/networks/tunnelled.yaml

A Network That Serves Services Itself
    [Tags]    slow
    [Template]    NONE
    Start Lab Of Kind    --network none --proxy none --load-balancer none
    Install Network    atest/networks/tunnelled.yaml    SERVICES=yes
    Suite Should Pass    service_matrix


*** Keywords ***
Suites Pass On Lab
    [Documentation]    Starts a lab of a kind and runs the suites that disturb nothing on it.
    [Arguments]    ${options}    ${network}=${EMPTY}    @{more}
    Start Lab Of Kind    ${options}
    IF    $network    Install Network    ${network}
    API Server Should Reach Pods
    Quiet Suites Pass    @{more}

Quiet Suites Pass
    [Documentation]    Runs the suites, of some only quick rows.
    [Tags]    robot:continue-on-failure
    [Arguments]    @{more}
    VAR    @{suites}    cluster_health    own_application    service_matrix    throughput    skupper_iperf3    @{more}
    FOR    ${suite}    IN    @{suites}
        Suite Should Pass    ${suite}
    END
    Suite Should Pass    network_break    -t    Quiet*
    Suite Should Pass    e2sar    --include    smoke
