*** Settings ***
Documentation     Application traffic by CyPerf agents in pods, driven through the controller's REST API.
...
...               *Topology*: client and server agents as pods on separate nodes; Services of all types in front of
...               the servers; a controller, which is the stand-in unless CYPERF_CONTROLLER names a real one.
...               *Traffic*: HTTP and HTTPS from clients to servers, east-west by pod IP, cluster IP and name, and
...               north-south by nodePort and external address.
...               *Passes when*: the configuration fits the cluster, every connection and request succeeds, every
...               agent takes part, and the figures of the row are reached. Failures name the mistake or fault.
...               *Skipped when*: the controller has no licence, the cluster assigns no external address or has no
...               Multus, no device is named, or clients outside the cluster cannot reach the target of a row.
...
...               *Variables*: CYPERF_CONTROLLER, CYPERF_USERNAME, CYPERF_CONFIGURATION, CYPERF_DURATION,
...               CYPERF_PAUSE_BETWEEN_RUNS, NAMESPACE, READY_TIMEOUT, SKIP_TEARDOWN; of the agents
...               CYPERF_CLIENTS, CYPERF_SERVERS, CYPERF_AGENT_IMAGE, CYPERF_AGENT_MEMORY, CYPERF_CPU_LIMIT,
...               CYPERF_CLIENT_NODES, CYPERF_SERVER_NODES,
...               CYPERF_CLIENT_KUBECONFIG, CYPERF_CLIENT_TAG; of the device CYPERF_DEVICE_HOST,
...               CYPERF_DEVICE_SERVICE, CYPERF_DEVICE_LABELS. All are described in docs/cyperf.md; the password comes
...               from the environment variable CYPERF_PASSWORD. Example:
...               robot -d results -v CYPERF_CONTROLLER:cyperf.example -v CYPERF_DURATION:60s suites/cyperf.robot

Resource          NetLibrary/resources/cyperf.resource

Suite Setup       CyPerf Controller And Agents Are Available
Suite Teardown    CyPerf Is Left As It Was

Test Template     Traffic Should Reach Its Numbers
Test Tags         cyperf


*** Test Cases ***
HTTP By Cluster IP
    # APPLICATION    TARGET           PORT    OBJECTIVE                 VALUE    LIMITS
    HTTP App         cluster ip       80      throughput                10M      throughput_at_least=3M
    ...    first_byte_at_most=500 ms

HTTPS By Cluster IP
    HTTPS App        cluster ip       443     throughput                10M      throughput_at_least=1M

HTTP Connections By Pod IP
    HTTP App         pod ip           80      connections per second    150      connections_per_second_at_least=30

HTTP Users By Name
    HTTP App         fqdn             80      simulated users           4        requests_per_second_at_least=200

HTTP Connections By Node Port
    HTTP App         node port        80      connections per second    100      connections_per_second_at_least=25

HTTP Open Connections By Load Balancer
    HTTP App         load balancer    80      concurrent connections    100      concurrent_connections_at_least=50

HTTP Through Device
    [Template]    Traffic Through Device Should Reach Its Numbers
    # APPLICATION    PORT    OBJECTIVE                 VALUE    LIMITS
    HTTP App         80      connections per second    50       connections_per_second_at_least=10

HTTP Over A Test Interface Of Multus
    [Template]    Agents Should Use A Test Interface Of Their Own
    # APPLICATION    TARGET    PORT    OBJECTIVE                 VALUE    LIMITS
    HTTP App         pod ip    80      connections per second    50       connections_per_second_at_least=10

Destination Port That No Service Has Is Named
    [Template]    Checklist Should Name
    # TARGET      PORT    CHANGE                   NAMED
    cluster ip    80      Clients Use Port 8080    destination ports of 'HTTP App'    80, 443    seen 8080

Server Port That No Service Leads To Is Named
    [Template]    Checklist Should Name
    # TARGET      PORT    CHANGE                      NAMED
    cluster ip    80      Servers Listen On Port 8081    targetPort 80 of Service 'cyperf-agent-service', seen 8081

Destination Port That Is No Node Port Is Named
    [Template]    Checklist Should Name
    # TARGET     PORT    CHANGE                   NAMED
    node port    80      Clients Use Port 8080    a nodePort    seen 8080

Name Without A Resolver Is Named
    [Template]    Checklist Should Name
    # TARGET    PORT    CHANGE                      NAMED
    fqdn        80      Clients Have No Resolver    DNS of the cluster    seen none

Rate Beyond Connection Tracking Is Named
    [Template]    Checklist Should Name
    # TARGET    PORT    CHANGE                                          NAMED
    pod ip      80      Connections Come Faster Than Tracking Forgets    connection tracking    room for 12000000

Servers Scaled Out During A Run Take Their Share
    [Template]    Traffic Should Reach Every Server After Scaling Out
    # SERVERS    VALUE
    2            80

Servers With The Published Readiness Probe Are Ready While They Serve
    [Template]    Servers Should Be Ready Only While They Serve
    # VALUE    DURATION
    10         5 minutes

Agents Without A Controller Are Told It Later
    [Template]    Agents Should Register After Their Controller Is Set
    # ROLE
    Client

Server Pod Killed During A Run Is Named
    [Template]    Killed Server Pod Should Be Seen And Named
    # USERS    DURATION
    4          30 s
