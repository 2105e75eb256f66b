*** Settings ***
Documentation     CyPerf keywords meet what goes wrong: bad input, a controller that misbehaves, agents and nodes that
...               fail. Each must be named in words, the session must be gone afterwards, and no secret may be in a log.

Library           Collections
Library           OperatingSystem
Library           Process
Library           RequestsLibrary
Resource          NetLibrary/resources/cyperf.resource

Suite Setup       CyPerf Controller And Agents Are Available
# Its own deletion need not be waited for: the last suite of this folder does
Suite Teardown    Run Keywords
...               Save CyPerf Agent Logs    AND
...               Close CyPerf Session    AND
...               Delete Everything This Run Created    wait=False
Test Setup        Set CyPerf Stand In Faults    reset=${True}
Test Teardown     End Of Test

Test Tags         cyperf


*** Variables ***
${WRONG: Secret}    %{CYPERF_ATEST_WRONG=planted-wrong-password-7719}
${LONG: Secret}     %{CYPERF_ATEST_TOKEN=stand-in-offline-token}
${BASELINE}         ${OUTPUT DIR}/baseline/measurements.jsonl


*** Test Cases ***
Wrong Credentials Are Refused In Words
    ${address}    Controller Address
    ${error}    Run Keyword And Expect Error
    ...    *does not accept user 'admin': Invalid user credentials*
    ...    Connect To CyPerf Controller
    ...    ${address}
    ...    username=admin
    ...    password=${WRONG}
    Should Not Contain    ${error}    planted-wrong-password
    Run Keyword And Expect Error
    ...    *does not accept the refresh token: Invalid refresh token*
    ...    Connect To CyPerf Controller
    ...    ${address}
    ...    refresh_token=${WRONG}

Password As Plain Text Is Refused
    VAR    ${plain}    literal
    Run Keyword And Expect Error
    ...    *'password'*Secret*
    ...    Connect To CyPerf Controller
    ...    127.0.0.1
    ...    username=admin
    ...    password=${plain}

Unreachable Controller Is Named
    Run Keyword And Expect Error
    ...    *CyPerf controller https://127.0.0.1:1 cannot be reached: Connection refused*
    ...    Connect To CyPerf Controller
    ...    127.0.0.1:1
    ...    username=admin
    ...    password=${CYPERF_PASSWORD}

Bad Names Are Answered With Those There Are
    [Template]    Error Should Match
    *no configuration named 'CyPerf AppMax'*Similar: 'CyPerf AppMix'*    Open CyPerf Session    CyPerf AppMax
    *cannot be read: No such file or directory*    Open CyPerf Session    nowhere/missing.zip
    *namespace is 'not-there', which does not exist*    Deploy CyPerf Agents    Server    not-there
    *replicas is 0; at least 1 is needed*    Deploy CyPerf Agents    Server    ${NAMESPACE}    replicas=0
    *There is no node 'node99'; nodes are*    Label CyPerf Nodes    client_nodes=['node99']

Bad Applications And Agents Are Named
    [Setup]    Prepare Session    HTTP App    cluster ip    80    throughput    1M    2 s
    [Template]    Error Should Match
    *name 'Google' is ambiguous*'Google Docs'*'Google Drive'*    Use CyPerf Applications    Google
    *no application named 'Gopher App'. Similar:*    Use CyPerf Applications    Gopher App
    *lists the application 'Retired App', but it cannot be added*    Use CyPerf Applications    Retired App
    *No online agent has the tag 'role:nobody'; existing tags: *    Assign CyPerf Agents    Client    role:nobody

Bad Ports And Objectives Are Named
    [Setup]    Prepare Session    HTTP App    cluster ip    80    throughput    1M    2 s
    [Template]    Error Should Match
    *port is 8443; Service 'cyperf-agent-service' has 80/TCP, 443/TCP*
    ...    Aim CyPerf Clients At Service    cluster ip    port=${8443}
    *destination_port is 70000; allowed: 0 to 65535*    Set CyPerf Ports    70000
    *objective must be above 0*    Set CyPerf Objective    throughput    0    5 s
    *No CyPerf test was started*    Get CyPerf Statistic    client-throughput    Throughput

Web Page Instead Of JSON Is Recognised
    Set CyPerf Stand In Faults    html={"/api/v2/configs": -1}
    Error Should Match
    ...    *answered GET /api/v2/configs with text/html 'End user license agreement*instead of JSON*EULA*
    ...    Open CyPerf Session
    ...    ${CYPERF_CONFIGURATION}

