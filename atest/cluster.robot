*** Settings ***
Documentation       The cluster keywords on a real cluster: what they do, and what they say when it goes wrong.
...
...                 *Topology*: one namespace of this run; a second cluster connection with few rights.
...                 *Traffic*: requests to the API server, one of them through to a pod.
...                 *Passes when*: every keyword works, and each failure names what is wrong in its first line.

Library             Collections
Library             NetLibrary    timeout=60s
Library             NetLibrary.deferred.KubeLibrary    AS    KubeLibrary
Library             RequestsLibrary
Library             cluster/accounts.py

Suite Setup         Web Server And Broken Pods Are Started
Suite Teardown      Nothing Should Be Left

Test Tags           cluster


*** Variables ***
${DATA}     ${CURDIR}/cluster


*** Test Cases ***
Connection Tells The Version
    ${version}    Connect To Cluster
    Should Match Regexp    ${version}    ^v1\\.\\d+

Objects Are Read By Kind And Label
    ${pods}    Get Objects    Pod    ${NAMESPACE}    labels=app=web
    Length Should Be    ${pods}    2
    ${service}    Get Object    Service    web    ${NAMESPACE}
    Should Be Equal As Integers    ${service}[spec][ports][0][port]    80

Command In A Pod Returns What It Printed
    ${answer}    Run In Pod    shell    ${NAMESPACE}    sh    -c    echo "$1" | tr a-z A-Z    sh    two words
    Should Be Equal    ${answer}    TWO WORDS\n

Object Is Deleted And Waited For
    Delete Object    Service    web    ${NAMESPACE}    wait_until_gone=True    timeout=20s
    Run Keyword And Expect Error    There is no Service 'web' in namespace '${NAMESPACE}'*
    ...    Get Object    Service    web    ${NAMESPACE}
    Delete Object    Service    web    ${NAMESPACE}
    Apply Manifest    ${DATA}/web.yaml    namespace=${NAMESPACE}    Deployment.spec.replicas=${2}

KubeLibrary Sees The Same Cluster
    ${pods}    KubeLibrary.List Namespaced Pod By Pattern    ^web-    ${NAMESPACE}
    Length Should Be    ${pods}    2
    ${status}    KubeLibrary.Read Namespaced Pod Status    shell    ${NAMESPACE}
    Should Be Equal    ${status.phase}    Running

RequestsLibrary Reaches A Pod Through The API Server
    Share Cluster With RequestsLibrary    api
    ${ready}    GET On Session    api    /readyz
    Should Be Equal    ${ready.text}    ok
    ${pods}    Get Objects    Pod    ${NAMESPACE}    labels=app=web
    VAR    ${name}    ${pods}[0][metadata][name]
    ${answer}    GET On Session    api    /api/v1/namespaces/${NAMESPACE}/pods/${name}:8080/proxy/hostname
    Should Be Equal    ${answer.text}    ${name}

Existing Namespace Is Not Taken Over
    Run Keyword And Expect Error    The namespace '${NAMESPACE}' already exists: this run has created it before.
    ...    Create Namespace    ${NAMESPACE}

Misspelt Field Is Told
    Run Keyword And Expect Error
    ...    *.spec.replicaz: field not declared in schema.
    ...    Apply Manifest    ${DATA}/web.yaml    namespace=${NAMESPACE}    Deployment.spec.replicaz=${1}

Unknown Kind Is Told
    Run Keyword And Expect Error
    ...    *does not serve the kind 'Gadget' in API group 'example.com': is its custom resource*
    ...    Get Objects    Gadget.example.com

Missing Tool Is Named
    Run Keyword And Expect Error    The image of pod '${NAMESPACE}/shell' has no 'no-such-tool':*
    ...    Run In Pod    shell    ${NAMESPACE}    no-such-tool    --help

Failing Command Is Told With Its Words
    Run Keyword And Expect Error
    ...    'ls /none' in pod '${NAMESPACE}/shell' ended with exit status *: ls:*/none*No such file*
    ...    Run In Pod    shell    ${NAMESPACE}    ls    /none

Command That Hangs Is Given Up
    Run Keyword And Expect Error
    ...    The command in pod '${NAMESPACE}/shell' did not end within 1 s; so far it printed: waiting. It was killed.
    ...    Run In Pod    shell    ${NAMESPACE}    sh    -c    echo waiting; sleep 5    timeout=1s

Missing Pod Is Told
    Run Keyword And Expect Error    *404 NotFound: pods "none" not found.    Run In Pod    none    ${NAMESPACE}    true

Image That Cannot Be Had Fails Early
    Run Keyword And Expect Error
    ...    Pods 'app=no-image' in '${NAMESPACE}': pod 'no-image' cannot get ready: container 'main' is *ImagePull*
    ...    Wait Until Pods Are Ready    ${NAMESPACE}    app=no-image

