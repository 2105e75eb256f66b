*** Settings ***
Documentation       Every variable of the CyPerf suite, set on the command line to what is not its default; see
...                 variables.robot.

Library             OperatingSystem
Library             NetLibrary
Library             variables.py

Suite Setup         Connect To Cluster
Suite Teardown      Delete Everything This Run Created

Test Tags           variables    slow


*** Variables ***
${OTHER}        other.example
${TAGS}         spec.containers[0].env[?(@.name=="AGENT_TAGS")].value


*** Test Cases ***
# Each test is a list of variables, and of the places where they show
# robocop: off=LEN04,LEN06
CyPerf Agents And Runs
    Load Images Under Another Name    cyperf    ${OTHER}
    ${manifests}    Copy Of    manifests/cyperf    kind: Service=kind: Service
    ${client}    Copy Of    manifests/cyperf/client.yaml    Client,node-owner=Client,site-owner
    ${server}    Copy Of    manifests/cyperf/server.yaml    Server,node-owner=Server,site-owner
    Run Suite With    cyperf    -t    HTTP By Cluster IP    -t    HTTP Connections By Pod IP    -t    HTTP Through*
    ...    CYPERF_CONFIGURATION:CyPerf AppMix
    ...    CYPERF_DURATION:2 s
    ...    CYPERF_PAUSE_BETWEEN_RUNS:7 s
    ...    CYPERF_STAND_IN_IMAGE:${OTHER}/netlibrary/cyperf-agent-stand-in:1
    ...    CYPERF_MANIFESTS:${manifests}
    ...    CYPERF_CLIENT_MANIFEST:${client}
    ...    CYPERF_SERVER_MANIFEST:${server}
    ...    CYPERF_MEMORY_REQUEST:70Mi
    ...    CYPERF_MEMORY_LIMIT:300Mi
    ...    CYPERF_CPU_REQUEST:20m
    ...    CYPERF_CPU_LIMIT:900m
    ...    CYPERF_MANAGEMENT_INTERFACE:eth0
    ...    CYPERF_TEST_INTERFACE:eth0
    ...    CYPERF_CLIENTS:2
    ...    CYPERF_SERVERS:2
    ...    CYPERF_CLIENT_NODES:node2
    ...    CYPERF_SERVER_NODES:node3
    ...    CYPERF_DEVICE_SERVICE:variables-cyperf/cyperf-agent-service
    ...    NAMESPACE:variables-cyperf
    ...    READY_TIMEOUT:99 s
    ...    SKIP_TEARDOWN:True
    VAR    ${agents}    cyperf-agent-(client|server)
    Objects Should Have    Pod    ${agents}    spec.containers[0].image    ${OTHER}/netlibrary/cyperf-agent-stand-in:1
    Objects Should Have    Pod    ${agents}    spec.containers[0].resources.requests.memory    70Mi
    Objects Should Have    Pod    ${agents}    spec.containers[0].resources.limits.memory    300Mi
    Objects Should Have    Pod    ${agents}    spec.containers[0].resources.requests.cpu    20m
    Objects Should Have    Pod    ${agents}    spec.containers[0].resources.limits.cpu    900m
    FOR    ${name}    IN    AGENT_TEST_INTERFACE    AGENT_MANAGEMENT_INTERFACE
        Objects Should Have    Pod    ${agents}    spec.containers[0].env[?(@.name=="${name}")].value    eth0
    END
    FOR    ${role}    IN    Client    Server
        Objects Should Have    Pod    cyperf-agent-${{ $role.lower() }}    ${TAGS}    .*-${role},site-owner=User.*
    END
    Objects Should Have    Pod    cyperf-agent-client    spec.nodeName    node2
    Objects Should Have    Pod    cyperf-agent-server    spec.nodeName    node3
    Number Of Objects Should Be    Pod    cyperf-agent-client    2
    Number Of Objects Should Be    Pod    cyperf-agent-server    2
    Records Should Have    cyperf    parameters.configuration    CyPerf AppMix
    Records Should Have    cyperf    parameters.timeline[1].Duration    2
    Log Should Say    ${{ re.escape(str($manifests)) }}    pause=[^|]*7    timeout=[^|]*99
    Agents Of The Other Run Are Used
    What Stayed Can Be Looked At And Removed    cyperf-controller-stand-in


