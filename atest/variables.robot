*** Settings ***
Documentation       Every variable of every suite, set on the command line to what is not its default: the effect is
...                 seen in the pods and Services that the run makes, in its records, or in arguments of keywords.
...
...                 SKIP_TEARDOWN is on in most runs, in each of its forms: the commands that it prints are run as they
...                 stand, and leave nothing. What all suites say about pods (REGISTRY, TOLERATIONS …) is in
...                 guests.robot, kubeconfigs of Skupper are in skupper_two_clusters.robot.

Library             OperatingSystem
Library             NetLibrary
Library             variables.py

Suite Setup         Connect To Cluster
Suite Teardown      Delete Everything This Run Created

Test Tags           variables    slow


*** Variables ***
${OTHER}        other.example
${LANYARD}      quay.io/skupper/lanyard:2.1
${AGNHOST}      registry.k8s.io/e2e-test-images/agnhost:2.45


*** Test Cases ***
# Each test is a list of variables, and of the places where they show
# robocop: off=LEN04,LEN06
Cluster Health
    Kubectl    -n    default    run    variables    --image=docker.io/library/busybox:1.36    --    sleep    9999
    Kubectl    -n    default    wait    --for=condition=Ready    pod/variables    --timeout=60s
    ${manifests}    Copy Of    manifests/cluster_health    app: health=app: health, copied: "yes"
    Run Suite With    cluster_health
    ...    HEALTH_IMAGE:docker.io/library/busybox:1.37
    ...    HEALTH_NAMESPACES:kube-system, default
    ...    HEALTH_RESTARTS_WITHIN:1 minute
    ...    HEALTH_MANIFESTS:${manifests}
    ...    NAMESPACE:variables-health
    ...    READY_TIMEOUT:99 s
    ...    SKIP_TEARDOWN:true
    Objects Should Have    Pod    health-    spec.containers[0].image    docker.io/library/busybox:1.37
    Objects Should Have    Pod    health-    metadata.namespace    variables-health
    Objects Should Have    Pod    health-    metadata.labels.copied    yes
    Log Should Say    restarts_within=[^|]*60    timeout=[^|]*99    'default' [|] restarts_within
    What Stayed Can Be Looked At And Removed    pod/health-node1
    ${kubeconfig}    Path Of Kubeconfig
    Copy File    ${kubeconfig}    ${OUTPUT DIR}/contexts
    ${current}    Kubectl    config    --kubeconfig    ${OUTPUT DIR}/contexts    current-context
    Kubectl    config    --kubeconfig    ${OUTPUT DIR}/contexts    rename-context    ${current.strip()}    variables
    Kubectl    config    --kubeconfig    ${OUTPUT DIR}/contexts    unset    current-context
    Run Suite With    cluster_health    -t    API Server*
    ...    CLUSTER:kubeconfig
    ...    KUBECONFIG:${OUTPUT DIR}/contexts
    ...    CONTEXT:variables
    # Without its context this kubeconfig leads nowhere
    Log Should Say    named by the variable
    [Teardown]    Kubectl    -n    default    delete    pod    variables    --wait=false

Throughput
    ${folder}    Run Suite With    throughput    -t    Pod On*    -t    Paths*    -t    Requests On The Same*
    ...    THROUGHPUT_DURATION:2s
    ...    THROUGHPUT_REPEATS:2
    ...    THROUGHPUT_VARIATION_AT_MOST:900 %
    ...    THROUGHPUT_SERVER_NODE:node2
    ...    THROUGHPUT_IMAGE:${LANYARD}
    ...    THROUGHPUT_FAMILY:4
    ...    THROUGHPUT_SHARE_AT_LEAST:0.1 %
    ...    THROUGHPUT_P99_AT_MOST:5 s
    ...    NAMESPACE:variables-throughput
    ...    READY_TIMEOUT:99 s
    ...    SKIP_TEARDOWN:yes
    Objects Should Have    Pod    (iperf3|fortio)-server    spec.nodeName    node2
    Objects Should Have    Pod    iperf3    spec.containers[0].image    ${LANYARD}
    Number Of Records Should Be    throughput    4
    Records Should Have    throughput    parameters.seconds    2.0
    Records Should Have    request_latency    parameters.p99_at_most    5000.0
    Records Should Have    request_latency    parameters.seconds    2.0
    Log Should Say    family=4    variation_at_most=[^|]*9    timeout=[^|]*99
    ...    Paths Should Carry Their Share.{0,9}    0\\.1
    What Stayed Can Be Looked At And Removed    iperf3-server    fortio-server
    Run Suite With    throughput    -t    Pod On The Same*
    ...    BASELINE:${folder}/measurements.jsonl
    ...    TOLERANCE:99.9 %
    Log Should Say    Measurement Should Match Baseline    tolerance=[^|]*99\\.9
    Run Suite With    throughput    -t    Requests On The Same*
    ...    THROUGHPUT_FORTIO_IMAGE:${OTHER}/none/fortio:1
    ...    IMAGE_PULL_POLICY:Never
    ...    status=FAIL
    Messages Should Say    ${OTHER}/none/fortio:1