Pod That Fits No Node Is Waited For With The Scheduler's Words
    Run Keyword And Expect Error    *not reached within 2 s; *(no-node: Unschedulable: 0/* nodes are available*
    ...    Wait Until Pods Are Ready    ${NAMESPACE}    app=no-node    timeout=2s

Volume That Does Not Exist Is Named
    Run Keyword And Expect Error
    ...    *no-volume*ContainerCreating*FailedMount: *secret "none" not found*
    ...    Wait Until Pods Are Ready    ${NAMESPACE}    app=no-volume    timeout=4s

Pods That A Quota Forbids Are Told Within Seconds
    Apply Manifest    ${DATA}/quota.yaml    namespace=${NAMESPACE}
    Run Keyword And Expect Error
    ...    *Job 'forbidden' may not create its pods: *exceeded quota: none*
    ...    Wait Until Pods Are Ready    ${NAMESPACE}    batch.kubernetes.io/job-name=forbidden    timeout=20s
    [Teardown]    Delete Object    ResourceQuota    none    ${NAMESPACE}

Deployment That Is Missing Is Waited For With Similar Names
    Run Keyword And Expect Error
    ...    Deployment '${NAMESPACE}/wbe': not reached within 1 s; at the end: not there yet.*there is 'web'
    ...    Wait Until Deployment Is Available    wbe    ${NAMESPACE}    timeout=1s

Deployment That Crashes Fails Early With Its Exit Status
    [Tags]    slow
    Delete Object    Deployment    crashing    ${NAMESPACE}    wait_until_gone=True
    Apply Manifest    ${DATA}/broken.yaml    namespace=${NAMESPACE}
    Run Keyword And Expect Error
    ...    Deployment '${NAMESPACE}/crashing': pod 'crashing-*' cannot get ready: *exit code 3*no configuration
    ...    Wait Until Deployment Is Available    crashing    ${NAMESPACE}

Wait Without A Pod Ends At Its Limit
    Run Keyword And Expect Error
    ...    Pods 'app=none' in '${NAMESPACE}': not reached within 1 s; *no pod there.*has the labels 'app=none'; there*
    ...    Wait Until Pods Are Ready    ${NAMESPACE}    app=none    timeout=1s

Account With Few Rights Is Told What It May Not
    Apply Manifest    ${DATA}/account.yaml    namespace=${NAMESPACE}    RoleBinding.subjects.0.namespace=${NAMESPACE}
    ${kubeconfig}    Make Kubeconfig Of Account    onlooker    ${NAMESPACE}
    Connect To Cluster    alias=onlooker    kubeconfig=${kubeconfig}
    Wait Until Pods Are Ready    ${NAMESPACE}    app=web    count=2    cluster=onlooker
    Run Keyword And Expect Error
    ...    Cluster 'onlooker' answered POST /api/v1/namespaces with 403 Forbidden: *onlooker*cannot create*
    ...    Create Namespace    ${NAMESPACE}-2    cluster=onlooker
    Run Keyword And Expect Error    Cluster 'onlooker' answered EXEC * with 403 Forbidden: *resource "pods/exec"*
    ...    Run In Pod    shell    ${NAMESPACE}    true    cluster=onlooker
    No Token Should Have Been Logged

Token That Is Not Known Is Refused
    ${kubeconfig}    Make Kubeconfig With Token    a-token-that-nobody-gave-out
    Run Keyword And Expect Error
    ...    Cluster 'stranger' answered GET * with 401 Unauthorized. The cluster is that of *
    ...    Connect And Ask    stranger    ${kubeconfig}

Dead Server Is Told With Its Address
    ${kubeconfig}    Make Kubeconfig Of Nobody
    Run Keyword And Expect Error
    ...    Cluster 'nobody' at https://127.0.0.1:9 did not answer GET /version: *Connection refused. The cluster is that of *
    ...    Connect To Cluster    alias=nobody    kubeconfig=${kubeconfig}

Missing Kubeconfig Is Told
    Run Keyword And Expect Error    The kubeconfig '/no/such/file', named by the argument 'kubeconfig', does not exist*
    ...    Connect To Cluster    alias=none    kubeconfig=/no/such/file

Unknown Alias Is Told
    Run Keyword And Expect Error
    ...    No cluster is connected as 'west'; connected: *'default'*. Use 'Connect To Cluster' first.
    ...    Get Objects    Pod    cluster=west


*** Keywords ***
Web Server And Broken Pods Are Started
    [Documentation]    Starts everything at once, so that the broken pods show their trouble by the time they are asked.
    Connect To Cluster
    Share Cluster With KubeLibrary
    ${id}    Get Run Id
    VAR    ${NAMESPACE}    netlib-${id}    scope=SUITE
    Create Namespace    ${NAMESPACE}
    Apply Manifest    ${DATA}/broken.yaml    namespace=${NAMESPACE}
    Apply Manifest    ${DATA}/web.yaml    namespace=${NAMESPACE}    Deployment.spec.replicas=${2}
    Wait Until Deployment Is Available    web    ${NAMESPACE}
    Wait Until Pods Are Ready    ${NAMESPACE}    app=shell

Nothing Should Be Left
    [Documentation]    Removes everything, and looks with the keywords of another library whether that is true.
    Delete Everything This Run Created    timeout=60s
    ${namespaces}    KubeLibrary.List Namespace
    ${names}    Evaluate    [namespace.metadata.name for namespace in $namespaces]
    Should Not Contain    ${names}    ${NAMESPACE}

Connect And Ask
    [Documentation]    Connects and lists pods; some clusters answer the version to everybody.
    [Arguments]    ${alias}    ${kubeconfig}
    Connect To Cluster    alias=${alias}    kubeconfig=${kubeconfig}
    Get Objects    Pod    cluster=${alias}
