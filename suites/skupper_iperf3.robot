*** Settings ***
Documentation       iperf3 over a Skupper attached connector.
...
...                 *Topology*: an iperf3 server in namespace "workload", which has no Site; a Site in "hub" to which it
...                 is attached; a Site in "client" with a listener, linked to the hub by a token.
...                 *Traffic*: an iperf3 Job in "client" to the listener's Service, TCP.
...                 *Passes when*: the receiver gets at least the rate of the row; the attached connector carries its
...                 share of the direct path's rate; and without the binding the traffic is refused.
...
...                 Variables: BANDWIDTH, DURATION, NAMESPACE_PREFIX, HUB_NAMESPACE, CLIENT_NAMESPACE,
...                 WORKLOAD_NAMESPACE, HUB_KUBECONFIG, CLIENT_KUBECONFIG, WORKLOAD_KUBECONFIG, SKUPPER_LINK_ACCESS,
...                 IPERF3_IMAGE, READY_TIMEOUT, SKIP_TEARDOWN. For instance:
...                 robot -d results -v BANDWIDTH:100M -v DURATION:10s suites/skupper_iperf3.robot

Resource            NetLibrary/resources/skupper.resource

Suite Setup         Skupper Network Is Available
Suite Teardown      Nothing Of This Run Should Stay

Test Tags           skupper    iperf3


*** Variables ***
# 0 sends as fast as it goes
${BANDWIDTH}    0
${DURATION}     1 s


*** Test Cases ***
Traffic Crosses Attached Connector
    [Template]    Measure Through Attached Connector
    # ROW       DURATION       BANDWIDTH       AT LEAST
    attached    ${DURATION}    ${BANDWIDTH}    1M

Attached Connector Carries Its Share Of Direct Path
    [Template]    Measure Direct Path And Compare
    # ROW     DURATION       BANDWIDTH       AT LEAST    LEAST SHARE
    direct    ${DURATION}    ${BANDWIDTH}    1M          1 %

Traffic Is Refused Without Binding
    [Template]    Refuse Traffic Without Binding
    # ROW
    unbound
