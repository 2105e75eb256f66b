*** Settings ***
Documentation       Suites whose API server goes away for three seconds, three times, go on, or say what happened.
...
...                 The first moment is the appearance of an object, by kind and labels; the others are 40 s after each
...                 return, or what `between` says where a suite is short.

Library             NetLibrary
Library             upheaval.py

Suite Setup         Connect To Cluster
Test Template       Suite Should Survive Restarts Of API Server

Test Tags           restarts    slow


*** Test Cases ***
Health
    cluster_health    pods    app=health    between=4

Own Application
    own_application    deployments    netlibrary.io/run

Throughput
    throughput    jobs    netlibrary.io/run    --exclude    latency    between=15

Network Break
    network_break    services    netlibrary.io/run    -v    OUTAGE_REPEATS:3    between=10

Service Matrix
    service_matrix    services    netlibrary.io/run    --include    pod-ip    --include    node-port

Policies
    network_policies    networkpolicies    netlibrary.io/run

E2SAR
    e2sar    jobs    netlibrary.io/run    --include    smoke

CyPerf
    cyperf    deployments    netlibrary.io/run

Skupper
    skupper_iperf3    sites.skupper.io    netlibrary.io/run
