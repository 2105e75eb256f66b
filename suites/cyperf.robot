*** Settings ***
Documentation     Application traffic by CyPerf agents in pods, driven through the controller's REST interface.
...
...               *Topology*: client and server agents as pods on nodes of their own; Services of all types in front of
...               the servers; a controller, which is the stand-in unless CYPERF_CONTROLLER names a real one.
...               *Traffic*: HTTP and HTTPS from clients to servers, east-west by pod IP, cluster IP and name, and
...               north-south by nodePort and external address.
...               *Passes when*: the configuration fits the cluster, every connection and request succeeded, every agent
...               took part, and the numbers of the row are reached. Mistakes and faults are named, not just noticed.
...
...               Variables: CYPERF_CONTROLLER, CYPERF_USERNAME, AGENT_IMAGE, AGENT_MEMORY, CONFIGURATION, DURATION,
...               PAUSE_BETWEEN_RUNS, CYPERF_CLIENT_NODES, CYPERF_SERVER_NODES, CYPERF_NAMESPACE, READY_TIMEOUT, SKIP_TEARDOWN; the password comes from the
...               environment variable CYPERF_PASSWORD.

Resource          NetLibrary/resources/cyperf.resource

Suite Setup       CyPerf Controller And Agents Are Available
Suite Teardown    CyPerf Is Left As It Was

Test Tags         cyperf


*** Test Cases ***
East West Traffic Reaches Its Numbers
    [Template]    Run Traffic And Judge
    # APPLICATION    TARGET    PORT    OBJECTIVE    VALUE    LIMITS
    HTTP App    cluster ip    80    throughput    10M    throughput=3M    first_byte=500 ms
    HTTPS App    cluster ip    443    throughput    10M    throughput=1M    http_success=100 %
    HTTP App    pod ip    80    connections per second    150    connections_per_second=30
    HTTP App    fqdn    80    simulated users    4    requests_per_second=200

North South Traffic Reaches Its Numbers
    [Template]    Run Traffic And Judge
    # APPLICATION    TARGET    PORT    OBJECTIVE    VALUE    LIMITS
    HTTP App    node port    80    connections per second    100    connections_per_second=25
    HTTP App    load balancer    80    concurrent connections    100    concurrent_connections=50

Mistakes Are Named Before A Run
    [Template]    Checklist Should Name
    # TARGET    PORT    CHANGE    NAMED
    cluster ip    80    Clients Use Port 8080    destination ports of 'HTTP App'    80, 443    seen 8080
    cluster ip    80    Servers Listen On Port 8081    targetPort 80 of Service 'cyperf-agent-service', seen 8081
    node port    80    Clients Use Port 8080    a nodePort in 30000-32767    seen 8080
    fqdn    80    Clients Have No Resolver    DNS of the cluster    seen none
    pod ip    80    Connections Come Faster Than Tracking Forgets    connection tracking    room for 12000000

Servers Scaled Out During A Run Take Their Share
    Traffic Should Reach Every Server After Scaling Out    2    80

Server Pod Killed During A Run Is Named
    Killed Server Pod Should Be Seen And Named