Open Licence Agreement Is Named And Can Be Accepted
    Set CyPerf Stand In Faults    eula_pending=${True}
    ${address}    Controller Address
    Error Should Match
    ...    *licence agreement of the CyPerf controller*is not accepted*accept_eula\=True*
    ...    Connect To CyPerf Controller
    ...    ${address}
    ...    username=admin
    ...    password=${CYPERF_PASSWORD}
    Connect To CyPerf Controller    ${address}    refresh_token=${LONG}    accept_eula=True

Missing Licence Skips The Test
    Prepare Session    HTTP App    cluster ip    80    throughput    1M    2 s
    Set CyPerf Stand In Faults    licence_missing=${True}
    Start CyPerf Test
    [Teardown]    Run Keywords
    ...    Should Be Equal    ${TEST STATUS}    SKIP
    ...    AND    Should Contain    ${TEST MESSAGE}    No license is available
    ...    AND    End Of Test

Missing Netmask Is Mended With The Addresses Of The Agents
    Prepare Session    HTTP App    cluster ip    80    throughput    1M    2 s
    Set CyPerf Stand In Faults    netmask_missing=${True}
    Run CyPerf Test
    CyPerf Statistic Should Be    client-traffic-profile    Connections Succeeded    at_least=1    aggregate=last

Slow Start Ends At Its Limit
    Prepare Session    HTTP App    cluster ip    80    throughput    1M    2 s
    Set CyPerf Stand In Faults    operation_seconds={"start": 8}
    Error Should Match    *did not end within 1.5 s; it is at * %*    Start CyPerf Test    timeout=1.5 s

Agents Of Another Session Are Named
    Prepare Session    HTTP App    cluster ip    80    simulated users    1    20 s
    Start CyPerf Test
    Open CyPerf Session    ${CYPERF_CONFIGURATION}
    Error Should Match    *are in use by another session: *session*of admin*    Assign CyPerf Agents    Client
    Close CyPerf Session
    Abort CyPerf Test

Token Is Renewed In The Middle Of A Run And Never Logged
    Prepare Session    HTTP App    cluster ip    80    connections per second    20    3 s
    Start CyPerf Test
    Set CyPerf Stand In Faults    expire_tokens=${True}
    Wait For CyPerf Test
    ${address}    Controller Address
    Connect To CyPerf Controller
    ...    ${address}
    ...    username=${CYPERF_USERNAME}
    ...    password=${CYPERF_PASSWORD}
    ...    requests_alias=cyperf
    Set CyPerf Stand In Faults    expire_tokens=${True}
    ${answer}    GET On Session    cyperf    /api/v2/time    timeout=10
    Should Be True    ${answer.json()}[now] > 0
    Should Not Contain    ${answer.request.headers}    Authorization
    Log    ${answer.request.headers}

Broken Download Leaves No File
    Prepare Session    HTTP App    cluster ip    80    connections per second    20    2 s
    Run CyPerf Test
    ${csv}    Download CyPerf Report    csv
    File Should Exist    ${csv}
    Set CyPerf Stand In Faults    drop_downloads={"/download-": 100}
    Error Should Match    *download*failed: the connection ended after * of * bytes*    Download CyPerf Report    pdf
    ${left}    List Files In Directory    ${OUTPUT DIR}/cyperf    *.pdf*
    Should Be Empty    ${left}

Run Is Measured With Limits, Units And A Baseline
    Prepare Session    HTTP App    cluster ip    80    connections per second    20    2 s
    Run CyPerf Test
    Set CyPerf Stand In Faults    failing_views=["client-latency"]
    CyPerf Run Should Reach    connections_per_second_at_least=1
    Bad Limits And Names Should Be Named
    Run Should Be Compared With A Baseline

Wrong Server Port Fails The Run And Its Reason Is Named
    Prepare Session    HTTP App    cluster ip    80    connections per second    20    2 s
    Set CyPerf Ports    server_port=8081
    Run CyPerf Test
    ${error}    Run Keyword And Expect Error    *    CyPerf Traffic Should Meet Acceptance Rules
    Should Contain    ${error}    HTTP requests answered with 2xx: expected at least 100 %, seen 0 %
    Set CyPerf Health Check    ${False}
    Run CyPerf Test
    ${error}    Run Keyword And Expect Error    *    CyPerf Traffic Should Meet Acceptance Rules
    Should Contain    ${error}    connections failed: expected 0, seen
    Should Match Regexp    ${error}    connecting to [\\d.]+:80: .*refused

