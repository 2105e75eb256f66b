*** Settings ***
Documentation       Clusters as several makers sell them: suites pass there, or say within a minute what is missing.
...
...                 Each row makes one lab into such a cluster by what sets it apart for us, not by its software. What
...                 needs a lab of its own is in foreign.robot: level restricted (RKE2 hardened as CIS says), host
...                 names unlike node names (EKS), networks that serve Services themselves (GKE Dataplane V2, Cilium),
...                 pods with the gateway 169.254.1.1 (EKS, Calico), virtual nodes (AKS).

Library             makers.py

Suite Setup         Start Lab    --nodes 3 --no-load-balancer
Suite Teardown      Stop Lab
Test Teardown       End Oddity

Test Tags           makers    slow    foreign


*** Variables ***
${TOOLS}            APPLICATION_TOOLS_IMAGE:ghcr.io/netlibrary/probe:1
${PROBE}            OUTAGE_PROBE_IMAGE:ghcr.io/netlibrary/probe:1


*** Test Cases ***
OpenShift Chooses User Ids
    [Documentation]    Ids of the namespace's range alone, nothing of the host.
    Admit Pods As    openshift
    Suite Should Say    POD_USER    60    own_application
    Suite Should Pass    cluster_health    -v    POD_USER:any
    Suite Should Pass    own_application    -v    POD_USER:any
    Suite Should Pass    network_break    -t    Quiet*    -v    POD_USER:any
    Suite Should Pass    service_matrix    --include    pod-ip    -v    POD_USER:any

OpenShift Has Its DNS Elsewhere
    Move DNS    dns-default    openshift-dns    dns.operator.openshift.io/owning-dns=default
    Suite Should Pass    cluster_health
    Suite Should Pass    service_matrix    --include    pod-ip    --include    dns

RKE2 Calls Its DNS Otherwise
    Move DNS    rke2-coredns-rke2-coredns    kube-system    k8s-app=kube-dns
    Suite Should Pass    cluster_health
    Suite Should Pass    service_matrix    --include    dns

Autopilot Forbids The Host And Sets Limits
    [Documentation]    Nor may pods ask for a node by the label with its host name.
    Admit Pods As    autopilot
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application
    Suite Should Pass    service_matrix    --include    pod-ip    --include    node-port
    Suite Should Pass    network_break    -t    Quiet*
    Suite Should Pass    throughput    -t    Pod*    -t    *Host*
    Suite Should Pass    e2sar    --include    smoke

AKS Keeps Its System Nodes
    Taint Nodes    CriticalAddonsOnly=true:NoSchedule    node1
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application
    Suite Should Pass    throughput    -t    Pod*

Nothing But A Control Plane
    [Documentation]    As kubeadm leaves a cluster of one node: no pod is scheduled.
    Taint Nodes    node-role.kubernetes.io/control-plane:NoSchedule    node1    node2    node3
    Suite Should Say    TOLERATIONS    60    cluster_health
    Suite Should Say    TOLERATIONS    60    own_application    -v    READY_TIMEOUT:20s
    Suite Should Say    TOLERATIONS    60    throughput    -v    READY_TIMEOUT:20s
    Suite Should Pass    own_application    -v    TOLERATIONS:node-role.kubernetes.io/control-plane

K3s Serves Load Balancers On Its Nodes
    Cloud Gives Load Balancers    nodes
    Suite Should Pass    service_matrix    --include    pod-ip    --include    load-balancer
    Suite Should Pass    network_break    -t    Quiet*
    Suite Should Pass    throughput    -t    Load Balancer    -t    From Outside

EKS Gives Load Balancers A Name
    [Documentation]    Which nobody knows yet, as in the first minutes.
    Cloud Gives Load Balancers    hostname
    Suite Should Pass    service_matrix    --include    pod-ip    --include    load-balancer
    Suite Should Pass    network_break    -t    Quiet*

Names Are Cached On Each Node
    [Documentation]    As by NodeLocal DNSCache, which GKE, AKS and kubespray offer.
    Cache Names On Nodes
    Suite Should Pass    cluster_health
    Suite Should Pass    service_matrix    --include    pod-ip    --include    dns
    Suite Should Pass    e2sar    --include    smoke    --include    policy

Nodes Are Beyond Reach
    [Documentation]    The API server is at 127.0.0.1, as of kind, minikube and Docker Desktop on macOS and Windows, and
    ...    nothing comes back from nodes, as from those of EKS, GKE and AKS with private addresses.
    Reach Nothing But The API Server
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application    -v    ${TOOLS}
    Suite Should Pass    service_matrix    --include    pod-ip    --include    node-port
    Suite Should Pass    network_break    -t    Quiet*    -v    ${PROBE}
    Suite Should Pass    throughput    -t    Pod On A*    -t    From Outside

Rancher Has The Cluster Below A Path
    Reach Cluster By Path    /k8s/clusters/c-x7k2z
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application    -v    ${TOOLS}
    Suite Should Pass    service_matrix    --include    pod-ip

Tools Of EKS Give Tokens
    [Documentation]    Short-lived ones, for which the plugin is asked again.
    Log In As On    EKS    lasts=15
    Suite Should Pass    own_application    -v    ${TOOLS}
    Plugin Should Have Run    2
    Token Should Be Nowhere

Tools Of Others Write Kubeconfigs
    [Template]    Suite Should Pass After Login
    GKE
    AKS
    OpenShift

In A Pod Without A Kubeconfig
    Suite Should Pass In A Pod    cluster_health


*** Keywords ***
Suite Should Pass After Login
    [Documentation]    Runs a suite by the kubeconfig of a maker's tools; no file of the run has the token.
    [Arguments]    ${maker}
    Log In As On    ${maker}
    Suite Should Pass    cluster_health
    Token Should Be Nowhere
    [Teardown]    End Oddity
