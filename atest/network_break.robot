*** Settings ***
Documentation     The network-break suite must fail when its expectations are violated, and must say why.
...
...               *Topology*: that of suites/network_break.robot, on a lab.
...               *Traffic*: as there, on the paths that the fault concerns.
...               *Passes when*: each fault that is injected under a measurement is found, with its kind, its length
...               and the right words; and what is no fault of the network is an error of its own.

Resource          NetLibrary/resources/network_break.resource

Suite Setup       Break Endpoints Are Ready On A Lab
Suite Teardown    Delete Everything This Run Created    wait=False
Test Teardown     Mend And Finish

Test Tags         break    disruptive    needs-lab


*** Test Cases ***
A Kube-Proxy Restart That Resets Connections Is Found
    Measure    service
    ${node}    Get Outage Endpoint Node    far
    Break Traffic On Node    ${node}    protocol=tcp    ports=${{ [7007] }}    how=reset    for=400 ms
    Restart Process On Nodes    kube-proxy    ${node}
    Breaks The Limits    *kept connections were reset (service*), limit 0*    resets_at_most=0
    Longest Outage Should Be About    400    service    TCP_NEW    refused

A Silent Drop Is Found On The Path That It Hits
    Measure    pod on other node, pod on same node
    ${node}    Get Outage Endpoint Node    far
    Break Traffic On Node    ${node}    how=drop    for=700 ms
    Breaks The Limits
    ...    *pod on other node*: * for * ms (certainly*limit 100 ms*
    ...    longest_outage_at_most=100 ms
    ...    unaffected=['pod on same node']
    Longest Outage Should Be About    700    pod on other node    ICMP    silent drop
    Longest Outage Should Be About    700    pod on other node    UDP    silent drop

An Outage Within The Limits Passes
    Measure    pod on other node
    ${node}    Get Outage Endpoint Node    far
    Break Traffic On Node    ${node}    how=drop    for=300 ms
    ${result}    Outages Should Be Within Limits
    ...    longest_outage_at_most=10 s    longest_outage_at_least=200 ms    lost_connections_at_most=0
    Should Be Equal    ${result}[lost_connections]    ${0}

A Slow Restart Of Kube-Proxy Keeps Connections From Outside
    [Documentation]    The lab's load balancer must not take a kube-proxy that starts slowly for dead.
    [Tags]    slow
    Measure    load balancer from outside
    ${source}    Get Outage Endpoint Node    source
    ${far}    Get Outage Endpoint Node    far
    FOR    ${node}    IN    ${source}    ${far}
        Break Process On Node    ${node}    kube-proxy    for=4 s
        Wait During Measurement    3 s
    END
    Outages Should Be Within Limits    lost_connections_at_most=0    resets_at_most=0

A Disturbance That Does Not Show Is Found
    Measure    pod on same node
    Wait During Measurement    1 s    step=link that did not flap
    Breaks The Limits
    ...    *no outage of at least 500 ms was seen (the longest was * ms)*
    ...    longest_outage_at_least=500 ms

An Outage On An Unaffected Path Is Found
    Measure    pod on other node
    ${node}    Get Outage Endpoint Node    far
    Break Link Of Node    ${node}    for=300 ms
    Breaks The Limits
    ...    *pod on other node*on a path that the disturbance must not affect*
    ...    unaffected=['pod on other node']

A Path That Is Broken Before The Disturbance Is An Invalid Run
    ${pod}    Get Object    Pod    far    ${NAMESPACE}
    Break Traffic On Node    ${pod}[spec][nodeName]    how=drop    protocol=tcp    ports=${{ [7007] }}
    Measure    pod on other node, pod on same node    probes=${{ ['ICMP', 'TCP_NEW'] }}
    Wait During Measurement    500 ms
    Restore All Faults
    Has No Valid Result    *pod on other node tcp_new*no good probe before the disturbance*

A Command That Fails Is A Failed Step And Not A Loss
    Measure    pod on same node
    Run Keyword And Expect Error
    ...    *'false' ended with exit status 1: it printed nothing*
    ...    Run Command During Measurement    false
    Run Keyword And Expect Error
    ...    *'kubectl --context nowhere get pods' ended with exit status 1: *nowhere*
    ...    Run Command During Measurement    kubectl --context nowhere get pods
    Run Keyword And Expect Error
    ...    *ended with exit status 127: *no-such-kubectl*
    ...    Run Command During Measurement    no-such-kubectl ko reload
    Run Keyword And Expect Error
    ...    *'echo one step; sleep 60' did not end within 1 s: one step*
    ...    Run Command During Measurement    echo one step; sleep 60    timeout=1 s
    ${result}    Outages Should Be Within Limits    longest_outage_at_most=1 s
    Should Be Equal    ${result}[errors]    ${{ [] }}

Bad Input Is Refused With What Is Allowed
    Run Keyword And Expect Error
    ...    *'moon' that cannot be converted to OutagePath: OutagePath does not have member 'moon'*    Measure    moon
    Run Keyword And Expect Error    *echo_interval is 0 ms; at least 1 ms is needed*
    ...    Start Outage Measurement    x    ${NAMESPACE}    dns    echo_interval=0 ms
    Run Keyword And Expect Error    *timeout is 3 s, which leaves no time for a disturbance*
    ...    Start Outage Measurement    x    ${NAMESPACE}    dns    timeout=3 s
    Run Keyword And Expect Error    *has no running pod with the label netlibrary.io/break=source*
    ...    Start Outage Measurement    x    default    dns
    Run Keyword And Expect Error    There is nothing to judge*    Outages Should Be Within Limits
    Run Keyword And Expect Error    No measurement is running*    Stop Outage Measurement
    Run Keyword And Expect Error    *kind is 'Pod'; allowed: Deployment, DaemonSet*
    ...    Restart Workload    Pod    x    default
    Run Keyword And Expect Error    *labels 'app=nobody' match no pod*    Delete Pods And Wait    default    app=nobody

A Limit Is Refused Before Anything Runs
    [Documentation]    `longest_outage=500` allowed 500 s, and `unaffected` with a path that nobody measured passed.
    [Template]    Refused At The Start
    *longest_outage_at_most* got value '500' that cannot be converted to TimeLimit: Give a unit: '500 ms' or '500 s'*
    ...    longest_outage_at_most=500
    *unaffected has 'own node', which is not measured; measured paths: dns*    unaffected=['own node']
    *lost_connections_at_most is given, but none of the probes keeps a connection*    lost_connections_at_most=0
    *Item 'longest_outage' not allowed*    longest_outage=1 s

A Rollout That Goes On After Its Command Has Returned Is Seen
    [Documentation]    The measurement ended two seconds after the command: "no outage" while connections failed.
    Recreated Service Is There
    VAR    @{targets}    tcp://recreated:80    http://recreated.${NAMESPACE}:http/
    Start Outage Measurement    ${TEST_NAME}    ${NAMESPACE}    targets=${targets}    quiet=1 s    settle=1 s
    ${said}    Run Command During Measurement    kubectl -n ${NAMESPACE} rollout restart deployment recreated | cat
    Should Contain    ${said}    deployment.apps/recreated restarted
    Breaks The Limits    *recreated:80 tcp_new: * for * ms (certainly*new connections failed*
    ...    longest_outage_at_most=200 ms    failed_connections_at_most=0
    ${outages}    Get Outages    http://recreated.${NAMESPACE}:http/    HTTP
    Should Be True    max(outage['length_ms'] for outage in $outages) > 500

Traffic Tells What A Rollout Costs
    [Tags]    slow
    Recreated Service Is There
    Start Traffic To Service    recreated    ${NAMESPACE}    image=${OUTAGE_PROBE_IMAGE}
    Restart Workload    Deployment    recreated    ${NAMESPACE}
    ${seen}    Stop Traffic
    Should Be True    $seen['failed'] > 10 and $seen['longest_gap_ms'] > 500 and $seen['p99_ms'] > 0
    Breaks The Limits    *new connections failed (http://recreated.*    failed_connections_at_most=0

A Path Whose Target Does Not Exist Is Named
    [Tags]    slow
    ${pod}    Get Object    Pod    source    ${NAMESPACE}
    VAR    ${nobody}    ${{ $pod['status']['hostIP'].rpartition('.')[0] }}.200
    Measure    outside address    outside_address=${nobody}
    Wait During Measurement    500 ms
    Has No Valid Result    outside address icmp (${nobody}): no good probe before the disturbance*

A Rate That The Source Cannot Hold Is An Error
    [Tags]    slow
    Measure    all    echo_interval=1 ms    connection_interval=1 ms    request_interval=1 ms    recovery=1 s
    Wait During Measurement    2 s
    Has No Valid Result    *could not hold the rate: * of * probes were not sent in time; use longer intervals*

A Disturbance That Is Longer Than The Limit Is An Error
    [Tags]    slow
    Measure    pod on same node    timeout=4 s
    Wait During Measurement    5 s
    Has No Valid Result    *time limit ended the prober in pod * before the disturbance was over*raise timeout=*

A Prober Pod That Is Deleted Keeps What It Measured
    Measure    pod on same node
    Wait During Measurement    1 s
    Delete Object    Pod    source    ${NAMESPACE}    wait_until_gone=${True}
    Has No Valid Result    *was deleted during the measurement*delivered until then is counted*
    ${outages}    Get Outages    pod on same node    ICMP
    Should Be Empty    ${outages}


*** Keywords ***
Recreated Service Is There
    [Documentation]    A Deployment that is recreated at each rollout, behind a Service.
    Apply Manifest    ${CURDIR}/network_break_recreated.yaml    namespace=${NAMESPACE}
    ...    Deployment.spec.template.spec.containers.0.image=${OUTAGE_PROBE_IMAGE}
    Wait Until Deployment Is Available    recreated    ${NAMESPACE}

Break Endpoints Are Ready On A Lab
    [Documentation]    These tests break things, so they run on a lab alone.
    Connect To Cluster
    Restore All Faults
    Outage Endpoints Are Ready

Measure
    [Documentation]    Starts a measurement of some paths.
    [Arguments]    ${paths}    &{options}
    VAR    @{names}    @{{ [name.strip() for name in $paths.split(',')] }}
    Start Outage Measurement    ${TEST_NAME}    ${NAMESPACE}    @{names}
    ...    quiet=1 s    settle=1 s    host_port=${OUTAGE_HOST_PORT}    &{options}

Breaks The Limits
    [Documentation]    The measurement must fail with these words.
    [Arguments]    ${words}    &{limits}
    Run Keyword And Expect Error    ${words}    Outages Should Be Within Limits    &{limits}

Longest Outage Should Be About
    [Documentation]    The fault lasts the given milliseconds and what making and mending it take.
    [Arguments]    ${milliseconds}    ${path}    ${probe}    ${kind}
    ${outages}    Get Outages    ${path}    ${probe}
    VAR    ${longest}    ${{ max($outages, key=lambda outage: outage['length_ms']) }}
    Should Be Equal    ${longest}[kind]    ${kind}
    Should Be True    ${milliseconds} - 20 <= ${longest}[length_ms] <= ${milliseconds} + 1500

Refused At The Start
    [Documentation]    Starts a measurement with a limit that must be refused.
    [Arguments]    ${words}    &{limits}
    Run Keyword And Expect Error    ${words}    Measure    dns    limits=${limits}
    Run Keyword And Expect Error    No measurement is running*    Stop Outage Measurement

Has No Valid Result
    [Documentation]    The measurement must end with an error, not with a loss.
    [Arguments]    ${words}
    Run Keyword And Expect Error
    ...    *has no valid result: ${words}    Outages Should Be Within Limits    longest_outage_at_most=0 s

Mend And Finish
    [Documentation]    Leaves nothing broken behind.
    Restore All Faults
    Abort Outage Measurement
