*** Settings ***
Documentation     Many connections at once, several source pods, an idle connection, iperf3 beside the probes, a server
...               outside: each must find what is broken on purpose, and name it.
...
...               *Topology*: that of suites/network_break.robot, with two source pods, on a lab.
...               *Traffic*: 1, 10 and 100 kept and new connections at once on a path.
...               *Passes when*: an outage is found whatever the number of connections; a reset is counted for each of
...               them; silence on an idle connection has its length; what is sent again is told of the right path.

Library           Collections
Library           Process
Resource          NetLibrary/resources/network_break.resource

Suite Setup       Two Sources Are Ready On A Lab
Suite Teardown    Delete Everything This Run Created    wait=False
Test Teardown     Mend And Finish

Test Tags         break    disruptive    needs-lab    slow


*** Test Cases ***
Every Number Of Connections Finds The Outage
    [Template]    Outage Is Found With
    ${1}
    ${10}
    ${100}

Every Kept Connection That Is Reset Is Counted
    Measure    pod on other node    connections=${100}    probes=${{ ['TCP_KEPT'] }}
    ${node}    Get Outage Endpoint Node    far
    Break Traffic On Node    ${node}    protocol=tcp    ports=${{ [7007] }}    how=reset    for=600 ms
    Run Keyword And Expect Error
    ...    *100 kept connections were reset (pod on other node 100), limit 5*
    ...    Outages Should Be Within Limits    resets_at_most=5

An Idle Connection To Any Server Shows Silence And Resets
    [Documentation]    Nothing is known of the server's protocol; the echo server greets nobody and answers nothing
    ...    that is not asked.
    ${pod}    Get Object    Pod    far    ${NAMESPACE}
    VAR    ${target}    tcp://${pod}[status][podIP]:7007
    Start Outage Measurement    ${TEST_NAME}    ${NAMESPACE}    targets=${{ [$target] }}    quiet=3 s    settle=3 s
    Break Traffic On Node    ${pod}[spec][nodeName]    protocol=tcp    ports=${{ [7007] }}    how=drop    for=4 s
    Outages Should Be Within Limits    lost_connections_at_most=0    longest_outage_at_least=2 s
    ${outages}    Get Outages    ${target}    TCP_IDLE
    Length Should Be    ${outages}    1
    Should Be True    ${outages}[0][shortest_ms] <= 4300 and ${outages}[0][longest_ms] >= 3900

Retransmits Are Told And Judged By Path
    Measure    pod on other node, pod on same node, node port from outside, load balancer from outside, outside address
    ...    iperf_bitrate=10M    probes=${{ ['ICMP', 'TCP_NEW'] }}
    ${node}    Get Outage Endpoint Node    far
    ${fault}    Break Share Of Packets On Node    ${node}    share=20 %    protocol=tcp    ports=${{ [5201] }}
    Wait During Measurement    4 s
    Restore Fault    ${fault}
    Run Keyword And Expect Error
    ...    *pod on other node tcp (iperf3): * of * segments were sent again (*%), limit 0.50%*
    ...    Outages Should Be Within Limits    retransmits_at_most=0.5 %

A Server Outside Is Asked What It Is
    ${address}    ${port}    Start Echo Server Outside
    Measure    outside address    outside_address=${address}    outside_port=${port}
    Wait During Measurement    1 s
    ${seen}    Outages Should Be Within Limits    longest_outage_at_most=200 ms    lost_connections_at_most=0
    FOR    ${kind}    IN    icmp    udp    tcp_new    tcp_kept    http    http_kept
        Should Be True    any(key.startswith('longest_ms outside address ${kind}') for key in $seen)
    END


*** Keywords ***
Two Sources Are Ready On A Lab
    [Documentation]    These tests break things, so they run on a lab alone.
    Connect To Cluster
    Restore All Faults
    VAR    ${OUTAGE_SOURCES}    ${2}    scope=SUITE
    VAR    ${OUTAGE_PROBE_CPU}    100m    scope=SUITE
    Outage Endpoints Are Ready

Measure
    [Documentation]    Starts a measurement of some paths.
    [Arguments]    ${paths}    &{options}
    VAR    @{names}    @{{ [name.strip() for name in $paths.split(',')] }}
    Start Outage Measurement    ${TEST_NAME}    ${NAMESPACE}    @{names}
    ...    quiet=2 s    settle=2 s    host_port=${OUTAGE_HOST_PORT}    &{options}

Outage Is Found With
    [Documentation]    One row: an outage of 700 ms is seen by new and kept connections, however many there are.
    [Arguments]    ${connections}
    Measure    pod on other node    connections=${connections}    probes=${{ ['TCP_NEW', 'TCP_KEPT'] }}
    ${node}    Get Outage Endpoint Node    far
    Break Traffic On Node    ${node}    protocol=tcp    ports=${{ [7007] }}    how=drop    for=700 ms
    Outages Should Be Within Limits    longest_outage_at_least=600 ms    lost_connections_at_most=0
    VAR    ${file}    ${OUTPUT_DIR}/measurements.jsonl
    ${record}    Evaluate    json.loads(pathlib.Path($file).read_text().splitlines()[-1])    modules=json,pathlib
    FOR    ${sample}    IN    @{record}[samples]
        VAR    ${text}    ${sample}[probe]: longest outage ${sample}[longest_ms] ms, resolution ${sample}[spacing_ms] ms
        Log    ${connections} connections, ${text}, of the path ${sample}[path_spacing_ms] ms    console=True
        # What the machine's load leaves of the resolution is shown; what is claimed has to hold all the same
        ${longest}    Evaluate    max($sample['windows'], key=lambda window: window['length_ms'])
        Should Be True    ${longest}[longest_ms] >= 700
        Should Be True    ${sample}[path_spacing_ms] < 700
    END

Start Echo Server Outside
    [Documentation]    Starts `netlibrary echo` on the lab's vantage point outside, as anybody would on a machine.
    VAR    ${port}    ${{ random.randint(31000, 32000) }}
    ${library}    Get Library Instance    NetLibrary
    VAR    ${outside}    ${library.session.cluster(None).lab.outside}
    VAR    @{inside}    nsenter    --net\=/run/netns/${outside.netns}
    VAR    @{echo}    ${{ sys.executable }}    -m    NetLibrary.cli    echo    --port    ${port}
    Start Process    @{inside}    @{echo}    --iperf-port    ${{ $port + 1 }}
    Wait Until Keyword Succeeds    40 s    0.5 s    Server Should Answer    ${port}    @{inside}
    RETURN    ${outside.address}    ${port}

Server Should Answer
    [Documentation]    Fails until the server is up; Python starts slowly on a busy machine.
    [Arguments]    ${port}    @{inside}
    ${done}    Run Process    @{inside}    curl    -sf    http://127.0.0.1:${port}/netlibrary
    Should Contain    ${done.stdout}    netlibrary-echo

Mend And Finish
    [Documentation]    Leaves nothing broken behind.
    Restore All Faults
    Abort Outage Measurement
    Terminate All Processes