Skupper
    ${manifests}    Copy Of    manifests/skupper_iperf3    kind: Site=kind: Site
    ${folder}    Run Suite With    skupper_iperf3    -t    Traffic Crosses*    -t    Attached*
    ...    SKUPPER_BANDWIDTH:200k
    ...    SKUPPER_DURATION:3 s
    ...    SKUPPER_HUB_NAMESPACE:e2e-iperf3-hub
    ...    SKUPPER_CLIENT_NAMESPACE:e2e-iperf3-client
    ...    SKUPPER_WORKLOAD_NAMESPACE:e2e-iperf3-workload
    ...    SKUPPER_LINK_ACCESS:loadbalancer
    ...    SKUPPER_IPERF3_IMAGE:${LANYARD}
    ...    SKUPPER_MANIFESTS:${manifests}
    ...    READY_TIMEOUT:99 s
    Records Should Have    throughput    parameters.bits_per_second    200000.0
    Records Should Have    throughput    parameters.at_least    180000.0
    Records Should Have    throughput    parameters.seconds    3.0
    Objects Should Have    Pod    e2e-iperf3-workload/iperf3-server    spec.containers[0].image    ${LANYARD}
    Number Of Objects Should Be    Namespace    ^e2e-iperf3-(hub|client|workload)$    3
    Log Should Say    linkAccess[^\\n]{0,20}loadbalancer    timeout=[^|]*99
    Run Suite With    skupper_iperf3    -t    Traffic Crosses*
    ...    SKUPPER_BANDWIDTH:200k
    ...    SKUPPER_DURATION:3 s
    ...    BASELINE:${folder}/measurements.jsonl
    ...    TOLERANCE:99.9 %
    ...    NAMESPACE:variables-skupper
    ...    SKIP_TEARDOWN:1
    Log Should Say    Measurement Should Match Baseline    tolerance=[^|]*99\\.9
    Number Of Objects Should Be    Namespace    ^variables-skupper-attached-(hub|client|workload)$    3
    What Stayed Can Be Looked At And Removed    iperf3-server    skupper-router

