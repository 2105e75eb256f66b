*** Settings ***
Documentation       Is this cluster fit for the other suites? A minute's look before hours of measurements.
...
...                 *Topology*: the cluster as it is; one short-lived pod.
...                 *Traffic*: requests to the API server, DNS questions from the pod.
...                 *Passes when*: the API server reports ready, every node is healthy, no system pod is broken, and a
...                 pod starts and resolves the API server's name.

Library             NetLibrary
Library             NetLibrary.deferred.KubeLibrary    AS    KubeLibrary
Library             RequestsLibrary

Suite Setup         Share The Cluster
Suite Teardown      Delete Everything This Run Created

Test Tags           cluster    smoke


*** Variables ***
${PROBE_IMAGE}      docker.io/library/busybox:1.36


*** Test Cases ***
API Server Is Ready
    ${answer}    GET On Session    cluster    /readyz
    Should Be Equal    ${answer.text}    ok

Every Node Is Healthy
    ${nodes}    Get Objects    Node
    ${healthy}    KubeLibrary.Get Healthy Nodes Count
    Length Should Be    ${nodes}    ${healthy}    msg=Only ${healthy} of the nodes are healthy.

No System Pod Is Broken
    ${pods}    Get Objects    Pod    kube-system
    FOR    ${pod}    IN    @{pods}
        ${state}    KubeLibrary.Read Namespaced Pod Status    ${pod}[metadata][name]    kube-system
        Should Contain Any    ${state.phase}    Running    Succeeded    msg=${pod}[metadata][name] is ${state.phase}.
    END

A Pod Starts And Resolves Names
    ${id}    Get Run Id
    ${namespace}    Create Namespace    netlib-${id}-health
    Apply Manifest
    ...    ${CURDIR}/../manifests/cluster_health/pod.yaml
    ...    namespace=${namespace}
    ...    Pod.spec.containers.0.image=${PROBE_IMAGE}
    Wait Until Pods Are Ready    ${namespace}    app=health
    ${answer}    Run In Pod    health    ${namespace}    nslookup    kubernetes.default.svc.cluster.local
    Should Contain    ${answer}    Address


*** Keywords ***
Share The Cluster
    [Documentation]    Connects all three libraries to the one cluster of the run.
    Connect To Cluster
    Share Cluster With KubeLibrary
    Share Cluster With RequestsLibrary    cluster
