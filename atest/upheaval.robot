*** Settings ***
Documentation       Suites that are killed in their worst moment leave nothing that a sweep does not remove; suites
...                 whose API server restarts under them go on.
...
...                 The moment is the appearance of an object, by kind and labels. Each row takes two minutes and more.

Library             NetLibrary
Library             upheaval.py

Suite Setup         Connect To Cluster

Test Tags           upheaval    slow


*** Test Cases ***
Killed Runs Are Swept
    [Documentation]    Pods run, policies are in force, nodes carry labels, namespaces of three Sites exist.
    [Template]    Killed Suite Should Be Swept
    cluster_health    pods    app=health
    own_application    deployments    netlibrary.io/run
    throughput    jobs    netlibrary.io/run
    network_break    services    netlibrary.io/run
    service_matrix    services    netlibrary.io/run
    e2sar    networkpolicies    netlibrary.io/run    --include    policy
    cyperf    nodes    agenttype
    skupper_iperf3    sites.skupper.io    netlibrary.io/run

Restart Of The API Server
    [Template]    Suite Should Survive Restart Of API Server
    cluster_health    pods    app=health
    own_application    deployments    netlibrary.io/run
    throughput    jobs    netlibrary.io/run
    network_break    services    netlibrary.io/run
    service_matrix    services    netlibrary.io/run
    e2sar    jobs    netlibrary.io/run    --include    smoke
    cyperf    deployments    netlibrary.io/run
    skupper_iperf3    sites.skupper.io    netlibrary.io/run
