*** Settings ***
Documentation       Suites as guests in a namespace with objects of others: these, and everything else in the cluster,
...                 are as before. Images come from a mirror, by archives that `netlibrary images export` wrote; every
...                 pod has what the variables about pods ask for.

Library             NetLibrary
Library             guests.py

Suite Setup         Connect To Cluster
Test Template       Suite Should Leave What Is Not Its Own

Test Tags           guests    slow


*** Test Cases ***
Health From A Mirror With All Wishes
    [Setup]    Export Images    cluster_health
    cluster_health    wishes=True

Own Application From A Mirror With All Wishes
    [Setup]    Export Images    own_application
    own_application    wishes=True

Network Break From A Mirror With All Wishes
    [Setup]    Export Images    network_break
    network_break    wishes=True

Throughput From A Mirror With All Wishes
    [Setup]    Export Images    throughput
    throughput    wishes=True

Service Matrix From A Mirror With All Wishes
    [Setup]    Export Images    service_matrix
    service_matrix    wishes=True

E2SAR From A Mirror With All Wishes
    [Setup]    Export Images    e2sar
    e2sar    wishes=True

CyPerf From A Mirror With All Wishes
    [Setup]    Export Images    cyperf
    cyperf    wishes=True

Skupper In Three Namespaces Of Others
    skupper_iperf3    variables=SKUPPER_HUB_NAMESPACE CLIENT_NAMESPACE SKUPPER_WORKLOAD_NAMESPACE

Policies Beside A Namespace Of Others
    network_policies

Names Of All Suites Are Taken
    [Documentation]    Objects of others have the names that suites give to theirs: nothing of them may be changed.
    [Template]    Suites Should Leave Objects Of Their Names
    cluster_health    own_application    network_break    throughput    service_matrix    e2sar    cyperf
    ...    network_policies    skupper_iperf3
