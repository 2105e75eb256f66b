*** Settings ***
Documentation       Clusters as several makers sell them: suites pass there, or say within a minute what is missing.
...
...                 Each row makes one lab into such a cluster by what sets it apart for us, not by its software.

Library             makers.py

Suite Setup         Start Lab    --nodes 3 --no-load-balancer
Suite Teardown      Stop Lab
Test Teardown       End Oddity

Test Tags           makers    slow    foreign


*** Test Cases ***
OpenShift Has Its DNS Elsewhere
    Move DNS As OpenShift
    Suite Should Pass    cluster_health
    Suite Should Pass    service_matrix    --include    pod-ip    --include    dns

AKS Keeps Its System Nodes
    Taint Nodes    CriticalAddonsOnly=true:NoSchedule    node1
    Suite Should Pass    cluster_health
    Suite Should Pass    own_application
    Suite Should Pass    throughput    -t    Pod*
