*** Settings ***
Documentation       Suites under exactly the roles of manifests/access: nothing is missing, and nothing is granted that
...                 they do not use, by the lab's audit log. The commands that bind the roles are those of the files.

Library             NetLibrary
Library             roles.py

Suite Setup         Connect To Cluster
Test Teardown       Forget Accounts
Test Template       Suite Should Run Under Its Role

Test Tags           accounts


*** Test Cases ***
Cluster Health
    cluster_health

Own Application
    [Tags]    slow
    own_application    may_skip=Draining

Throughput
    [Tags]    slow
    throughput

Network Break
    [Tags]    slow
    network_break    may_skip=User Command

E2SAR
    [Tags]    slow
    e2sar

Service Matrix
    [Tags]    slow
    service_matrix    may_skip=SCTP|Dual|Outside

Skupper
    [Tags]    slow
    skupper_iperf3

CyPerf
    [Tags]    slow
    cyperf    may_skip=Device|Multus

Network Policies
    [Tags]    slow
    network_policies    may_skip=My Own

A Right Less For Cluster Health
    [Tags]    slow
    [Template]    Rows Should Be Skipped Without A Right
    # in both of its roles, that of its namespace and that of the whole cluster
    cluster_health    list pods    No System Pod*|A Pod Starts*|Names Resolve*

A Right Less
    [Documentation]    It is found before the first object is made. Rows that need it are skipped, the others run.
    [Tags]    slow
    [Template]    Rows Should Be Skipped Without A Right
    throughput    create jobs.batch    *
    network_break    create pods    *
    skupper_iperf3    create sites.skupper.io    *
    network_policies    create networkpolicies.networking.k8s.io    *
    own_application    create jobs.batch    Throughput*    --exclude    drain
    e2sar    create networkpolicies.networking.k8s.io    Policy*    -t    Policy That*    -t    *Pod Address
    service_matrix    patch services    Label *|Changing Types|UDP Flows*    --include    lifecycle
    ...    --include    labels
    cyperf    patch deployments/scale.apps    Servers Scaled*    -t    Servers Scaled*    -t    HTTP By Cluster IP