Missing Resolver Fails The Run And Its Reason Is Named
    Prepare Session    HTTP App    fqdn    80    connections per second    20    2 s
    Set CyPerf Name Servers
    Run CyPerf Test
    ${error}    Run Keyword And Expect Error    *    CyPerf Traffic Should Meet Acceptance Rules
    Should Contain    ${error}    no name server is set for 'cyperf-agent-service.${NAMESPACE}.svc.cluster.local'

Full Connection Tracking Is Recognised As Such
    [Tags]    disruptive    slow
    Prepare Session    HTTP App    cluster ip    80    connections per second    30    5 minutes
    ${nodes}    Get Objects    Pod    ${NAMESPACE}    labels=run=cyperf-agent-client
    VAR    ${node}    ${nodes}[0][spec][nodeName]
    Start CyPerf Test
    ${fault}    Break Connection Tracking Of Node    ${node}
    Let CyPerf Test Run    5 s
    Restore Fault    ${fault}
    Stop CyPerf Test
    ${error}    Run Keyword And Expect Error    *    CyPerf Traffic Should Meet Acceptance Rules
    Should Contain    ${error}    Connection tracking of node '${node}' is exhausted
    Should Contain    ${error}    nf_conntrack_max
    [Teardown]    Run Keywords    Restore All Faults    AND    End Of Test

Lost Agent Is Named
    [Documentation]    A lost server agent is a row of the suite.
    [Tags]    slow
    Prepare Session    HTTP App    cluster ip    80    simulated users    2    30 s
    Start CyPerf Test
    Let CyPerf Test Run    1 s
    Scale CyPerf Agents    Client    0    wait_until_registered=False
    Let CyPerf Test Run    6 s
    Stop CyPerf Test
    ${reasons}    Explain CyPerf Run
    Should Contain    ${reasons}    lost its connection to the controller
    Scale CyPerf Agents    Client    1    timeout=${READY_TIMEOUT}
    ${purged}    Delete Offline CyPerf Agents
    Should Be True    ${purged} >= 1

Multus Variant Is Accepted By A Cluster With Multus
    [Documentation]    The API server checks the objects against the definition that Multus brings; nothing is started.
    Create Namespace    ${NAMESPACE}-multus
    Apply Manifest    ${CURDIR}/cyperf_multus_crd.yaml
    Wait Until Keyword Succeeds    10 s    0.2 s    Multus Variant Is Applied
    FOR    ${role}    IN    client    server
        ${network}    Get Object
        ...    NetworkAttachmentDefinition.k8s.cni.cncf.io
        ...    cyperf-${role}-network
        ...    ${NAMESPACE}-multus
        ${config}    Evaluate    json.loads($network["spec"]["config"])    modules=json
        Should Be Equal    ${config}[type]    host-device
        Should Be Equal    ${config}[ipam][type]    host-local
    END
    [Teardown]    Multus Variant Is Gone

Clients In Another Cluster Reach Servers By NodePort
    [Documentation]    The second connection leads to the same lab; everything about clients goes through it.
    [Tags]    slow
    ${kubeconfig}    Get Variable Value    ${KUBECONFIG}    ${NONE}
    Connect To Cluster    alias=elsewhere    kubeconfig=${kubeconfig}
    Deploy Agents    Client    cluster=elsewhere
    Prepare Session    HTTP App    node port    80    connections per second    20    2 s
    CyPerf Configuration Should Fit Cluster    pause=0 s
    Run CyPerf Test
    CyPerf Traffic Should Meet Acceptance Rules
    [Teardown]    Run Keywords    End Of Test    AND    Deploy Agents    Client

Secrets Are In No Output
    [Documentation]    Runs a suite at TRACE level in a process of its own and searches all that it wrote.
    VAR    ${folder}    ${OUTPUT DIR}/secrets
    Run Suite With Secrets    ${folder}
    # Console, debug file, xunit, log and records: each must be there, or the search proves nothing
    FOR    ${name}    IN    console.txt    debug.txt    xunit.xml    output.xml    log.html    report.html
        File Should Not Be Empty    ${folder}/${name}
    END
    ${console}    Get File    ${folder}/debug.txt
    Should Contain    ${console}    Connect To CyPerf Controller    msg=The suite did not log what it did.
    Files Should Not Contain
    ...    ${folder}
    ...    CyPerf&amp;Keysight
    ...    CyPerf&Keysight
    ...    CyPerf%26Keysight
    ...    planted-secret
    ...    stand-in-offline-token
    ...    standin-access-
    ...    standin-refresh-


*** Keywords ***
Multus Variant Is Applied
    [Documentation]    Needs the definition to be served, which takes a moment.
    Apply Manifest
    ...    ${CYPERF_MANIFESTS}/multus.yaml
    ...    namespace=${NAMESPACE}-multus
    ...    Deployment.spec.replicas=${0}

