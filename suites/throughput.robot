*** Settings ***
Documentation       Throughput and latency of the paths that a cluster offers, with iperf3 and fortio.
...
...                 *Topology*: an iperf3 and a fortio server behind Services of type LoadBalancer, and one of each on
...                 the host network; the client is a Job on the same node or on another one, or this machine,
...                 depending on the path. Rows with the tag fortio start its servers.
...                 *Traffic*: TCP with one and four streams, UDP at a rate, to the server (up) and from it (down); HTTP
...                 requests over one kept connection, and over new ones.
...                 *Passes when*: the receiver gets at least the row's rate, UDP loses at most the row's share, no
...                 request fails, and new connections reach the row's number per second. Latencies are judged by
...                 THROUGHPUT_P99_AT_MOST. Each path's share of the path between pods is shown, and judged by
...                 THROUGHPUT_SHARE_AT_LEAST.
...                 *Skipped when*: the cluster lacks a path, for instance a second node or a load balancer.
...
...                 *Variables*: THROUGHPUT_DURATION, THROUGHPUT_REPEATS, THROUGHPUT_VARIATION_AT_MOST,
...                 THROUGHPUT_SERVER_NODE, THROUGHPUT_IMAGE, THROUGHPUT_FORTIO_IMAGE, THROUGHPUT_FAMILY,
...                 THROUGHPUT_SHARE_AT_LEAST, THROUGHPUT_P99_AT_MOST, and those of common.resource. Example:
...                 robot -d results -v THROUGHPUT_DURATION:10s suites/throughput.robot

Resource            NetLibrary/resources/throughput.resource

Suite Setup         Iperf3 Servers Are Started
Suite Teardown      Throughput Servers Should Be Gone
Test Template       Measure Path

Test Tags           throughput    iperf3


*** Test Cases ***
# ROW                    PATH             PROTOCOL    STREAMS    DIRECTION    BITRATE    LIMITS
Pod On The Same Node     same node        TCP         1          up           0          at_least=1M
Pod On Another Node      other node       TCP         1          up           0          at_least=1M
Host Network             host network     TCP         1          up           0          at_least=1M
Cluster IP               cluster IP       TCP         1          up           0          at_least=1M
Node Port                node port        TCP         1          up           0          at_least=1M
Load Balancer            load balancer    TCP         1          up           0          at_least=1M
From Outside             outside          TCP         1          up           0          at_least=1M
Four Streams             other node       TCP         4          up           0          at_least=1M
From Server To Client    other node       TCP         1          down         0          at_least=1M
UDP To The Server        other node       UDP         1          up           10M        lost_at_most=1 %
UDP To The Client        cluster IP       UDP         1          down         10M        lost_at_most=1 %

Paths Compared
    [Documentation]    Each path with one stream of TCP, as a share of the path from pod to pod on another node.
    [Template]    NONE
    Every Path Should Carry Its Share

Requests On The Same Node
    [Tags]    fortio    latency
    [Template]    Measure Requests
    # PATH       CONNECTIONS PER SECOND
    same node    10

Requests To Another Node
    [Tags]    fortio    latency
    [Template]    Measure Requests
    other node    10

Requests Over The Host Network
    [Tags]    fortio    latency
    [Template]    Measure Requests
    host network    10

Requests To A Cluster IP
    [Tags]    fortio    latency
    [Template]    Measure Requests
    cluster IP    10

Requests To A Node Port
    [Tags]    fortio    latency
    [Template]    Measure Requests
    node port    10

Requests To A Load Balancer
    [Tags]    fortio    latency
    [Template]    Measure Requests
    load balancer    10

Latencies Compared
    [Documentation]    Latencies of the paths, as multiples of the latency to a pod on another node.
    [Tags]    fortio    latency
    [Template]    NONE
    Skip If    'other node' not in $REQUESTS    Nothing was measured to compare with.
    Latencies Should Be Within Multiple    other node    0    &{REQUESTS}
