*** Settings ***
Documentation       The truth table of NetworkPolicies, and the Services of a namespace, on the lab.

Library             NetLibrary

Suite Setup         Four Pods
Suite Teardown      Delete Everything This Run Created    wait=False

Test Tags           policy


*** Variables ***
${DENY}     ${CURDIR}/../manifests/network_policies/deny_ingress.yaml


*** Test Cases ***
A Table Without Policies Shows Nothing
    Network Policies Should Be Enforced    @{SPACES}    denied_at_least=0
    Run Keyword And Expect Error    *the policies deny 0; expected at least 1*
    ...    Network Policies Should Be Enforced    @{SPACES}

What Policies Deny Is Kept Away
    Apply Manifest    ${DENY}    namespace=${SPACES}[0]
    ${table}    Network Policies Should Be Enforced    @{SPACES}    ports=8080,udp-8081
    Should Be Equal As Integers    ${table}[denied]    12
    [Teardown]    Delete Object    NetworkPolicy    deny-ingress    ${SPACES}[0]

An Admin Policy That Nobody Enforces Is Named
    [Documentation]    The lab serves the kind here, and enforces NetworkPolicies alone.
    Apply Manifest    ${DENY}    namespace=${SPACES}[0]
    Apply Manifest    ${CURDIR}/admin_policy_crds.yaml
    Wait Until Keyword Succeeds    10 s    0.5 s    Apply Manifest    ${CURDIR}/admin_policy.yaml
    Run Keyword And Expect Error    *Likely: AdminNetworkPolicies are served but not enforced (explains * wrong*
    ...    Network Policies Should Be Enforced    @{SPACES}    ports=8080    settle=1 s
    [Teardown]    Delete Object    CustomResourceDefinition    adminnetworkpolicies.policy.networking.k8s.io

Services Of A Namespace Are Right Until One Selects Nothing
    Apply Manifest    ${CURDIR}/own_services.yaml    namespace=${SPACES}[1]
    Services Of Namespace Should Be Right    ${SPACES}[1]    sources=netlibrary.io/policy-pod
    Patch Object    Service    web    ${SPACES}[1]    patch={"spec": {"selector": {"pod": "aa"}}}
    Run Keyword And Expect Error    *Service 'web': its selector 'pod=aa' matches no pod*Pods have the label pod=a*
    ...    Services Of Namespace Should Be Right    ${SPACES}[1]    sources=netlibrary.io/policy-pod    settle=1 s


*** Keywords ***
Four Pods
    [Documentation]    Two pods in each of two namespaces, which ask and answer.
    ${id}    Get Run Id
    VAR    @{pods}    a    b
    VAR    @{SPACES}    table-${id}-x    table-${id}-y    scope=SUITE
    Build Policy Pods    @{SPACES}    pods=${pods}
