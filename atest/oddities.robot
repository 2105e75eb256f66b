*** Settings ***
Documentation       Clusters with one oddity each: a suite passes there, or says within a minute what is odd.

Library             NetLibrary
Library             oddities.py

Suite Setup         Connect To Cluster
Test Teardown       End Oddity

Test Tags           oddities    slow


*** Test Cases ***
A Webhook For Pods Is Down
    Send Pods To Webhook    answers=${False}
    Suite Should Say    failed calling webhook    60    cluster_health    -t    A Pod*
    Suite Should Say    failed calling webhook    60    own_application
    Suite Should Say    failed calling webhook    90    throughput

A Mesh Adds Containers
    Send Pods To Webhook    answers=${True}
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application
    Suite Should Pass    throughput    -t    Pod*

Metrics Are Down
    Apply To Cluster    metrics
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application

All Pods Have A Priority
    Apply To Cluster    priority
    Suite Should Pass    cluster_health

Accounts Give No Token To Pods
    Apply To Cluster    no_token
    Suite Should Pass    own_application    -v    NAMESPACE:odd-token

Containers May Have Nearly Nothing
    Apply To Cluster    tiny
    Suite Should Say    must be less than or equal to    60    own_application    -v    NAMESPACE:odd-tiny

A Namespace That Does Not End
    Apply To Cluster    stuck
    End Namespace    odd-stuck
    Suite Should Say    odd-stuck    60    cluster_health    -v    NAMESPACE:odd-stuck    -t    A Pod*
    Suite Should Say    being deleted    60    own_application    -v    NAMESPACE:odd-stuck
    [Teardown]    Let Namespace End

The API Server Answers After A Second
    Answer Slowly    1.2
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application    -t    Clients*    -t    Others*    -t    An Update*

Two Nodes With One Address
    ${node}    Get Object    Node    node1
    Apply To Cluster    ghost    ADDRESS=${node}[status][addresses][0][address]
    Suite Should Pass    service_matrix    --include    pod-ip    --include    node-port
    Suite Should Pass    throughput    -t    Pod*

External IPs Are Refused
    Apply To Cluster    no_external_ips
    Suite Should Pass    service_matrix    --include    pod-ip    --include    external-ip

Services May Open Nothing
    [Documentation]    A quota of no load balancers and no node ports: their paths are left out, with its words.
    Apply To Cluster    no_open_services
    Suite Should Pass    throughput    -v    NAMESPACE:odd-closed    -t    Pod*    -t    Node Port    -t    Load*
    Suite Should Pass    e2sar    -v    NAMESPACE:odd-closed    --include    smoke
    Suite Should Pass    network_break    -v    NAMESPACE:odd-closed    -t    Quiet*
    Suite Should Pass    service_matrix    -v    NAMESPACE:odd-closed    --include    pod-ip    --include    node-port

Containers May Not Be Small
    [Documentation]    A LimitRange with a least amount: its words and the variable are told, with which suites pass.
    Apply To Cluster    large
    Suite Should Say    POD_REQUESTS is the least    90    own_application    -v    NAMESPACE:odd-large
    VAR    @{enough}    -v    NAMESPACE:odd-large    -v    POD_REQUESTS:cpu=60m,memory=64Mi
    Suite Should Pass    own_application    @{enough}
    Suite Should Pass    throughput    @{enough}    -t    Pod*
    Suite Should Pass    network_break    @{enough}    -t    Quiet*
    Suite Should Pass    e2sar    @{enough}    --include    smoke

A Node Throws Pods Out
    Node Is Tainted    node3    dedicated=db:NoExecute
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application
    Suite Should Pass    service_matrix    --include    pod-ip    --include    node-port
    Suite Should Pass    throughput    -t    Pod*

Several Classes Are Each The Default
    Apply To Cluster    classes
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application

A Registry Wants Credentials
    Registry Answers    401
    VAR    @{there}    -v    REGISTRY:127.0.0.1:5999
    Suite Should Say    PULL_SECRET    90    cluster_health    @{there}    -t    A Pod*
    Suite Should Say    PULL_SECRET    90    own_application    @{there}

A Registry Is Broken
    Registry Answers    500
    VAR    @{there}    -v    REGISTRY:127.0.0.1:5999
    Suite Should Say    500 Internal Server Error    90    cluster_health    @{there}    -t    A Pod*
    Suite Should Say    500 Internal Server Error    90    throughput    @{there}

