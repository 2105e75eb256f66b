*** Settings ***
Documentation     Each row of suites/network_break.robot must be able to fail: its own paths and limits, taken from the
...               suite, with an expectation that is broken on purpose.
...
...               *Topology*: that of suites/network_break.robot, on a lab.
...               *Traffic*: that of the row.
...               *Passes when*: the row fails, and says what was broken.

Resource          NetLibrary/resources/network_break.resource

Suite Setup       Break Endpoints Are Ready On A Lab
Suite Teardown    Delete Everything This Run Created    wait=False
Test Teardown     Mend And Finish
Test Template     Row Must Fail

Test Tags         break    disruptive    needs-lab    slow


*** Test Cases ***
Quiet Network Has No Outage
    # WHAT IS BROKEN    WHAT THE ROW MUST SAY
    Far Node Drops    *: s* for * ms (certainly * to * ms) during *drop*, limit 0 ms*
Kube-Proxy Restart Breaks Nothing
    Far Node Resets    *: reset for * ms (certainly *)*, limit 200 ms*kept connections were reset (*
CNI Configuration Reload Breaks Nothing
    Far Node Drops    *pod on other node *: s* for *, limit 0 ms*
DNS Rollout Leaves Names Resolvable
    Names Cannot Be Resolved    *dns dns: silent drop for * ms (certainly *)*, limit 2000 ms*
Container Runtime Restart Breaks Nothing
    Far Node Resets    *pod on other node *: re* for * ms (certainly *)*, limit 0 ms*kept connections broke (*
Kubelet Restart Breaks Nothing
    Far Node Drops    *pod on other node *: s* for *, limit 0 ms*
Link Flap Stays Within Its Time
    Nothing At All    *no outage of at least 900 ms was seen (the longest was * ms)*
Flushed Rules Come Back
    Nothing At All    *no outage of at least 900 ms was seen (the longest was * ms)*
    Connections Are Forgotten Too    *broke (service 1*given up after * s without an answer*an old state*
Node Loss Spares Other Paths
    Own Node Drops    *on a path that the disturbance must not affect*
Kube-Proxy Rollout Breaks Nothing
    Far Node Drops For Long    *node *: stalled and resumed for * ms (certainly *)*, limit 500 ms*
Network Plugin Rollout Breaks Nothing
    Far Node Drops For Long    *pod on other node *: stalled and resumed for * ms (certainly *)*, limit 500 ms*
Network Plugin Restart Breaks Nothing
    Far Node Resets    *kept connections broke (*
Deleted Network Device Comes Back
    Own Node Drops    *on a path that the disturbance must not affect*
Load Balancer Restart Keeps Its Addresses
    Far Node Drops    *on a path that the disturbance must not affect*
Node Drain Keeps Services
    Own Node Drops    *on a path that the disturbance must not affect*
User Command Keeps Connections
    Far Node Resets    *kept connections broke (*


*** Keywords ***
Break Endpoints Are Ready On A Lab
    [Documentation]    These tests break things, so they run on a lab alone.
    VAR    ${OUTAGE_QUIET}    1 s    scope=SUITE
    VAR    ${OUTAGE_SETTLE}    1 s    scope=SUITE
    Connect To Cluster
    Restore All Faults
    Outage Endpoints Are Ready

Row Must Fail
    [Documentation]    Runs the row of the same name with another disturbance; it must fail with these words.
    [Arguments]    ${sabotage}    ${words}
    ${suite}    Evaluate    robot.api.TestSuite.from_file_system(r'${CURDIR}/../suites/network_break.robot')
    ${row}    Evaluate    {test.name: test for test in $suite.tests}[$TEST_NAME].body[0].args
    ${limits}    Replace Variables    ${{ '\n'.join($row[2:]) }}
    VAR    &{limits}    &{{ dict(line.split('=', 1) for line in $limits.splitlines()) }}
    Should Not Be Empty    ${limits}
    IF    'targets' in $limits    Row May Drain
    Run Keyword And Expect Error    ${words}    Measure Outages While    ${sabotage}    ${row}[1]    &{limits}

Far Node Drops
    [Documentation]    Drops everything on the far node for a while.
    ${node}    Get Outage Endpoint Node    far
    Break Traffic On Node    ${node}    how=drop
    Mend After    500 ms

Far Node Drops For Long
    [Documentation]    Drops everything on the far node for longer than a restart may take.
    ${node}    Get Outage Endpoint Node    far
    Break Traffic On Node    ${node}    how=drop
    Mend After    1.5 s

Own Node Drops
    [Documentation]    Drops what the source's node itself and its pods send and get, for longer than the row asks for.
    ${node}    Get Outage Endpoint Node    source
    Break Traffic On Node    ${node}    how=drop
    Mend After    2.2 s

Far Node Resets
    [Documentation]    Resets connections of the echo servers on the far node for a while.
    ${node}    Get Outage Endpoint Node    far
    Break Traffic On Node    ${node}    how=reset    protocol=tcp    ports=${{ [7007] }}
    Mend After    500 ms

Names Cannot Be Resolved
    [Documentation]    Drops questions to the DNS servers on the source's node for longer than the row allows.
    ${node}    Get Outage Endpoint Node    source
    Break Traffic On Node    ${node}    how=drop    protocol=udp    ports=${{ [53] }}
    Mend After    2.5 s

Connections Are Forgotten Too
    [Documentation]    The rules go, and with them what connection tracking knows of the connections that are up.
    ${node}    Get Outage Endpoint Node    source
    Break Service Proxy On Node    ${node}    for=1 s

Nothing At All
    [Documentation]    The disturbance that the row needs does not happen.
    Wait During Measurement    500 ms

Mend After
    [Documentation]    Mends everything after a time.
    [Arguments]    ${duration}
    Wait During Measurement    ${duration}    step=sabotage
    Restore All Faults

Mend And Finish
    [Documentation]    Leaves nothing broken behind.
    Restore All Faults
    Abort Outage Measurement
