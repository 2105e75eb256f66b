*** Settings ***
Documentation     What a reload of the cluster's network costs: how long, on which path, of what kind.
...
...               *Topology*: a measuring pod, an echo pod on the same node and one on another node behind a Service
...               of type LoadBalancer, echo servers on the addresses of both nodes, and a place outside the cluster.
...               *Traffic*: on every path at once, ICMP and UDP echo and requests over a kept TCP connection each
...               10 ms, new TCP connections each 40 ms, DNS questions each 50 ms.
...               *Passes when*: no outage is longer, and no more connections break, than the row allows; and a
...               disturbance that must show does show.
...
...               Rows that need the lab (-v CLUSTER:lab) are skipped elsewhere; rows that disturb a cluster that is
...               no lab need -v ALLOW_DISRUPTION:True. Variables: BASELINE, SETTLE, RECOVERY, REPEATS, BASELINE_FILE,
...               TOLERANCE, PROBE_IMAGE, PROBE_CPU, HOST_ENDPOINTS, HOST_PORT, SERVICE_TYPE, OUTSIDE_ADDRESS,
...               OUTSIDE_PORT, IPV6, ECHO_SIZE, IPERF_BITRATE, BREAK_NAMESPACE, COMMAND. For instance, a CNI's own
...               reload tool:
...               robot -d results -v ALLOW_DISRUPTION:True -v "COMMAND:kubectl ko reload" -t "User*"
...               suites/network_break.robot

Resource          NetLibrary/resources/network_break.resource

Suite Setup       Break Endpoints Are Ready
Suite Teardown    Delete Everything This Run Created
Test Template     Measure Break While

Test Tags         break


*** Test Cases ***
Quiet Network Has No Outage
    # DISTURBANCE    PATHS    LIMITS
    Nothing Happens
    ...    all
    ...    longest_outage=0 s    lost_connections=0    failed_connections=0
Kube-Proxy Restart Breaks Nothing
    [Tags]    disruptive
    Kube-Proxy Restarts On All Nodes
    ...    pod on other node, service, node port, node port from outside, load balancer from outside, dns
    ...    longest_outage=200 ms    lost_connections=0    resets=0
CNI Configuration Reload Breaks Nothing
    [Tags]    disruptive
    CNI Configuration Is Reloaded On All Nodes
    ...    pod on same node, pod on other node, own gateway, service, outside address
    ...    longest_outage=0 s    lost_connections=0
DNS Rollout Leaves Names Resolvable
    [Tags]    disruptive
    CoreDNS Is Rolled Out
    ...    dns, service, pod on other node
    ...    longest_outage=2 s    lost_connections=0
Container Runtime Restart Breaks Nothing
    [Tags]    disruptive
    Container Runtime Restarts On Both Nodes
    ...    pod on same node, pod on other node, service, own node
    ...    longest_outage=0 s    lost_connections=0
Kubelet Restart Breaks Nothing
    [Tags]    disruptive
    Kubelet Restarts On Both Nodes
    ...    pod on same node, pod on other node, service
    ...    longest_outage=0 s    lost_connections=0
Link Flap Stays Within Its Time
    [Tags]    disruptive
    Link Of Far Node Flaps
    ...    all
    ...    at_least=900 ms    longest_outage=4 s    lost_connections=0
    ...    unaffected=['pod on same node', 'own node', 'own gateway']
Flushed Rules Come Back
    [Documentation]    Only new connections miss the rules: those that are up are translated by connection tracking.
    [Tags]    disruptive
    Service Rules Of Source Node Are Flushed
    ...    service, pod on other node, pod on same node
    ...    at_least=900 ms    longest_outage=15 s    lost_connections=0    resets=0
    ...    unaffected=['pod on same node', 'pod on other node']
Node Loss Spares Other Paths
    [Documentation]    The far pod gets a new address when its node is back; only its Service leads to it then.
    [Tags]    disruptive
    Far Node Is Lost And Comes Back
    ...    pod on same node, own node, own gateway, other node, service
    ...    at_least=2 s    longest_outage=40 s    unaffected=['pod on same node', 'own node', 'own gateway']
User Command Keeps Connections
    [Tags]    disruptive
    [Setup]    Skip If    not $COMMAND    Skipped: -v COMMAND:… names no command that reloads the network.
    User Command Runs
    ...    all
    ...    lost_connections=0    resets=0
