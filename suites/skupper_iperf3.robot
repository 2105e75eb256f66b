*** Settings ***
Documentation       iperf3 over a Skupper attached connector.
...
...                 *Topology*: an iperf3 server in namespace "workload", which has no Site; a Site in "hub" to which it
...                 is attached; a Site in "client" with a listener, linked to the hub by a token.
...                 *Traffic*: an iperf3 Job in "client" to the listener's Service, TCP.
...                 *Passes when*: the receiver gets at least the rate of the row; the attached connector carries its
...                 share of the direct path's rate; and without the binding the traffic is refused.
...
...                 *Skipped when*: link access is a load balancer and nothing assigns one; no direct path leads from
...                 the client's cluster to the server (row "direct").
...
...                 *Variables*: SKUPPER_BANDWIDTH, SKUPPER_DURATION, SKUPPER_HUB_KUBECONFIG, SKUPPER_CLIENT_KUBECONFIG,
...                 SKUPPER_WORKLOAD_KUBECONFIG, SKUPPER_HUB_NAMESPACE, SKUPPER_CLIENT_NAMESPACE,
...                 SKUPPER_WORKLOAD_NAMESPACE, SKUPPER_LINK_ACCESS, SKUPPER_IPERF3_IMAGE, and those of common.resource.
...                 Example:
...                 robot -d results -v SKUPPER_BANDWIDTH:100M -v SKUPPER_DURATION:10s suites/skupper_iperf3.robot

Resource            NetLibrary/resources/skupper.resource

Suite Setup         Skupper Network Is Available
Suite Teardown      Nothing Of This Run Should Stay

Test Tags           skupper    iperf3


*** Variables ***
# 0 means unlimited
${SKUPPER_BANDWIDTH}    0
${SKUPPER_DURATION}     1 s


*** Test Cases ***
Traffic Crosses Attached Connector
    [Template]    Measure Through Attached Connector
    # ROW       DURATION               BANDWIDTH               AT LEAST
    attached    ${SKUPPER_DURATION}    ${SKUPPER_BANDWIDTH}    1M

Attached Connector Carries Its Share Of Direct Path
    [Template]    Measure Direct Path And Compare
    # ROW     DURATION               BANDWIDTH               AT LEAST    LEAST SHARE
    direct    ${SKUPPER_DURATION}    ${SKUPPER_BANDWIDTH}    1M          1 %

Traffic Is Refused Without Binding
    [Template]    Refuse Traffic Without Binding
    # ROW
    unbound