E2SAR
    Load Images Under Another Name    e2sar    ${OTHER}
    ${manifests}    Copy Of    manifests/e2sar    app: e2sar-receiver=app: e2sar-receiver
    VAR    ${image}    ${OTHER}/netlibrary/e2sar-perf-standin:1
    Run Suite With    e2sar    -t    Original*
    ...    E2SAR_IMAGE:${image}
    ...    E2SAR_SERVICE:e2sar-receiver-svc
    ...    E2SAR_MTU:1400
    ...    E2SAR_RATE:20M
    ...    E2SAR_LENGTH:2000
    ...    E2SAR_NUM_EVENTS:400
    ...    E2SAR_BUF_SIZE:524288
    ...    E2SAR_DURATION:25 s
    ...    E2SAR_PORT:20522
    ...    E2SAR_THREADS:2
    ...    E2SAR_MANIFESTS:${manifests}
    ...    NAMESPACE:variables-e2sar
    ...    READY_TIMEOUT:99 s
    ...    SKIP_TEARDOWN:True
    Records Should Have    e2sar    parameters.senders[0].mtu    1400
    Records Should Have    e2sar    parameters.senders[0].rate_gbps    0.02
    Records Should Have    e2sar    parameters.senders[0].event_bytes    2000
    Records Should Have    e2sar    parameters.senders[0].events    400
    Records Should Have    e2sar    parameters.senders[0].buffer_bytes    524288
    Records Should Have    e2sar    parameters.receivers[0].buffer_bytes    524288
    Records Should Have    e2sar    parameters.receivers[0].port    20522
    Records Should Have    e2sar    parameters.receivers[0].threads    2
    Objects Should Have    Pod    e2sar-(receiver|sender)-0    spec.containers[0].image    ${image}
    Number Of Objects Should Be    Service    variables-e2sar/e2sar-receiver-svc    1
    Log Should Say    ${{ re.escape(str($manifests)) }}    timeout=[^|]*99    duration=[^|]*25
    What Stayed Can Be Looked At And Removed    e2sar-receiver
    ${folder}    Run Suite With    e2sar    -t    Events Arrive By Pod*
    ...    E2SAR_SENDER_IMAGE:${image}
    ...    E2SAR_RECEIVER_IMAGE:ghcr.io/netlibrary/e2sar-perf-standin:1
    Objects Should Have    Pod    e2sar-sender-0    spec.containers[0].image    ${image}
    Objects Should Have    Pod    receiver-0    spec.containers[0].image    ghcr.io/netlibrary/e2sar-perf-standin:1
    Run Suite With    e2sar    -t    Events Arrive By Pod*
    ...    BASELINE:${folder}/measurements.jsonl
    ...    TOLERANCE:99.9 %
    Log Should Say    Measurement Should Match Baseline    tolerance=[^|]*99\\.9
    Run Suite With    e2sar    E2SAR_DIRECT_MODE:no    E2SAR_URI:ejfat://127.0.0.1:1025/lb/1?data=127.0.0.2    status=SKIP
    Messages Should Say    Missing: An EJFAT load balancer

Network Breaks
    Load Images Under Another Name    network_break    ${OTHER}
    ${manifests}    Copy Of    manifests/network_break    app: pair=app: pair
    VAR    ${image}    ${OTHER}/netlibrary/probe:1
    ${folder}    Run Suite With    network_break    -t    Quiet*    -t    User*
    ...    OUTAGE_COMMAND:kubectl -n kube-system rollout restart deployment coredns && echo from the command
    ...    OUTAGE_COMMAND_TIMEOUT:77 s
    ...    OUTAGE_LIMITS:longest_outage_at_most=9 s, lost_connections_at_most=7, failed_connections_at_most=900
    ...    OUTAGE_QUIET:1 s
    ...    OUTAGE_SETTLE:1 s
    ...    OUTAGE_RECOVERY:21 s
    ...    OUTAGE_ROLLOUT_TIMEOUT:2 min
    ...    OUTAGE_REPEATS:2
    ...    OUTAGE_PROBE_IMAGE:${image}
    ...    OUTAGE_PROBE_CPU:55m
    ...    OUTAGE_HOST_PORT:17055
    ...    OUTAGE_SERVICE_TYPE:NodePort
    ...    OUTAGE_TARGETS:tcp://kubernetes.default:443 icmp://127.0.0.1
    ...    OUTAGE_ECHO_SIZE:200
    ...    OUTAGE_IPERF_BITRATE:2M
    ...    OUTAGE_IPERF_PROTOCOLS:UDP
    ...    OUTAGE_CONNECTIONS:3
    ...    OUTAGE_SOURCES:2
    ...    OUTAGE_IPV6:yes
    ...    OUTAGE_MANIFESTS:${manifests}
    ...    NAMESPACE:variables-outages
    ...    READY_TIMEOUT:99 s
    ...    SKIP_TEARDOWN:True
    Number Of Records Should Be    network_break    4
    Records Should Have    network_break    parameters.quiet    1.0
    Records Should Have    network_break    parameters.settle    1.0
    Records Should Have    network_break    parameters.echo_bytes    200
    Records Should Have    network_break    parameters.connections    3
    Records Should Have    network_break    parameters.iperf_bits_per_second    2000000.0
    Records Should Have    network_break    parameters.limits.longest_outage_at_most    9000.0
    Records Should Have    network_break    parameters.targets[*]    icmp://127.0.0.1
    Objects Should Have    Pod    /(source|near|far)    spec.containers[0].image    ${image}
    Objects Should Have    Pod    /source    spec.containers[0].resources.requests.cpu    55m
    Objects Should Have    Service    variables-outages/    spec.type    NodePort
    Number Of Objects Should Be    Pod    /source    2
    Log Should Say    from the command    timeout=[^|]*77    recovery=[^|]*21    rollout_within=[^|]*120    17055
    ...    IPv6    ICMP lost    ${{ re.escape(str($manifests)) }}
    What Stayed Can Be Looked At And Removed    pod/source    pod/far
    Run Suite With    network_break    -t    Quiet*    BASELINE:${folder}/measurements.jsonl    TOLERANCE:99.9 %
    Log Should Say    Measurement Should Match Baseline    tolerance=[^|]*99\\.9