*** Keywords ***
Agents Of The Other Run Are Used
    [Documentation]    What is about a real controller, on the one that the run before has left: agents by tag, in
    ...    another cluster, beside a device.
    ${port}    Kubectl    -n    variables-cyperf    get    service    cyperf-controller    -o
    ...    jsonpath={.spec.ports[0].nodePort}
    ${address}    Kubectl    -n    variables-cyperf    get    service    cyperf-controller    -o
    ...    jsonpath={.spec.clusterIP}
    ${node}    Kubectl    get    node    node1    -o    jsonpath={.status.addresses[0].address}
    ${resolver}    Kubectl    -n    kube-system    get    service    kube-dns    -o    jsonpath={.spec.clusterIP}
    Kubectl    -n    default    run    variables-device    --image=docker.io/library/busybox:1.36
    ...    --overrides={"spec":{"nodeName":"node1"}}    --    sleep    9999
    VAR    @{controller}
    ...    CYPERF_CONTROLLER:${node}:${port}
    ...    CYPERF_USERNAME:admin
    ...    CYPERF_AGENT_IMAGE:ghcr.io/netlibrary/cyperf-agent-stand-in:1
    ...    CYPERF_PAUSE_BETWEEN_RUNS:0 s
    ...    CYPERF_DURATION:2 s
    Run Suite With    cyperf    -t    HTTP Users By Name    -t    HTTP Through*
    ...    @{controller}
    ...    CYPERF_AGENTS_ADDRESS:${address}
    ...    CYPERF_AGENT_MEMORY:200Mi
    ...    CYPERF_ONE_AGENT_PER_NODE:yes
    ...    CYPERF_DEVICE_HOST:cyperf-agent-service.variables-cyperf-device.svc.cluster.local
    ...    NAMESPACE:variables-cyperf-device
    ...    CYPERF_DEVICE_NAMESPACE:default
    ...    CYPERF_DEVICE_LABELS:run=variables-device
    ...    CYPERF_NAME_SERVERS:${resolver}
    Objects Should Have    Pod    cyperf-agent    spec.containers[0].resources.limits.memory    200Mi
    Objects Should Have    Pod    agent    spec.containers[0].image    ghcr.io/netlibrary/cyperf-agent-stand-in:1
    Objects Should Have    Pod    agent    spec.containers[0].env[?(@.name=="AGENT_CONTROLLER")].value    ${address}
    Log Should Say    one_per_node=True    device_labels='run=variables-device'    name_servers=[^|]*${resolver}
    ${folder}    Run Suite With    cyperf    -t    HTTP Connections By Node Port
    ...    @{controller}
    ...    CYPERF_CONTROLLER_PROXY:${address}
    ...    CYPERF_CLIENT_TAG:K8s-Group=CyPerf-Agent-Client
    Number Of Objects Should Be    Pod    cyperf-agent-client    0
    Objects Should Have    Pod    agent    spec.containers[0].env[?(@.name=="AGENT_CONTROLLER")].value    ${address}
    ${kubeconfig}    Path Of Kubeconfig
    Copy File    ${kubeconfig}    ${OUTPUT DIR}/elsewhere
    Run Suite With    cyperf    -t    HTTP Connections By Node Port
    ...    @{controller}
    ...    CYPERF_AGENTS_ADDRESS:${address}
    ...    CYPERF_CLIENT_KUBECONFIG:${OUTPUT DIR}/elsewhere
    ...    NAMESPACE:variables-cyperf-elsewhere
    ...    BASELINE:${folder}/measurements.jsonl
    ...    TOLERANCE:99.9 %
    Log Should Say    cyperf-clients    CyPerf Run Should Match Baseline    tolerance=[^|]*99\\.9
    [Teardown]    Run Keywords
    ...    Remove File    ${OUTPUT DIR}/elsewhere
    ...    AND    Kubectl    -n    default    delete    pod    variables-device    --wait=false
