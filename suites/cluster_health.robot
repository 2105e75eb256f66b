*** Settings ***
Documentation       Is this cluster fit for the other suites? A one-minute check before hours of measurements.
...
...                 *Topology*: the cluster as it is; one short-lived pod on each node that accepts pods.
...                 *Traffic*: requests to the API server, DNS queries from each pod.
...                 *Passes when*: the API server reports ready; every node is ready, without a shortage of memory,
...                 disk space or process IDs; system pods are ready and were not restarted recently; and a pod on
...                 each node starts and resolves the API server's name.
...                 *Skipped when*: never.
...                 *Variables*: HEALTH_IMAGE, HEALTH_NAMESPACES, HEALTH_RESTARTS_WITHIN, and those of common.resource.
...                 Example: robot -d results -v HEALTH_NAMESPACES:kube-system,skupper suites/cluster_health.robot

Resource            NetLibrary/resources/cluster_health.resource

Suite Setup         All Libraries Use The Cluster
Suite Teardown      Delete Everything This Run Created

Test Tags           cluster    smoke


*** Test Cases ***
API Server Is Ready
    API Server Should Be Ready

Every Node Is Healthy
    Kubelets Should Be Healthy

No System Pod Is Broken
    System Pods Should Work

A Pod Starts On Every Node
    A Pod Should Start On Every Node

Names Resolve On Every Node
    Names Should Resolve On Every Node
