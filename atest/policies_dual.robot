*** Settings ***
Documentation       NetworkPolicies and Services where pods have addresses of both families: silent when all is well,
...                 and a fault of one family alone is told as such.

Library             Collections
Library             kinds.py
Library             NetLibrary

Suite Setup         Six Pods With Two Families
Suite Teardown      Everything Is Removed

Test Tags           policy    slow


*** Variables ***
${POLICIES}         ${CURDIR}/../manifests/network_policies
${FORWARD}          inet netlibrary_policy forward
# To a lab that is up already.
${DUAL_LAB}         ${EMPTY}


*** Test Cases ***
The Rows Of The Suite Hold In Both Families
    Suite Should Pass    network_policies

Policies That Hold Over One Family Alone
    [Template]    The Other Family Is Named
    # ACCEPTED                FAMILY
    meta nfproto ipv6         IPv6
    meta nfproto ipv4         IPv4

An Exception That Holds Over One Family Alone
    Everybody But One Pod Is Let In
    # So that policies as such are seen to hold over IPv6
    Apply Manifest    ${POLICIES}/deny_ingress.yaml    namespace=${SPACES}[1]    cluster=dual
    Table Should Be Right
    On Every Node    nft insert rule ${FORWARD} ip6 saddr ${OUTCAST}[1] ip6 daddr ${A}[status][podIPs][1][ip] accept
    Run Keyword And Expect Error
    ...    *Likely: over IPv6, the network ignores 'except' of ipBlock (explains 4 of 4 wrong connections).*
    ...    Table Should Be Right    settle=0s
    [Teardown]    Policies Are Gone

A Family That Does Not Reach The Other Node
    Apply Manifest    ${POLICIES}/deny_ingress.yaml    namespace=${SPACES}[0]    cluster=dual
    On Node    ${NODES}[0]    ip6tables -I FORWARD -i eth0 -p tcp -j DROP
    On Node    ${NODES}[0]    ip6tables -I FORWARD -i eth0 -p udp -j DROP
    ${error}    Run Keyword And Expect Error    *wrong*    Table Should Be Right    settle=0s
    Should Contain
    ...    ${error}
    ...    Likely: over IPv6, whatever the policies say, nothing gets from node ${NODES}[1] to node ${NODES}[0]
    [Teardown]    Run Keywords    Policies Are Gone
    ...    AND    On Node    ${NODES}[0]    ip6tables -D FORWARD -i eth0 -p tcp -j DROP
    ...    AND    On Node    ${NODES}[0]    ip6tables -D FORWARD -i eth0 -p udp -j DROP

A Service Is As Open As The Pods Behind It
    [Documentation]    A policy for egress is about pods, whatever Service leads to them, in both families.
    Apply Manifest    ${CURDIR}/policies_dual.yaml    namespace=${SPACES}[0]    cluster=dual
    FOR    ${family}    IN    ipv4    ipv6
        Connection Should Succeed    open    80    ${CLIENT}    family=${family}    cluster=dual
        Connection Should Be Blocked    shut    80    ${CLIENT}    family=${family}    cluster=dual
    END
    ${seen}    Services Of Namespace Should Be Right    ${SPACES}[0]    sources=pod=b    cluster=dual
    Should Be True    ${seen}[denied] > 0
    # The same policy, when the network keeps to it in one family alone
    On Every Node    nft insert rule ${FORWARD} meta nfproto ipv6 accept
    Run Keyword And Expect Error    From * expected blocked*the network does not block it.*
    ...    Connection Should Be Blocked    shut    80    ${CLIENT}    family=ipv6    settle=0s    cluster=dual
    Run Keyword And Expect Error    *Service 'shut'*
    ...    Services Of Namespace Should Be Right    ${SPACES}[0]    sources=pod=b    settle=1 s    cluster=dual
    [Teardown]    Policies Are Gone

