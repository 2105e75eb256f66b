*** Settings ***
Documentation       Traffic to a user's own application while it is updated: what fails is told by its kind.

Library             NetLibrary

Suite Setup         Application Runs
Suite Teardown      Delete Everything This Run Created    wait=False

Test Tags           traffic


*** Variables ***
${APPLICATION}      ${CURDIR}/../manifests/own_application/application.yaml
${TOOLS}            ghcr.io/netlibrary/probe:1
&{CLIENT}           role=client
${NOBODY}           SEPARATOR=\n
...                 kind: Service
...                 apiVersion: v1
...                 metadata: {name: nobody}
...                 spec: {selector: {app: nobody}, ports: [{port: 80}]}


*** Test Cases ***
A Careful Rollout Loses No Request
    Start Traffic To Service    web    ${NAMESPACE}    labels=${CLIENT}    image=${TOOLS}
    Restart Workload    Deployment    web    ${NAMESPACE}
    ${seen}    Stop Traffic
    Outages Should Be Within Limits    failed_connections_at_most=0    longest_outage_at_most=0 s
    Should Be Equal As Integers    ${seen}[failed]    0
    Should Be True    $seen['requests'] > 100

Several Targets At Once And From Outside
    ${service}    Get Object    Service    web    ${NAMESPACE}
    VAR    ${name}    http://web.${NAMESPACE}/
    VAR    ${address}    tcp://${service}[spec][clusterIP]:80
    VAR    ${outside}    http://open.${NAMESPACE}/ from outside
    Start Traffic    ${name}    ${address}    ${outside}    namespace=${NAMESPACE}    labels=${CLIENT}    image=${TOOLS}
    Run Keyword And Expect Error
    ...    *is still running; use 'Stop Traffic' first, or give 'Start Traffic' several targets.
    ...    Start Traffic To Service    web    ${NAMESPACE}
    ${seen}    Stop Traffic
    Should Be Equal    ${{ list($seen['targets']) }}    ${{ [$name, $address, $outside] }}
    Should Be True    all(t['requests'] > 20 and t['failed'] == 0 for t in $seen['targets'].values())

A Target That Is Not There Is An Error
    Run Keyword And Expect Error    Targets cannot be measured: *http://nobody.invalid/: 'nobody.invalid' cannot be resolved.
    ...    Start Traffic    http://nobody.invalid/    namespace=${NAMESPACE}    image=${TOOLS}

A Service Without Pods Is An Error Before Anything Is Disturbed
    Apply Objects    ${NOBODY}    namespace=${NAMESPACE}
    Run Keyword And Expect Error
    ...    Traffic gets no good answers*Service 'nobody' has no ready pod behind it, so there is nothing to connect to.
    ...    Start Traffic To Service    nobody    ${NAMESPACE}    labels=${CLIENT}    image=${TOOLS}

Traffic That Is Forgotten
    Start Traffic To Service    web    ${NAMESPACE}    labels=${CLIENT}    image=${TOOLS}

Ends With Its Test
    [Documentation]    The next test was refused its own: "still runs".
    Start Traffic To Service    web    ${NAMESPACE}    labels=${CLIENT}    image=${TOOLS}    settle=0 s
    Stop Traffic

A Rollout Without Readiness And Grace Names What Failed
    [Documentation]    Pods end at once and are sent requests before they listen.
    VAR    ${hasty}    {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 0, "containers": [${WEB}]}}}}
    Start Traffic To Service    web    ${NAMESPACE}    labels=${CLIENT}    image=${TOOLS}    settle=1 s
    Patch Object    Deployment    web    ${NAMESPACE}    patch=${hasty}
    Wait Until Deployment Is Available    web    ${NAMESPACE}
    Restart Workload    Deployment    web    ${NAMESPACE}
    ${seen}    Stop Traffic
    Should Be True    $seen['failed'] > 3 and 'refused' in $seen['failures']
    Log    ${seen}
    Run Keyword And Expect Error    *new connections failed (http://web.${NAMESPACE}:80/: *refused *), limit 0*
    ...    Outages Should Be Within Limits    failed_connections_at_most=0


*** Keywords ***
Application Runs
    [Documentation]    Deploys the application, and its pods once more without a policy.
    ${id}    Get Run Id
    VAR    ${NAMESPACE}    netlib-${id}-traffic    scope=SUITE
    Create Namespace    ${NAMESPACE}
    Apply Manifest    ${APPLICATION}    namespace=${NAMESPACE}
    Apply Manifest    ${CURDIR}/traffic_open.yaml    namespace=${NAMESPACE}
    Wait Until Deployment Is Available    web    ${NAMESPACE}
    VAR    ${WEB}
    ...    {"name": "web", "image": "registry.k8s.io/e2e-test-images/agnhost:2.53", "ports": [{"name": "http",
    ...    "containerPort": 8080}], "command": ["sh", "-c", "sleep 2; exec /agnhost netexec"]}
    ...    scope=SUITE
