*** Settings ***
Documentation       The Skupper suite meets what goes wrong: every object left out, wrong images, busy servers, SIGTERM.
...                 Each failure must say what is wrong in its first lines.

Library             Collections
Library             OperatingSystem
Library             Process
Library             String
Resource            NetLibrary/resources/skupper.resource

Suite Setup         Skupper Network Is Available
Suite Teardown      Nothing Of This Run Should Stay
Test Teardown       Remove The Three Namespaces

Test Tags           skupper


*** Variables ***
${SUITE_FILE}       ${CURDIR}/../suites/skupper_iperf3.robot
${OUT}              ${OUTPUT DIR}/runs
# Handed on to the runs that a test starts
${CLUSTER}          ${EMPTY}
${KUBECONFIG}       ${EMPTY}


*** Test Cases ***
Missing Attached Connector Is Named
    Create The Three Namespaces    noconn
    Create Site And Binding In Hub
    Explanation Should Match    AttachedConnectorBinding    iperf3    ${HUB}    hub
    ...    *AttachedConnectorBinding '*-hub/iperf3' has no AttachedConnector 'iperf3' in namespace '*-workload'*

Missing Site Is Named
    Create The Three Namespaces    nosite
    Apply Manifest
    ...    ${SKUPPER_MANIFESTS}/client.yaml
    ...    namespace=${CLIENT}
    ...    cluster=client
    Delete Object    Site.skupper.io    iperf3-client    ${CLIENT}    wait_until_gone=True    cluster=client
    Explanation Should Match    Listener    iperf3-client    ${CLIENT}    client
    ...    *Namespace '*-client' has no Site, so Listener '*-client/iperf3-client' has no effect*

Missing Link Is Named
    Create The Three Namespaces    nolink
    Start Iperf3 Server In Workload
    Create Site And Binding In Hub
    Create Site And Listener In Client
    Attach Workload To Hub
    Explanation Should Match    Listener    iperf3-client    ${CLIENT}    client
    ...    *The sites '*-client', '*-hub' are not linked: there is no Link and no AccessToken.*

Missing Server Is Named
    Create The Three Namespaces    noserver
    Create Site And Binding In Hub
    Attach Workload To Hub
    Explanation Should Match    AttachedConnector    iperf3    ${WORKLOAD}    workload
    ...    *No ready pod matches its selector 'app=iperf3-server'*

Wrong Routing Key Is Named
    Create The Three Namespaces    wrongkey
    Create Site And Binding In Hub
    Apply Manifest
    ...    ${SKUPPER_MANIFESTS}/client.yaml
    ...    namespace=${CLIENT}
    ...    cluster=client
    ...    Listener.spec.routingKey=iperf4
    Explanation Should Match    Listener    iperf3-client    ${CLIENT}    client
    ...    *asks for routing key 'iperf4', which no Connector and no AttachedConnectorBinding offers*

Used Up Grant Is Named
    [Tags]    slow
    Create The Three Namespaces    usedup
    Create Site And Binding In Hub
    Create Site And Listener In Client
    Grant Access    once    ${HUB}    redemptions=1    cluster=hub
    Redeem Access    once    ${HUB}    ${CLIENT}    granting_cluster=hub    cluster=client
    ${message}    Run Keyword And Expect Error
    ...    AccessToken '${CLIENT}/again' was not Ready within 3 s: *
    ...    Redeem Access
    ...    once
    ...    ${HUB}
    ...    ${CLIENT}
    ...    name=again
    ...    timeout=3 s
    ...    granting_cluster=hub
    ...    cluster=client
    Should Contain    ${message}    The grant is used up: allow more redemptions or create a new grant.

Namespace That Exists Already Is Left Alone
    Create The Three Namespaces    twice
    ${message}    Run Keyword And Expect Error
    ...    The namespace '*' already exists: this run has created it before.
    ...    Create Namespace    ${HUB}    cluster=hub
    Should Contain    ${message}    ${HUB}

Server Image That Cannot Be Had Is Named
    Create The Three Namespaces    noimage
    VAR    ${SKUPPER_IPERF3_IMAGE}    registry.invalid/iperf3:1    scope=TEST
    Start Iperf3 Server In Workload
    ${message}    Run Keyword And Expect Error
    ...    Deployment '${WORKLOAD}/iperf3-server': pod 'iperf3-server-*' cannot get ready: *
    ...    Wait Until Deployment Is Available    iperf3-server    ${WORKLOAD}    cluster=workload
    Should Contain Any    ${message}    ErrImagePull    ImagePullBackOff
    Should Contain    ${message}    registry.invalid/iperf3:1

Absent Server Is Told From A Refusing Network
    Create The Three Namespaces    absent
    Create Namespace For Client Only
    ${message}    Run Keyword And Expect Error
    ...    No throughput from '${CLIENT}' to 'nobody:5201' (1 attempt, *): unresolved: *
    ...    Measure Throughput    nobody    ${CLIENT}    duration=1 s    retry_for=0 s    cluster=client
    Log    ${message}
    Run Keyword And Expect Error
    ...    A connection from '${CLIENT}' to 'nobody:5201' was not refused: unresolved: *
    ...    Traffic Should Be Refused    nobody    ${CLIENT}    cluster=client