Silence That Shows Nothing Is An Error
    [Documentation]    It passed for the work of a policy.
    Apply Manifest    ${CURDIR}/policies_dual.yaml    namespace=${SPACES}[0]    only=svc/open    cluster=dual
    Run Keyword And Expect Error    *port is 81/TCP; Service 'open' has 80/TCP.*
    ...    Connection Should Be Blocked    open    81    ${CLIENT}    by=any    settle=0s    cluster=dual
    Patch Object    Service    open    ${SPACES}[0]    patch={'spec': {'selector': {'pod': 'none'}}}    cluster=dual
    Run Keyword And Expect Error    *Service 'open' has no ready pod behind it*
    ...    Connection Should Be Blocked    open    80    ${CLIENT}    by=any    settle=1s    cluster=dual


*** Keywords ***
Six Pods With Two Families
    [Documentation]    Three pods in each of two namespaces of a lab with two nodes.
    IF    not $DUAL_LAB
        Start Lab Of Kind    --nodes 2 --ip-family dual
    ELSE
        Use Lab    ${DUAL_LAB}
    END
    ${kubeconfig}    Get Kubeconfig Of Lab
    Connect To Cluster    alias=dual    kubeconfig=${kubeconfig}
    ${id}    Get Run Id
    VAR    @{pods}    a    b    c
    VAR    @{SPACES}    dual-${id}-x    dual-${id}-y    scope=SUITE
    Build Policy Pods    @{SPACES}    pods=${pods}    cluster=dual
    VAR    ${CLIENT}    ${SPACES}[0]/pod=b    scope=SUITE
    ${nodes}    Get Schedulable Nodes    cluster=dual
    VAR    @{NODES}    @{nodes}    scope=SUITE
    ${a}    Get Object    Pod    a    ${SPACES}[0]    cluster=dual
    VAR    ${A}    ${a}    scope=SUITE
    ${pod}    Get Object    Pod    b    ${SPACES}[1]    cluster=dual
    VAR    @{OUTCAST}    @{{ [each['ip'] for each in $pod['status']['podIPs']] }}    scope=SUITE

Everything Is Removed
    [Documentation]    Removes what the run made, then the lab if the suite started it.
    Delete Everything This Run Created
    IF    not $DUAL_LAB    Stop Lab

Table Should Be Right
    [Documentation]    Judges the table of the six pods.
    [Arguments]    &{options}
    ${table}    Network Policies Should Be Enforced    @{SPACES}    cluster=dual    &{options}
    RETURN    ${table}

The Other Family Is Named
    [Documentation]    Lets one family through on all nodes, and expects the words.
    [Arguments]    ${accepted}    ${family}
    Apply Manifest    ${POLICIES}/deny_ingress.yaml    namespace=${SPACES}[0]    cluster=dual
    Table Should Be Right
    On Every Node    nft insert rule ${FORWARD} ${accepted} accept
    Run Keyword And Expect Error    *Likely: policies are not enforced over ${family} (explains *
    ...    Table Should Be Right    settle=0s
    Policies Are Gone

Everybody But One Pod Is Let In
    [Documentation]    Pod a of the first namespace is for all addresses but those of one pod.
    VAR    @{peers}    @{EMPTY}
    FOR    ${address}    IN    @{OUTCAST}
        VAR    ${all}    ${{ '::/0' if ':' in $address else '0.0.0.0/0' }}
        VAR    ${one}    ${{ $address + ('/128' if ':' in $address else '/32') }}
        Append To List    ${peers}    ${{ {'ipBlock': {'cidr': $all, 'except': [$one]}} }}
    END
    Apply Manifest    ${POLICIES}/ip_block.yaml    namespace=${SPACES}[0]    cluster=dual
    VAR    ${patch}    ${{ {'spec': {'ingress': [{'from': $peers}]}} }}
    Patch Object    NetworkPolicy    ip-block    ${SPACES}[0]    patch=${patch}    cluster=dual

Policies Are Gone
    [Documentation]    Removes the policies of a test, and with them the rules that were put beside theirs.
    FOR    ${space}    IN    @{SPACES}
        ${policies}    Get Objects    NetworkPolicy    ${space}    cluster=dual
        FOR    ${policy}    IN    @{policies}
            Delete Object    NetworkPolicy    ${policy}[metadata][name]    ${space}    cluster=dual
        END
    END

On Every Node
    [Documentation]    Runs a line of shell in the network of each node of the lab.
    [Arguments]    ${line}
    FOR    ${node}    IN    @{NODES}
        On Node    ${node}    ${line}
    END
