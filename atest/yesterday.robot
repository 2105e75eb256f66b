*** Settings ***
Documentation     The template for one's own application against yesterday: silent when all is as it was, and it fails
...               when the way between two nodes has become slower. The way is held to a rate, so that a busy machine
...               does not decide.

Library           OperatingSystem
Library           Process
Library           NetLibrary

Suite Setup       Get Run Id
Test Teardown     The Way Is Free

Test Tags         own-application    slow    needs-lab


*** Variables ***
${CLUSTER}        ${EMPTY}
${OUT}            ${OUTPUT DIR}/yesterday


*** Test Cases ***
What Was As Fast Yesterday Passes And What Is Slower Fails
    The Way Is Held To    200mbit
    ${first}    The Row Is Run    yesterday
    Should Be Equal As Integers    ${first.rc}    0    ${first.stdout}
    ${equal}    The Row Is Run    equal    -v    BASELINE:${OUT}/yesterday/measurements.jsonl
    Should Be Equal As Integers    ${equal.rc}    0    ${equal.stdout}
    The Way Is Free
    The Way Is Held To    130mbit
    ${slower}    The Row Is Run    slower    -v    BASELINE:${OUT}/yesterday/measurements.jsonl
    Should Be Equal As Integers    ${slower.rc}    1    ${slower.stdout}
    Should Match Regexp    ${slower.stdout}    bits_per_second is \\S+ .*worse than the baseline's


*** Keywords ***
The Row Is Run
    [Documentation]    Runs the row about throughput of the suite own_application in a Robot of its own.
    [Arguments]    ${folder}    @{options}
    ${run}    Run Process    ${{ sys.executable }}    -m    robot    -d    ${OUT}/${folder}    -v    CLUSTER:${CLUSTER}
    ...    @{options}    -t    Throughput*    ${CURDIR}/../suites/own_application.robot
    ...    stderr=STDOUT    timeout=2 min
    RETURN    ${run}

The Way Is Held To
    [Documentation]    Holds what leaves the client's node to a rate.
    [Arguments]    ${rate}
    On Second Node    tc qdisc add dev eth0 root tbf rate ${rate} burst 64kb latency 50ms

The Way Is Free
    [Documentation]    Lets packets leave as fast as they can.
    On Second Node    tc qdisc del dev eth0 root 2>/dev/null || true

On Second Node
    [Documentation]    Runs a line of shell in the network of the second node of the lab.
    [Arguments]    ${line}
    ${nodes}    Get Schedulable Nodes
    ${library}    Get Library Instance    NetLibrary
    Evaluate    $library.session.cluster().lab.node($nodes[1]).run(['sh', '-c', $line])
