*** Settings ***
Documentation       The Skupper suite over two clusters: hub and workload in one lab, the client in another one.
...
...                 *Topology*: two labs on this machine; three kubeconfigs, and one in KUBECONFIG that must not count.
...                 *Traffic*: the suite's own rows.
...                 *Passes when*: all rows pass, the direct row takes a path that leads from one cluster to the other,
...                 and the log says whose kubeconfig counted.

Library             OperatingSystem
Library             Process

Suite Setup         Two Labs Are Up
Suite Teardown      Labs Are Down

Test Tags           skupper    slow


*** Variables ***
${HUB_LAB}          skupper-hub
${CLIENT_LAB}       skupper-client
${OUT}              ${OUTPUT DIR}/two_clusters


*** Test Cases ***
Client In Another Cluster Takes A Direct Path That Exists
    [Documentation]    It measured to the address of a pod of the other cluster.
    ${run}    Run Process
    ...    ${{ __import__('sys').executable }}    -m    robot    -d    ${OUT}
    ...    -v    SKUPPER_HUB_KUBECONFIG:${HUB_KUBECONFIG}
    ...    -v    SKUPPER_WORKLOAD_KUBECONFIG:${HUB_KUBECONFIG}
    ...    -v    SKUPPER_CLIENT_KUBECONFIG:${CLIENT_KUBECONFIG}
    ...    -v    KUBECONFIG:${CLIENT_KUBECONFIG}
    ...    ${CURDIR}/../suites/skupper_iperf3.robot
    ...    stdout=${OUT}.txt    stderr=STDOUT    timeout=10 minutes
    Should Be Equal As Integers    ${run.rc}    0    msg=${run.stdout}
    Should Contain    ${run.stdout}    instead of KUBECONFIG=${CLIENT_KUBECONFIG}.
    ${log}    Get File    ${OUT}/output.xml
    Should Contain Any
    ...    ${log}
    ...    Direct path: the load balancer, since the client is in another cluster
    ...    Direct path: the NodePort of


*** Keywords ***
Two Labs Are Up
    [Documentation]    Starts the labs and remembers their kubeconfigs.
    Create Directory    ${OUT}
    ${hub}    Lab Is Up    ${HUB_LAB}
    ${client}    Lab Is Up    ${CLIENT_LAB}
    VAR    ${HUB_KUBECONFIG}    ${hub}    scope=SUITE
    VAR    ${CLIENT_KUBECONFIG}    ${client}    scope=SUITE

Lab Is Up
    [Documentation]    Starts a lab and returns its kubeconfig.
    [Arguments]    ${name}
    ${run}    Run Process    ${{ __import__('sys').executable }}    -m    NetLibrary.lab    up    --name    ${name}
    ...    --nodes    2    stdout=${OUT}/${name}.txt    stderr=STDOUT    timeout=10 minutes
    Should Be Equal As Integers    ${run.rc}    0    msg=${run.stdout}
    RETURN    ${{ $run.stdout.strip().splitlines()[-1] }}

Labs Are Down
    [Documentation]    Takes both labs down.
    FOR    ${name}    IN    ${HUB_LAB}    ${CLIENT_LAB}
        Run Process    ${{ __import__('sys').executable }}    -m    NetLibrary.lab    down    --name    ${name}
    END
