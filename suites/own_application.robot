*** Settings ***
Documentation       The network of your own application: a template to copy, with a small sample application.
...
...                 *Topology*: two web servers behind a Service and a NetworkPolicy; one client that the policy admits,
...                 one that it does not.
...                 *Traffic*: a few connections and DNS queries per row, from the clients and from every node;
...                 50 requests a second while the application is restarted, and while a node is drained;
...                 iperf3 between two nodes.
...                 *Passes when*: connections succeed or are blocked as the policy says; the names that the
...                 application uses resolve from every node; neither an update nor a drain loses a request;
...                 packets as large as the MTU of a pod's device reach the other node; throughput is no worse than in
...                 an earlier run.
...                 *Skipped when*: policies are not enforced, pods may not use the host network, or there is only
...                 one node.
...                 *Variables*: APPLICATION_MANIFEST, APPLICATION_IMAGE, APPLICATION_TOOLS_IMAGE,
...                 APPLICATION_IPERF3_IMAGE, and those of common.resource.
...                 Example: robot -d results -v KUBECONFIG:~/.kube/config suites/own_application.robot

Resource            NetLibrary/resources/own_application.resource

Suite Setup         Application Is Deployed
Suite Teardown      Delete Everything This Run Created

Test Tags           connection    own-application


*** Test Cases ***
Clients Reach The Service
    Connection Should Succeed    web    80    ${CLIENT}    time_at_most=1 s

Every Service Is Right
    Services Of Namespace Should Be Right    ${NAMESPACE}    web    sources=role=client    denied_at_most=0
    ...    timeout=${READY_TIMEOUT}

Every Pod Answers Clients
    Connection Should Succeed    ${NAMESPACE}/app=web    8080    ${CLIENT}

Others Are Kept Away
    [Tags]    policy
    Skip Unless Network Policies Are Enforced    ${NAMESPACE}    timeout=${READY_TIMEOUT}
    # The client above got an answer there, so a refusal comes from the policy: some networks refuse instead of dropping
    Connection Should Be Blocked    web    80    ${STRANGER}    by=any

Clients Reach Nothing But The Open Port
    [Tags]    policy
    Skip Unless Network Policies Are Enforced    ${NAMESPACE}    timeout=${READY_TIMEOUT}
    # The application's servers answer UDP there; without a listener, a refusal would say nothing about a policy
    Connection Should Be Blocked    ${NAMESPACE}/app=web    8081    ${CLIENT}    protocol=UDP    by=any    attempts=1

Names Resolve From Clients
    [Tags]    dns
    ${service}    Get Object    Service    web    ${NAMESPACE}
    Name Should Resolve To    web    ${service}[spec][clusterIP]    source=${CLIENT}    time_at_most=2 s

Names Resolve From Every Node
    [Tags]    dns
    Name Should Resolve To    web.${NAMESPACE}    source=every node    time_at_most=2 s

A Name That Does Not Exist Is Said Not To Exist
    [Tags]    dns
    Name Should Not Resolve    no-such-service    source=${CLIENT}

An Update Loses No Request
    [Tags]    rollout
    Start Traffic To Service    web    ${NAMESPACE}    labels=${CLIENT_LABELS}    image=${APPLICATION_TOOLS_IMAGE}
    ...    timeout=${READY_TIMEOUT}
    Restart Workload    Deployment    web    ${NAMESPACE}    timeout=${READY_TIMEOUT}
    Stop Traffic
    Outages Should Be Within Limits    failed_connections_at_most=0    longest_outage_at_most=0 s

Draining A Node Loses No Request
    [Tags]    drain
    Skip Unless There Are Two Nodes
    ${pods}    Get Objects    Pod    ${NAMESPACE}    labels=app=web
    Start Traffic To Service    web    ${NAMESPACE}    labels=${CLIENT_LABELS}    image=${APPLICATION_TOOLS_IMAGE}
    ...    timeout=${READY_TIMEOUT}
    Drain Node    ${pods}[0][spec][nodeName]    labels=app=web    namespace=${NAMESPACE}
    Uncordon Node    ${pods}[0][spec][nodeName]
    Stop Traffic
    Outages Should Be Within Limits    failed_connections_at_most=0    longest_outage_at_most=0 s

Large Packets Reach The Other Node
    [Tags]    mtu
    Skip Unless There Are Two Nodes
    ${here}    Start Prober    ${NAMESPACE}    node=${NODES}[0]    image=${APPLICATION_TOOLS_IMAGE}
    ...    timeout=${READY_TIMEOUT}
    ${there}    Start Prober    ${NAMESPACE}    node=${NODES}[1]    image=${APPLICATION_TOOLS_IMAGE}
    ...    timeout=${READY_TIMEOUT}
    Path MTU Should Be    device    ${there}    ${here}

Throughput Is As In The Earlier Run
    [Tags]    throughput
    Skip Unless There Are Two Nodes
    Start Iperf3 Server    ${NAMESPACE}    node=${NODES}[0]    image=${APPLICATION_IPERF3_IMAGE}
    ...    timeout=${READY_TIMEOUT}
    Measure Throughput    iperf3-server    ${NAMESPACE}    node=${NODES}[1]    duration=2s    at_least=1M
    ...    image=${APPLICATION_IPERF3_IMAGE}    name=${TEST NAME}
    IF    $BASELINE
        Measurement Should Match Baseline    ${TEST NAME}    bits_per_second    ${BASELINE}    tolerance=${TOLERANCE}
    END
