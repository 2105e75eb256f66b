*** Settings ***
Documentation       The Service matrix where it is given nonsense, or something happens to it while it probes.
...
...                 *Topology*: one Service matrix on the cluster; a second connection with few rights.
...                 *Traffic*: single rows of the matrix.
...                 *Passes when*: each message names what is wrong and what is allowed, and an accident to one pod
...                 leaves all other cells of the table as they were.

Library             Collections
Library             NetLibrary    timeout=60s
Library             cluster/accounts.py
Library             matrix/accidents.py

Suite Setup         Connect To Cluster
Suite Teardown      Delete Service Matrix

Test Tags           matrix


*** Variables ***
${BUILT}        ${False}
${NAMESPACE}    ${EMPTY}


*** Test Cases ***
Row Without A Matrix Says What To Do First
    Run Keyword And Expect Error    There is no Service matrix; use 'Build Service Matrix' first.
    ...    Service Matrix Case Should Be Right    cluster ip

Selector That Matches Nothing Is Refused
    Run Keyword And Expect Error
    ...    No node can take a pod of the matrix: no node has the labels 'pool=none'.
    ...    Build Service Matrix    node_labels=pool=none

Selector That Is None Is Refused
    Run Keyword And Expect Error    The selector 'pool' in 'node_labels' is not made of key=value terms.
    ...    Build Service Matrix    node_labels=pool

Unknown Node Is Refused
    Run Keyword And Expect Error    The node 'node99' in 'nodes' does not exist; there are *.
    ...    Build Service Matrix    nodes=${{['node99']}}

Time Limit Out Of Range Is Refused
    Run Keyword And Expect Error    'silence' is 0.05 s; allowed: 0.2 s to 60 s.
    ...    Build Service Matrix    silence=50 ms

Account With Few Rights Is Told What It May Not
    ${namespace}    Create Namespace    matrix-few-rights
    Apply Manifest    ${CURDIR}/cluster/account.yaml    namespace=${namespace}
    ...    RoleBinding.subjects.0.namespace=${namespace}
    ${kubeconfig}    Make Kubeconfig Of Account    onlooker    ${namespace}
    Connect To Cluster    alias=onlooker    kubeconfig=${kubeconfig}
    Run Keyword And Expect Error    Cluster 'onlooker' answered GET /api/v1/nodes with 403 Forbidden: *onlooker*
    ...    Build Service Matrix    cluster=onlooker
    [Teardown]    Delete Namespace    ${namespace}

Unknown Case Lists The Known Ones
    [Setup]    Matrix Is Built
    Run Keyword And Expect Error    *'teleport' *
    ...    Service Matrix Case Should Be Right    ${{ 'teleport' }}

Row May Override What Is Expected
    [Setup]    Matrix Is Built
    Run Keyword And Expect Error    Service without endpoints: * of * cells are wrong.*
    ...    Service Matrix Case Should Be Right    no endpoints    expect=connected    settle=0 s
    Forget Service Matrix Results

Name Outside The Cluster That Leads Nowhere Is Told
    [Setup]    Matrix Is Built
    Run Keyword And Expect Error
    ...    *The name 'nowhere.invalid' outside the cluster does not resolve, while DNS answers for*own names*
    ...    Service Matrix Case Should Be Right    outside name    settle=0 s
    Forget Service Matrix Results

Bandwidth Limit Of A Pod Is Kept And A Rate That Nobody Reaches Is Named
    [Tags]    slow
    [Setup]    Matrix Is Built
    ${rates}    Bandwidth Between Pods Should Be    pod_limit=50M
    Should Be True    10e6 < $rates[0]['bits_per_second'] < 60e6    ${rates}
    Run Keyword And Expect Error
    ...    Bandwidth between pods is too low: on-node2 to on-node1: * is below 900 Gbit/s.*
    ...    Bandwidth Between Pods Should Be    at_least=900G    duration=100 ms
    ${pods}    Get Objects    Pod
    Should Be Empty    ${{[p for p in $pods if p['metadata']['name'] == 'limited']}}

Pod That Hangs By A Keyword Is Named
    [Setup]    Matrix Is Built
    Service Matrix Case Should Be Right    cluster ip
    Break Pod    ${NAMESPACE}    on-node2    hangs
    Run Keyword And Expect Error
    ...    *Pod 'on-node2' does not answer to anybody: * the server hangs.*It began after other rows, which were right:*
    ...    Service Matrix Case Should Be Right    pod ip    settle=0 s
    Restore All Faults
    Forget Service Matrix Results
    Service Matrix Case Should Be Right    pod ip
    [Teardown]    Restore All Faults

Pod That Restarts Between Two Rows Is Probed Again
    [Setup]    Matrix Is Built
    Restart Server Of Pod    on-node2
    ${seen}    Probe Service Matrix    pod ip    cluster ip    settle=10 s
    Should Be Equal As Integers    ${seen}[wrong]    0
    ${cells}    Get Service Matrix Cells    pod ip
    Should Not Be Empty    ${{[c for c in $cells if c['source'] == 'on-node2' and c['right']]}}

Pod That Vanishes Keeps Its Row And Column And Nothing Else Is Wrong
    [Setup]    Matrix Is Built
    Forget Service Matrix Results
    Delete Pod At Once    on-node2
    ${text}    Run Keyword And Expect Error    Pods by their own addresses: *
    ...    Service Matrix Case Should Be Right    pod ip    settle=0 s
    Should Contain    ${text}    Pod 'on-node2' no longer exists
    ${cells}    Get Service Matrix Cells    pod ip
    VAR    ${of_it}    ${{[c for c in $cells if 'on-node2' in (c['source'], c['target'])]}}
    VAR    ${others}    ${{[c for c in $cells if 'on-node2' not in (c['source'], c['target'])]}}
    Should Be True    all(not c['right'] for c in $of_it)    Cells of a pod that is gone are right: ${of_it}
    Should Be True    all(c['right'] for c in $others)    Cells of other pods are wrong: ${others}
    Should Be Equal As Integers    ${{len($cells)}}    72
    [Teardown]    Delete Service Matrix

Image Without A Shell Can Be A Target And Says So
    [Tags]    slow
    ${image}    Image Without Shell
    Build Service Matrix    image=${image}    host_network=False
    Run Keyword And Expect Error    *the image of 'on-node*' has no shell (sh), so it can only be a target*
    ...    Service Matrix Case Should Be Right    node port    settle=0 s
    ${cells}    Get Service Matrix Cells    node port
    VAR    ${outside}    ${{[c for c in $cells if c['source'] == 'outside']}}
    Should Be True    $outside and all(c['right'] for c in $outside)    The outside does not reach it: ${outside}
    [Teardown]    Delete Service Matrix

Two Runs At Once Do Not Disturb Each Other
    [Tags]    slow
    ${results}    Run Suite Twice At Once    ClusterIP    NodePort At Every Node    External IPs
    ...    LoadBalancer From Inside    Host Network Backends
    FOR    ${result}    IN    @{results}
        Should Be Equal As Integers    ${result}[0]    0    ${result}[1]
    END
    ${left}    Get Objects    Namespace    labels=netlibrary.io/run
    Should Be Empty    ${{[n['metadata']['name'] for n in $left if not n['metadata'].get('deletionTimestamp')]}}


*** Keywords ***
Matrix Is Built
    [Documentation]    Makes a matrix once for the tests that need one.
    IF    ${BUILT}    RETURN
    ${facts}    Build Service Matrix    external_name=nowhere.invalid
    VAR    ${NAMESPACE}    ${facts}[namespace]    scope=SUITE
    VAR    ${BUILT}    ${True}    scope=SUITE
