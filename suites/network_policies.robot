*** Settings ***
Documentation       The truth table of NetworkPolicies: every pod connects to every pod at every port, and exactly the
...                 connections that the policies allow must succeed.
...
...                 *Topology*: three namespaces, x, y and z, with three pods each, a, b and c, spread over the nodes;
...                 policies in x. Or your own pods and policies.
...                 *Traffic*: one connection or datagram for each sender, receiver, port (8080 and 8081), protocol (TCP
...                 and UDP) and family, all at once; for your own pods, at the ports that they declare.
...                 *Passes when*: exactly the connections that the policies allow succeed. Wrong ones may become right
...                 within 5 s. The number in a row says how many of 324 connections its policies deny.
...                 *Skipped when*: policies are not enforced; AdminNetworkPolicies are not served; none of your own
...                 namespaces is named, or no e2e.test is.
...                 *Variables*: POLICY_MANIFESTS, POLICY_IMAGE, POLICY_NAMESPACES, POLICY_PORTS, POLICY_PROBERS, and
...                 those of common.resource.
...                 Example: robot -d results -v POLICY_NAMESPACES:shop suites/network_policies.robot

Resource            NetLibrary/resources/network_policies.resource

Suite Setup         Nine Pods Are Ready
Suite Teardown      Delete Everything This Run Created
Test Setup          Nine Pods Are There
Test Teardown       Policies Are Removed

Test Tags           policy


*** Test Cases ***
Without Policies Everything Is Open
    The Table Should Be Right    0

Nobody Gets In
    Policies Should Hold    deny_ingress    96

Nobody Gets Out
    [Tags]    slow
    Policies Should Hold    deny_egress    96

A Namespace Is Alone
    [Tags]    slow
    Policies Should Hold    deny_all    168

From A Pod Of The Same Namespace
    [Tags]    slow
    Policies Should Hold    from_pod    28

From Another Namespace
    [Tags]    slow
    Policies Should Hold    from_namespace    20

From A Pod Of Another Namespace
    Policies Should Hold    from_pod_in_namespace    28

From A Pod Or From A Namespace
    [Tags]    slow
    Policies Should Hold    from_pod_or_namespace    16

Selectors With Expressions
    [Tags]    slow
    Policies Should Hold    expressions    40

At One Port
    [Tags]    slow
    Policies Should Hold    one_port    24

At A Named Port
    Policies Should Hold    named_port    24

To A Named Port
    [Tags]    slow
    Policies Should Hold    named_port_egress    24

At A Range Of Ports
    [Tags]    slow
    Policies Should Hold    port_range    16

Over One Protocol
    [Tags]    slow
    Policies Should Hold    one_protocol    16

A Policy About SCTP Alone Isolates
    [Tags]    slow
    Policies Should Hold    only_sctp    32

To Another Namespace
    [Tags]    slow
    Policies Should Hold    to_namespace    20

Directions Are Independent
    [Tags]    slow
    Policies Should Hold    both_directions    32

Policies Add Up
    Policies Should Hold    rules_add_up    26

What One Policy Allows No Other Denies
    [Tags]    slow
    Policies Should Hold    allow_all    0

From All Addresses But One
    ${pod}    Get Object    Pod    b    ${SPACES}[1]
    Policy Leaves Out Addresses Of    ${pod}
    The Table Should Be Right    4

A Changed Policy Takes Effect
    [Tags]    slow
    Policies Should Hold    from_namespace    20
    Policies Should Hold    from_namespace_z    29

A New Label Of A Namespace Takes Effect
    [Tags]    slow
    Policies Should Hold    from_labelled_namespace    32
    Label Object    Namespace    ${SPACES}[2]    may-enter=yes
    The Table Should Be Right    20
    [Teardown]    Policies And A Label Are As Before    Namespace    ${SPACES}[2]    ${None}    may-enter=

A New Label Of A Pod Takes Effect
    [Tags]    slow
    Policies Should Hold    from_pod    28
    Label Object    Pod    c    ${SPACES}[0]    pod=b
    The Table Should Be Right    24
    [Teardown]    Policies And A Label Are As Before    Pod    c    ${SPACES}[0]    pod=c

A Removed Policy Stops
    [Tags]    slow
    Policies Should Hold    deny_all    168
    Policies Are Removed
    The Table Should Be Right    0

Upstream's Own Tests Pass
    [Tags]    conformance    slow
    Skip If    not $E2E_TEST    E2E_TEST names no e2e.test.
    Run Conformance Tests    e2e_test=${E2E_TEST}    focus=\\[sig-network\\] Netpol    skip=SCTPConnectivity

The Policies Of My Own Namespaces
    [Documentation]    Needs no other row's pods, so it also runs for an account that may not create namespaces.
    [Tags]    own
    [Setup]    NONE
    Skip If    not $POLICY_NAMESPACES    POLICY_NAMESPACES names no namespace.
    Network Policies Should Be Enforced    @{{ [n.strip() for n in $POLICY_NAMESPACES.split(',')] }}
    ...    ports=${POLICY_PORTS}    probers=${POLICY_PROBERS}    image=${POLICY_IMAGE}    timeout=${READY_TIMEOUT}
    [Teardown]    NONE
