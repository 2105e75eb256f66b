*** Settings ***
Documentation       Throughput of the paths that a cluster offers, with iperf3.
...
...                 *Topology*: one iperf3 server behind a Service of type LoadBalancer, one with its node's network;
...                 the client is a Job on the same node or on another one, as the path says.
...                 *Traffic*: TCP with one and four streams, UDP at a rate, to the server (up) and from it (down).
...                 *Passes when*: the receiver gets at least the row's rate, and UDP loses at most the row's share.
...                 Each path's share of the path from pod to pod is shown, and judged by THROUGHPUT_SHARE_AT_LEAST.
...                 *Skipped when*: the cluster lacks a path, for instance a second node or a load balancer.
...
...                 *Variables*: THROUGHPUT_DURATION, THROUGHPUT_REPEATS, THROUGHPUT_VARIATION_AT_MOST,
...                 THROUGHPUT_SERVER_NODE, THROUGHPUT_IMAGE, THROUGHPUT_FAMILY, THROUGHPUT_SHARE_AT_LEAST, and
...                 those of common.resource. For instance:
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
Four Streams             other node       TCP         4          up           0          at_least=1M
From Server To Client    other node       TCP         1          down         0          at_least=1M
UDP To The Server        other node       UDP         1          up           10M        lost_at_most=1 %
UDP To The Client        cluster IP       UDP         1          down         10M        lost_at_most=1 %

Paths Compared
    [Documentation]    Each path with one stream of TCP, as a share of the path from pod to pod on another node.
    [Template]    NONE
    Every Path Should Carry Its Share