Daemons That A Row Of Network Breaks Restarts
    [Setup]    An Agent With A Device Is There
    ${address}    ${port}    Start Echo Outside
    Run Suite With    network_break
    ...    -t    Network Plugin Roll*    -t    Kube-Proxy Roll*    -t    Load Balancer Restart*    -t    DNS Roll*
    ...    -t    Deleted Network Device*    -t    Node Drain*
    ...    OUTAGE_PLUGIN:default/variables-agent
    ...    OUTAGE_PLUGIN_DEVICE:variables0
    ...    OUTAGE_SERVICE_PROXY:default/variables-agent
    ...    OUTAGE_LOAD_BALANCER:default/variables-agent
    ...    OUTAGE_DNS:default/variables-agent
    ...    OUTAGE_DRAIN_EMPTYDIR:on
    ...    OUTAGE_HOST_ENDPOINTS:no
    ...    OUTAGE_OUTSIDE_ADDRESS:${address}
    ...    OUTAGE_OUTSIDE_PORT:${port}
    ...    OUTAGE_IPERF_BITRATE:none
    ...    OUTAGE_LIMITS:longest_outage_at_most=20 s, lost_connections_at_most=99, failed_connections_at_most=999
    Log Should Say
    ...    The plugin is [^\\n]*default/variables-agent
    ...    The service proxy is [^\\n]*default/variables-agent
    ...    The load balancer is [^\\n]*default/variables-agent
    ...    The DNS is [^\\n]*default/variables-agent
    ...    variables0 deleted
    ...    delete_emptydir_data=True
    ...    outside_address=[^|]*${address}\[^|]*[|] outside_port=${port}
    Number Of Objects Should Be    Pod    /host-    0
    Records Should Have    network_break    parameters.iperf_bits_per_second    None
    [Teardown]    Run Keywords
    ...    Kubectl    -n    default    delete    daemonset    variables-agent    --wait=false
    ...    AND    Stop Echo Outside

Service Matrix
    [Setup]    Kubectl    label    node    node1    node2    variables=yes
    ${folder}    Run Suite With    service_matrix    -t    ClusterIP    -t    External*
    ...    MATRIX_IMAGE:${AGNHOST}
    ...    MATRIX_PODS_PER_NODE:2
    ...    MATRIX_NODE_LABELS:variables=yes
    ...    MATRIX_PROBER:agnhost
    ...    MATRIX_TIME_LIMIT:2.5 s
    ...    MATRIX_SETTLE:1 s
    ...    MATRIX_LOAD_BALANCER_TIMEOUT:15 s
    ...    MATRIX_EXTERNAL_NAME:kubernetes.default.svc.cluster.local
    ...    MATRIX_EXTERNAL_IP:192.0.2.77
    ...    MATRIX_LOOK_AT_NODES:off
    ...    NAMESPACE:variables-matrix
    ...    READY_TIMEOUT:99 s
    ...    SKIP_TEARDOWN:TRUE
    Objects Should Have    Pod    variables-matrix/    spec.containers[0].image    ${AGNHOST}
    Number Of Objects Should Be    Pod    variables-matrix/on-    4
    Log Should Say
    ...    192\\.0\\.2\\.77
    ...    ExternalName To A Name Outside
    ...    prober='agnhost'
    ...    silence=[^|]*2, microseconds=500000
    ...    settle=[^|]*1
    ...    load_balancer_within=[^|]*15
    ...    look_at_nodes=False
    ...    timeout=[^|]*99
    What Stayed Can Be Looked At And Removed    service/
    Run Suite With    service_matrix    -t    ClusterIP
    ...    BASELINE:${folder}/service_matrix/matrix.json
    ...    MATRIX_NODE_LABELS:variables=yes
    ...    MATRIX_PODS_PER_NODE:2
    ...    MATRIX_PROBER_IMAGE:${LANYARD}
    Objects Should Have    Pod    /on-    spec.containers[*].image    ${LANYARD}
    Log Should Say    Service Matrix Should Match
    [Teardown]    Kubectl    label    node    node1    node2    variables-