Busy Server Is Tried Again
    [Tags]    slow
    Create The Three Namespaces    busy
    Start Iperf3 Server In Workload
    ${address}    Get Address Of Iperf3 Server
    ${pods}    Wait Until Pods Are Ready    ${WORKLOAD}    app=iperf3-server    cluster=workload
    # A test of 3 s inside the server's own pod keeps it busy while the client tries
    VAR    ${busy}    iperf3 -c 127.0.0.1 -t 3 >/dev/null 2>&1 &
    Run In Pod    ${pods}[0]    ${WORKLOAD}    sh    -c    ${busy}    cluster=workload
    ${result}    Measure Throughput    ${address}    ${CLIENT}    duration=1 s    retry_for=20 s    cluster=client
    Should Be True    ${result.bits_per_second} > 1000000

Rate Below The Limit Fails With Both Numbers
    Create The Three Namespaces    slowlimit
    Start Iperf3 Server In Workload
    ${address}    Get Address Of Iperf3 Server
    Run Keyword And Expect Error
    ...    Throughput was * Mbit/s; at least 900 Gbit/s was expected.
    ...    Measure Throughput
    ...    ${address}
    ...    ${CLIENT}
    ...    duration=1 s
    ...    bitrate=5M
    ...    at_least=900G
    ...    cluster=client

Kubeconfig That Does Not Exist Is Named
    ${run}    Run Suite    missing    -v    KUBECONFIG:/does/not/exist
    Should Contain
    ...    ${run.stdout}
    ...    The kubeconfig '/does/not/exist', named by the variable \${KUBECONFIG}, does not exist

Dead Server Is Named
    ${kubeconfig}    Kubeconfig Of Dead Server
    ${run}    Run Suite    dead    -v    KUBECONFIG:${kubeconfig}
    Should Match Regexp
    ...    ${run.stdout}    Cluster 'hub' at https://127\\.0\\.0\\.1:1 did not answer GET /version: .*refused

Stopped Run Leaves Nothing Behind
    [Documentation]    SIGTERM in the middle: teardown runs, the log is complete, no namespace of the run stays.
    VAR    ${prefix}    stop-${{ __import__('secrets').token_hex(3) }}
    ${process}    Start Suite    stopped    -v    NAMESPACE:${prefix}    -v    SKUPPER_DURATION:30 s
    Wait Until Keyword Succeeds    60 s    0.5 s    Get Object    Namespace    ${prefix}-attached-hub
    Send Signal To Process    SIGTERM    ${process}
    ${run}    Wait For Process    ${process}    timeout=90 s    on_timeout=kill
    Should Be True    0 < ${run.rc} < 250    msg=robot ended with ${run.rc}
    File Should Exist    ${OUT}/stopped/log.html
    ${output}    Get File    ${OUT}/stopped/output.xml
    Should End With    ${output.strip()}    </robot>
    ${namespaces}    Get Objects    Namespace
    FOR    ${namespace}    IN    @{namespaces}
        Should Not Start With    ${namespace}[metadata][name]    ${prefix}
    END


*** Keywords ***
Explanation Should Match
    [Documentation]    Waits for an object that cannot get ready and compares what the library says about it.
    [Arguments]    ${kind}    ${name}    ${namespace}    ${cluster}    ${pattern}
    Run Keyword And Expect Error
    ...    ${kind} '${namespace}/${name}' was not Ready within * s: ${pattern}
    ...    Wait Until Skupper Is Ready    ${kind}    ${name}    ${namespace}    timeout=2 s    cluster=${cluster}

Create Namespace For Client Only
    [Documentation]    Makes sure that the client's namespace can start pods: its default account is there.
    Wait Until Keyword Succeeds
    ...    10 s
    ...    0.2 s
    ...    Get Object
    ...    ServiceAccount
    ...    default
    ...    ${CLIENT}
    ...    cluster=client

Start Suite
    [Documentation]    Starts the suite in a process of its own, on the same cluster unless the options say otherwise.
    [Arguments]    ${name}    @{options}
    ${process}    Start Process
    ...    ${{ __import__('sys').executable }}
    ...    -m
    ...    robot
    ...    -d
    ...    ${OUT}/${name}
    ...    -t
    ...    Traffic Crosses Attached Connector
    ...    -v
    ...    CLUSTER:${CLUSTER}
    ...    -v
    ...    KUBECONFIG:${KUBECONFIG}
    ...    @{options}
    ...    ${SUITE_FILE}
    ...    stdout=${OUT}/${name}.txt
    ...    stderr=STDOUT
    RETURN    ${process}

Run Suite
    [Documentation]    Runs the suite to its end and expects it to fail.
    [Arguments]    ${name}    @{options}
    Create Directory    ${OUT}
    ${process}    Start Suite    ${name}    @{options}
    ${run}    Wait For Process    ${process}    timeout=60 s    on_timeout=kill
    Should Be True    ${run.rc} > 0    msg=The run should have failed:\n${run.stdout}
    RETURN    ${run}

Kubeconfig Of Dead Server
    [Documentation]    Writes a kubeconfig whose server nobody listens at.
    VAR    ${path}    ${OUTPUT DIR}/dead.kubeconfig
    VAR    &{cluster}    name=x    cluster=${{ {"server": "https://127.0.0.1:1"} }}
    VAR    &{user}    name=x    user=${{ {"token": "a-token-of-nobody"} }}
    VAR    &{context}    name=x    context=${{ {"cluster": "x", "user": "x"} }}
    VAR    &{config}
    ...    apiVersion=v1
    ...    kind=Config
    ...    current-context=x
    ...    clusters=${{ [$cluster] }}
    ...    users=${{ [$user] }}
    ...    contexts=${{ [$context] }}
    Create File    ${path}    ${{ json.dumps($config) }}
    RETURN    ${path}
