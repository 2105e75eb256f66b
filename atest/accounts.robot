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
    own_application

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
    network_policies
