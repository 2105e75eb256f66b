*** Settings ***
Documentation     What a reload of the cluster's network costs: how long each path breaks, and in which way.
...
...               *Topology*: a measuring pod, an echo pod on the same node and one on another node behind a Service
...               of type LoadBalancer, echo servers on the addresses of both nodes, and a place outside the cluster.
...               *Traffic*: on every path at once, ICMP and UDP echo, requests over a kept TCP connection and new TCP
...               connections every 10 ms, and DNS queries every 50 ms.
...               *Passes when*: no outage is longer, and no more connections break, than the row allows; and a
...               disturbance that must be visible is visible.
...
...               *Skipped when*: there are fewer than two schedulable nodes, for all rows;
...               a row needs the lab (-v CLUSTER:lab) and the cluster is not one; a row disturbs a
...               cluster that is not a lab and -v ALLOW_DISRUPTION:True is not given; the cluster lacks a path that
...               the row names, or the daemon that it restarts.
...
...               *Variables*: those of resources/common.resource, and OUTAGE_COMMAND,
...               OUTAGE_COMMAND_TIMEOUT, OUTAGE_LIMITS, OUTAGE_QUIET, OUTAGE_SETTLE, OUTAGE_RECOVERY,
...               OUTAGE_ROLLOUT_TIMEOUT, OUTAGE_REPEATS,
...               OUTAGE_PROBE_IMAGE, OUTAGE_PROBE_CPU, OUTAGE_HOST_ENDPOINTS, OUTAGE_HOST_PORT, OUTAGE_SERVICE_TYPE,
...               OUTAGE_OUTSIDE_ADDRESS, OUTAGE_OUTSIDE_PORT, OUTAGE_IPV6, OUTAGE_ECHO_SIZE, OUTAGE_IPERF_BITRATE,
...               OUTAGE_IPERF_PROTOCOLS, OUTAGE_CONNECTIONS, OUTAGE_SOURCES, OUTAGE_TARGETS, OUTAGE_PLUGIN,
...               OUTAGE_PLUGIN_DEVICE, OUTAGE_SERVICE_PROXY, OUTAGE_LOAD_BALANCER, OUTAGE_DNS,
...               OUTAGE_DRAIN_EMPTYDIR; see docs/network_break.md. Example with a CNI's own reload tool:
...               robot -d results -v ALLOW_DISRUPTION:True -v "OUTAGE_COMMAND:kubectl ko reload" -t "User*"
...               suites/network_break.robot

Resource          NetLibrary/resources/network_break.resource

Suite Setup       Outage Endpoints Are Ready
Suite Teardown    Delete Everything This Run Created
Test Setup        Row May Run
Test Template     Measure Outages While

Test Tags         break


*** Test Cases ***
Quiet Network Has No Outage
    # DISTURBANCE    PATHS    LIMITS
    Nothing Happens
    ...    all
    ...    longest_outage_at_most=0 s    lost_connections_at_most=0    failed_connections_at_most=0
Kube-Proxy Restart Breaks Nothing
    [Tags]    disruptive    needs-lab
    Kube-Proxy Restarts On All Nodes
    ...    pod on other node, service, node port, dns
    ...    optional=node port from outside, load balancer from outside
    ...    longest_outage_at_most=200 ms    lost_connections_at_most=0    resets_at_most=0
CNI Configuration Reload Breaks Nothing
    [Tags]    disruptive    needs-lab
    CNI Configuration Is Reloaded On All Nodes
    ...    pod on same node, pod on other node, own gateway, service
    ...    optional=outside address
    ...    longest_outage_at_most=0 s    lost_connections_at_most=0
Kube-Proxy Rollout Breaks Nothing
    [Documentation]    As above, for clusters where kube-proxy is a DaemonSet, as in most.
    [Tags]    disruptive
    [Setup]    Row May Restart    service proxy    ${OUTAGE_SERVICE_PROXY}
    Network Workload Is Rolled Out
    ...    all
    ...    longest_outage_at_most=500 ms    lost_connections_at_most=0
Network Plugin Rollout Breaks Nothing
    [Documentation]    The daemons are replaced one after the other; what they have programmed stays in place meanwhile.
    [Tags]    disruptive
    [Setup]    Row May Restart    plugin    ${OUTAGE_PLUGIN}
    Network Workload Is Rolled Out
    ...    all
    ...    longest_outage_at_most=500 ms    lost_connections_at_most=0