Network Policies
    [Setup]    Two Namespaces With A Policy Are There
    ${manifests}    Copy Of    manifests/network_policies    kind: NetworkPolicy=kind: NetworkPolicy
    Run Suite With    network_policies    -t    Nobody Gets In    -t    The Policies Of My*
    ...    POLICY_MANIFESTS:${manifests}
    ...    POLICY_IMAGE:${AGNHOST}
    ...    POLICY_NAMESPACES:variables-own-a, variables-own-b
    ...    POLICY_PORTS:8080,8081/udp
    ...    POLICY_PROBERS:copies
    ...    NAMESPACE:variables-policy
    ...    READY_TIMEOUT:99 s
    ...    SKIP_TEARDOWN:Yes
    Objects Should Have    Pod    variables-policy-x/    spec.containers[0].image    ${AGNHOST}
    Number Of Objects Should Be    Namespace    ^variables-policy-[xyz]$    3
    Log Should Say    ${{ re.escape(str($manifests)) }}    timeout=[^|]*99    probers='copies'    8081/udp
    What Stayed Can Be Looked At And Removed    pod/a
    [Teardown]    Kubectl    delete    namespace    variables-own-a    variables-own-b    --wait=false

Own Application
    Load Images Under Another Name    network_break    ${OTHER}
    ${manifest}    Copy Of    manifests/own_application/application.yaml    replicas: 2=replicas: 3
    ...    role: client=role: caller
    ${folder}    Run Suite With    own_application
    ...    -t    Clients Reach The*    -t    An Update*    -t    Throughput*    -t    Large*
    ...    APPLICATION_MANIFEST:${manifest}
    ...    APPLICATION_IMAGE:${AGNHOST}
    ...    APPLICATION_TOOLS_IMAGE:${OTHER}/netlibrary/probe:1
    ...    APPLICATION_IPERF3_IMAGE:${LANYARD}
    ...    CLIENT_LABELS:role=caller
    ...    NAMESPACE:variables-application
    ...    READY_TIMEOUT:99 s
    ...    SKIP_TEARDOWN:1
    Objects Should Have    Deployment    variables-application/web    spec.replicas    3
    Objects Should Have    Pod    /prober    metadata.namespace    variables-application
    Objects Should Have    Pod    /iperf3-server    spec.containers[0].image    ${LANYARD}
    Log Should Say    image='?${OTHER}/netlibrary/probe:1    image='?${{ re.escape($AGNHOST) }}    timeout=[^|]*99
    What Stayed Can Be Looked At And Removed    deployment.apps/web
    Run Suite With    own_application    -t    Throughput*    BASELINE:${folder}/measurements.jsonl    TOLERANCE:99.9 %
    Log Should Say    Measurement Should Match Baseline    tolerance=[^|]*99\\.9


*** Keywords ***
An Agent With A Device Is There
    [Documentation]    A DaemonSet that stands for a network's: it makes a device on each node, which nothing needs.
    Kubectl    apply    -f    ${CURDIR}/variables_agent.yaml
    Kubectl    -n    default    rollout    status    daemonset/variables-agent    --timeout=60s

Two Namespaces With A Policy Are There
    [Documentation]    Namespaces of somebody's own with a pod each; nobody gets in to the first one.
    FOR    ${name}    IN    a    b
        Kubectl    create    namespace    variables-own-${name}
        Kubectl    -n    variables-own-${name}    run    ${name}    --image=${AGNHOST}    --    netexec
        Kubectl    -n    variables-own-${name}    wait    --for=condition=Ready    pod/${name}    --timeout=60s
    END
    Kubectl    -n    variables-own-a    apply    -f    ${CURDIR}/../manifests/network_policies/deny_ingress.yaml