Multus Variant Is Gone
    [Documentation]    Deletes what the test made.
    Delete Namespace    ${NAMESPACE}-multus
    Delete Object    CustomResourceDefinition    network-attachment-definitions.k8s.cni.cncf.io
    End Of Test

Run Suite With Secrets
    [Documentation]    Runs the suite that knows secrets, in a process of its own.
    [Arguments]    ${folder}
    Create Directory    ${folder}
    ${address}    Controller Address
    ${run}    Run Process
    ...    ${{ __import__('sys').executable }}
    ...    -m
    ...    robot
    ...    -d
    ...    ${folder}
    ...    --loglevel
    ...    TRACE
    ...    --debugfile
    ...    debug.txt
    ...    --xunit
    ...    xunit.xml
    ...    --pythonpath
    ...    ${CURDIR}/..
    ...    -v
    ...    ADDRESS:${address}
    ...    ${CURDIR}/_cyperf_secrets.robot
    ...    stdout=${folder}/console.txt
    ...    stderr=STDOUT
    ...    timeout=60 s
    ...    env:CYPERF_PASSWORD=CyPerf&Keysight#1
    ...    env:CYPERF_WRONG=planted-secret-4711
    ...    env:CYPERF_TOKEN=stand-in-offline-token
    Should Be Equal As Integers    ${run.rc}    0    msg=${run.stdout}

Error Should Match
    [Documentation]    Runs a keyword and expects an error with these words.
    [Arguments]    ${pattern}    ${keyword}    @{arguments}    &{named}
    Run Keyword And Expect Error    ${pattern}    ${keyword}    @{arguments}    &{named}

Controller Address
    [Documentation]    Address of the stand-in of this suite.
    ${service}    Get Object    Service    cyperf-controller    ${NAMESPACE}
    ${nodes}    Get Objects    Node
    FOR    ${entry}    IN    @{nodes}[0][status][addresses]
        IF    '${entry}[type]' == 'InternalIP'    BREAK
    END
    RETURN    ${entry}[address]:${service}[spec][ports][0][nodePort]

End Of Test
    [Documentation]    No fault and no session stays.
    Set CyPerf Stand In Faults    reset=${True}
    Close CyPerf Session    every_session=True

Bad Limits And Names Should Be Named
    [Documentation]    A number that the run lacks, a limit of another unit, and unknown names.
    Error Should Match
    ...    *first byte: expected at most*seen no value*
    ...    CyPerf Run Should Reach
    ...    first_byte_at_most=1 s
    Error Should Match
    ...    *'throughput_at_least'*'5 ms'*cannot be converted to Bitrate*
    ...    CyPerf Run Should Reach
    ...    throughput_at_least=5 ms
    Error Should Match
    ...    *no statistic 'client-thruput'*client-throughput*
    ...    Get CyPerf Statistic
    ...    client-thruput
    ...    x
    Error Should Match    *has no column 'Speed'; it has*    Get CyPerf Statistic    client-throughput    Speed
    Error Should Match
    ...    *throughput: expected at least 100 Gbit/s*
    ...    CyPerf Run Should Reach
    ...    throughput_at_least=100G

Run Should Be Compared With A Baseline
    [Documentation]    The same run is as good as itself; one with a better baseline is not.
    Copy File    ${OUTPUT DIR}/measurements.jsonl    ${BASELINE}
    CyPerf Run Should Match Baseline    ${BASELINE}
    ${text}    Get File    ${BASELINE}
    ${better}    Evaluate
    ...    __import__('re').sub(r'("connections_per_second":)\\[[^]]*\\]', r'\\1[9000.0]', $text)
    Create File    ${BASELINE}    ${better}
    Error Should Match
    ...    *connections per second against the baseline: expected 9000/s, at most 20 % worse*
    ...    CyPerf Run Should Match Baseline
    ...    ${BASELINE}

Files Should Not Contain
    [Documentation]    Searches every file of a folder, pictures included.
    [Arguments]    ${folder}    @{words}
    ${files}    Evaluate    [p for p in __import__('pathlib').Path($folder).rglob('*') if p.is_file()]
    Should Not Be Empty    ${files}
    FOR    ${file}    IN    @{files}
        ${data}    Get Binary File    ${file}
        FOR    ${word}    IN    @{words}
            ${found}    Evaluate    $word.encode() in $data
            Should Not Be True    ${found}    msg=${file} contains '${word}'.
        END
    END