Admission Chooses The Nodes
    [Documentation]    All pods get a node selector, which one node does not have: NODE_SELECTOR leaves it out.
    Nodes Have Label    disk=ssd    node1    node2
    Admit Pods As    chosen_nodes
    Suite Should Say    NODE_SELECTOR chooses nodes    90    cluster_health    -t    A Pod*
    VAR    @{chosen}    -v    NODE_SELECTOR:disk=ssd
    Suite Should Pass    cluster_health    @{chosen}
    Suite Should Pass    service_matrix    @{chosen}    --include    pod-ip    --include    node-port
    Suite Should Pass    throughput    @{chosen}    -t    Pod*

Admission Changes How Names Are Searched For
    Admit Pods As    few_questions
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application
    Suite Should Pass    service_matrix    --include    dns
    Suite Should Pass    e2sar    --include    smoke

Names Outside Are Not Answered
    [Documentation]    The cluster's DNS has nobody to ask, as where there is no way to the outside.
    Names Outside Are Not Answered
    Suite Should Pass    cluster_health    -v    HEALTH_RESTARTS_WITHIN:0 s
    Suite Should Pass    own_application
    Suite Should Pass    service_matrix    --include    dns
    Suite Should Pass    network_break    -t    Quiet*

Nobody Says That It Is A Lab
    [Documentation]    Reached as any cluster is: rows that break nodes are skipped at once, with the reason.
    Reach By Kubeconfig
    VAR    @{probe}    -v    OUTAGE_PROBE_IMAGE:ghcr.io/netlibrary/probe:1
    VAR    @{stand_in}    -v    E2SAR_IMAGE:ghcr.io/netlibrary/e2sar-perf-standin:1
    Rows Should Be Skipped At Once    needs the lab    network_break    --include    needs-lab    @{probe}
    Rows Should Be Skipped At Once    needs the lab    e2sar    --include    needs-lab    @{stand_in}
    Suite Should Pass    e2sar    --include    smoke    @{stand_in}
    Suite Should Pass    throughput    -t    Pod*    -t    From Outside
    Suite Should Pass    network_break    -t    Quiet*    @{probe}

Nodes Come And Go Meanwhile
    Nodes Come And Go    visitor
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application
    Suite Should Pass    service_matrix    --include    pod-ip    --include    node-port
    Suite Should Pass    network_break    -t    Quiet*

Our Clock Is An Hour Ahead
    Run Suites With Clock    +1h
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application

Our Clock Is An Hour Behind
    Run Suites With Clock    -1h
    Suite Should Pass    cluster_health
    Suite Should Pass    network_break    -t    Quiet*

A Node Died A Moment Ago
    [Documentation]    The API still calls it ready. The others are measured; the row about its health names it.
    Node Is Silent    3    kubelet    kube-proxy
    Suite Should Say    node3    120    cluster_health    -v    READY_TIMEOUT:60s
    Suite Should Pass    service_matrix    --include    pod-ip
    Suite Should Pass    throughput    -t    Pod*

Pods Need A Label
    [Documentation]    The policy's own words are told; with the label, by POD_LABELS, the suites pass.
    Apply To Cluster    denied
    Suite Should Say    pods need the label cost-centre    60    cluster_health    -t    A Pod*
    Suite Should Say    pods need the label cost-centre    60    own_application
    Suite Should Pass    cluster_health    -v    POD_LABELS:cost-centre=7

The Quota Has Room For One Pod
    Apply To Cluster    full
    Suite Should Say    exceeded quota: one-pod    90    own_application    -v    NAMESPACE:odd-full
    Suite Should Say    exceeded quota: one-pod    90    cluster_health    -v    NAMESPACE:odd-full    -t    A Pod*

Pods Of Others May Not Be Disrupted
    [Documentation]    A row that drains a node evicts its own pods only.
    Apply To Cluster    budget
    Objects Should Stay    odd-budget    pods
    Suite Should Pass    own_application    -t    Draining*

The Namespace Is Deleted Meanwhile
    Delete Namespace At Its First Pod
    Suite Should Say    being    90    cluster_health    -t    A Pod*
    End Oddity
    Delete Namespace At Its First Pod
    Suite Should Say    being    90    own_application    -t    Clients Reach The*

The Server Has Enough Of Watches
    [Documentation]    Somebody between us and the server breaks every connection off after five seconds.
    Answer Slowly    0    lasts=5
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application


*** Keywords ***
End Namespace
    [Documentation]    Asks for the end of a namespace in which a finalizer holds an object.
    [Arguments]    ${name}
    Delete Namespace    ${name}    allow_foreign=${True}

Let Namespace End
    [Documentation]    Takes the finalizer away.
    Run Keyword And Ignore Error
    ...    Patch Object    ConfigMap    held    odd-stuck    patch={"metadata": {"finalizers": null}}
    End Oddity