Network Plugin Restart Breaks Nothing
    [Documentation]    All daemons end at once, as in a careless upgrade.
    [Tags]    disruptive
    [Setup]    Row May Restart    plugin    ${OUTAGE_PLUGIN}
    Pods Of Network Workload Are Deleted
    ...    all
    ...    longest_outage_at_most=500 ms    lost_connections_at_most=0
Deleted Network Device Comes Back
    [Documentation]    The plugin's tunnel vanishes from the far node; two seconds later its daemon there is replaced.
    ...    After an outage of 6.2 s, kept connections send again only 12.6 s after it began, since Linux doubles the
    ...    time between retransmissions, beginning with 0.2 s.
    [Tags]    disruptive
    [Setup]    Row May Delete Device    ${OUTAGE_PLUGIN}    ${OUTAGE_PLUGIN_DEVICE}
    Device Of Far Node Is Deleted
    ...    all
    ...    longest_outage_at_most=15 s    lost_connections_at_most=0
    ...    unaffected=['pod on same node', 'own node', 'own gateway', 'other node']
Load Balancer Restart Keeps Its Addresses
    [Documentation]    Its speakers are replaced one after the other, so that addresses move between nodes. If another
    ...    node takes over a connection from outside, it is reset, because that node does not know it.
    [Tags]    disruptive
    [Setup]    Row May Restart    load balancer    ${OUTAGE_LOAD_BALANCER}
    Network Workload Is Rolled Out
    ...    load balancer from outside, pod on other node, service, node port from outside
    ...    longest_outage_at_most=5 s
    ...    unaffected=['pod on other node', 'service', 'node port from outside']
DNS Rollout Leaves Names Resolvable
    [Tags]    disruptive
    [Setup]    Row May Restart    dns    ${OUTAGE_DNS}
    Network Workload Is Rolled Out
    ...    dns, service, pod on other node
    ...    longest_outage_at_most=2 s    lost_connections_at_most=0
Container Runtime Restart Breaks Nothing
    [Tags]    disruptive    needs-lab
    Container Runtime Restarts On Both Nodes
    ...    pod on same node, pod on other node, service, own node
    ...    longest_outage_at_most=0 s    lost_connections_at_most=0
Kubelet Restart Breaks Nothing
    [Tags]    disruptive    needs-lab
    Kubelet Restarts On Both Nodes
    ...    pod on same node, pod on other node, service
    ...    longest_outage_at_most=0 s    lost_connections_at_most=0
Link Flap Stays Within Its Time
    [Tags]    disruptive    needs-lab
    Link Of Far Node Flaps
    ...    all
    ...    longest_outage_at_least=900 ms    longest_outage_at_most=4 s    lost_connections_at_most=0
    ...    unaffected=['pod on same node', 'own node', 'own gateway']
Flushed Rules Come Back
    [Documentation]    Only new connections miss the rules: connection tracking continues to translate established ones.
    [Tags]    disruptive    needs-lab
    Service Rules Of Source Node Are Flushed
    ...    service, pod on other node, pod on same node
    ...    longest_outage_at_least=900 ms    longest_outage_at_most=15 s
    ...    lost_connections_at_most=0    resets_at_most=0
    ...    unaffected=['pod on same node', 'pod on other node']
Node Drain Keeps Services
    [Documentation]    Pods that can run elsewhere leave the far node: the network keeps working, and a Service with two
    ...    servers, one of them there, loses no new connection.
    [Tags]    disruptive
    [Setup]    Row May Drain
    Far Node Is Drained
    ...    pod on same node, pod on other node, own node, other node, own gateway, service, node port
    ...    targets=tcp://pair:7007
    ...    optional=node port from outside, load balancer from outside
    ...    longest_outage_at_most=1 s    lost_connections_at_most=0    failed_connections_at_most=0
    ...    unaffected=['pod on same node', 'pod on other node', 'own node', 'other node', 'own gateway']
Node Loss Spares Other Paths
    [Documentation]    The far pod gets a new address when its node is back; only its Service leads to it then.
    [Tags]    disruptive    needs-lab
    Far Node Is Lost And Comes Back
    ...    pod on same node, own node, own gateway, other node, service
    ...    longest_outage_at_least=2 s    longest_outage_at_most=60 s
    ...    unaffected=['pod on same node', 'own node', 'own gateway']
User Command Keeps Connections
    [Tags]    disruptive
    [Setup]    User Command Is Given
    User Command Runs
    ...    all
    ...    longest_outage_at_most=1 s    lost_connections_at_most=0    resets_at_most=0
