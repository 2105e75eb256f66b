*** Settings ***
Documentation     What one does with kubectl, done with keywords; see docs/kubectl.md.

Library           NetLibrary    timeout=60s
Library           RequestsLibrary

Suite Setup       Application Runs
Suite Teardown    Delete Everything This Run Created    wait=False

Test Tags         kubectl


*** Variables ***
${DATA}        ${CURDIR}/kubectl
${IMAGE}       registry.k8s.io/e2e-test-images/agnhost:2.53
${SETTINGS}    SEPARATOR=\n
...            apiVersion: v1
...            kind: ConfigMap
...            metadata: {name: settings}
...            data: {colour: "$\{COLOUR:-blue}"}


*** Test Cases ***
A Bad Image Is Rolled Out And Taken Back
    Scale Workload    deploy    web    ${NAMESPACE}    replicas=3
    Set Image    deploy    web    ${NAMESPACE}    image.invalid/none:1    wait_until_complete=False
    Run Keyword And Expect Error
    ...    STARTS: Rollout of Deployment '${NAMESPACE}/web': pod 'web-
    ...    Wait Until Rollout Is Complete    deploy    web    ${NAMESPACE}    timeout=40s
    ${revision}    Undo Rollout    deploy    web    ${NAMESPACE}
    Should Be Equal    ${revision}    ${1}
    ${history}    Get Rollout History    deploy    web    ${NAMESPACE}
    Should Be Equal    ${history}[0][images]    ${{['image.invalid/none:1']}}
    Scale Workload    deploy    web    ${NAMESPACE}    replicas=2

A Port Of A Pod Is Reached From Here
    ${address}    Start Port Forward    svc/web    ${NAMESPACE}    80
    ${answer}    GET    http://${address}/hostname    expected_status=200
    Should Start With    ${answer.text}    web-
    ${long}    GET    url=http://${address}/echo?msg=${{'x' * 5000}}
    Length Should Be    ${long.text}    5000
    Run Keyword And Expect Error
    ...    Nothing answers on port 9 of pod '${NAMESPACE}/web-*': *connection refused*
    ...    Start Port Forward    deploy/web    ${NAMESPACE}    9    timeout=0s
    Stop Port Forward    ${address}

A Budget Holds Pods Of A Node That Is Drained
    ${pods}    Get Objects    po    ${NAMESPACE}    labels=app=web
    # Those of the rollout that was taken back may still be going
    VAR    ${pods}    ${{ [pod for pod in $pods if 'deletionTimestamp' not in pod['metadata']] }}
    VAR    ${node}    ${pods}[0][spec][nodeName]
    VAR    ${name}    ${pods}[0][metadata][name]
    Apply Manifest    ${DATA}/web.yaml    namespace=${NAMESPACE}    min_available=2
    Run Keyword And Expect Error
    ...    Eviction of pod '${NAMESPACE}/${name}': *is held: *budget web-stays-up needs 2 healthy pods*
    ...    Evict Pod    ${name}    ${NAMESPACE}    timeout=0s
    Apply Manifest    ${DATA}/web.yaml    namespace=${NAMESPACE}    min_available=1
    ${evicted}    Drain Node    ${node}    labels=app=web
    Should Contain    ${evicted}    ${NAMESPACE}/${name}
    ${object}    Get Object    no    ${node}
    Should Be True    $object['spec']['unschedulable']
    Uncordon Node    ${node}
    Wait Until Rollout Is Complete    Deployment    web    ${NAMESPACE}

A Taint Is Set And Removed
    ${nodes}    Get Schedulable Nodes
    Taint Node    ${nodes}[0]    netlibrary-test=yes:PreferNoSchedule
    ${node}    Get Object    Node    ${nodes}[0]
    Should Be Equal    ${node}[spec][taints][0][key]    netlibrary-test
    Untaint Node    ${nodes}[0]    netlibrary-test-
    Run Keyword And Expect Error
    ...    *taint is 'netlibrary-test'; the taints of node '${nodes}[0]' are *
    ...    Untaint Node    ${nodes}[0]    netlibrary-test

Objects Are Applied From Text And Files
    Apply Objects    ${SETTINGS}    namespace=${NAMESPACE}    colour=red    ConfigMap.data.number=3
    ${object}    Get Object    cm    settings    ${NAMESPACE}
    Should Be Equal    ${object}[data]    ${{{'colour': 'red', 'number': '3'}}}
    ${applied}    Apply Manifest
    ...    ${DATA}    namespace=${NAMESPACE}    only=deploy/web    Deployment.spec.minReadySeconds=0
    Should Be Equal    ${applied}    ${{['Deployment/web']}}
    Run Keyword And Expect Error
    ...    *Deployment.spec.replicas is 'three'; allowed: a whole number.
    ...    Apply Manifest    ${DATA}/web.yaml    namespace=${NAMESPACE}    Deployment.spec.replicas=three
    VAR    ${wrong}    kind: ConfigMap    apiVersion: v1    metadata: {name: other}    immutabel: true    separator=\n
    Run Keyword And Expect Error
    ...    text, line 4: *unknown field "immutabel"*
    ...    Apply Objects    ${wrong}    namespace=${NAMESPACE}

A Misspelt Field Of A Patch Is Told
    Run Keyword And Expect Error
    ...    *unknown field "spec.replicaz"*
    ...    Patch Object    deploy    web    ${NAMESPACE}    patch={"spec": {"replicaz": 3}}

A Job Is Waited For
    Apply Manifest    ${DATA}/job.yaml    namespace=${NAMESPACE}    name=good    command=echo done
    Apply Manifest    ${DATA}/job.yaml    namespace=${NAMESPACE}    name=bad    command=echo broken; exit 3
    Wait Until Job Is Complete    good    ${NAMESPACE}    timeout=40s
    Run Keyword And Expect Error
    ...    Job '${NAMESPACE}/bad': it failed: *\nThe last lines of pod 'bad-*': broken
    ...    Wait Until Job Is Complete    bad    ${NAMESPACE}    timeout=40s
    ${pods}    Get Objects    po    ${NAMESPACE}    labels=job-name=bad
    ${status}    Wait Until Pod Has Ended    ${pods}[0][metadata][name]    ${NAMESPACE}
    Should Be Equal    ${status}    ${3}
    Wait Until Object Field Is    Job    good    ${NAMESPACE}    field={.status.succeeded}    value=1
    ${log}    Read Pod Logs    ${pods}[0][metadata][name]    ${NAMESPACE}
    Should Be Equal    ${log}    broken\n
    Run Keyword And Expect Error
    ...    Namespace '${NAMESPACE}' has * events (reason=BackoffLimitExceeded, object=Job/bad) that should not be there*
    ...    Events Should Not Contain
    ...    ${NAMESPACE}
    ...    reason=BackoffLimitExceeded
    ...    object=Job/bad

A Line Is Waited For
    ${pods}    Get Objects    po    ${NAMESPACE}    labels=app=web
    VAR    ${name}    ${pods}[0][metadata][name]
    ${files}    Start Saving Pod Logs    ${NAMESPACE}    ${name}
    ${line}    Wait Until Pod Has Printed    ${name}    ${NAMESPACE}    Started HTTP server    timeout=10s
    Run Keyword And Expect Error
    ...    Pod '${NAMESPACE}/${name}' has not printed 'nothing of the kind' within 1 s.*
    ...    Wait Until Pod Has Printed    ${name}    ${NAMESPACE}    nothing of the kind    timeout=1s
    Stop Saving Pod Logs
    ${text}    Evaluate    $files[0].read_text()
    Should Contain    ${text}    ${line}

Commands Run In Pods And Files Are Copied
    ${pod}    Run Pod    tool    ${NAMESPACE}    ${IMAGE}    sleep    600    user=65534    labels={'app': 'tool'}
    Should Be Equal    ${pod}    ${NAMESPACE}/tool
    ${upper}    Run In Pod    tool    ${NAMESPACE}    tr    a-z    A-Z    stdin=text
    Should Be Equal    ${upper}    TEXT
    ${missing}    Run In Pod    tool    ${NAMESPACE}    ls    /none    exit_status=${None}
    Should Be True    $missing.exit_status and 'none' in $missing.stderr
    ${all}    Run In Every Pod    ${NAMESPACE}    app=web    hostname
    Length Should Be    ${all}    2
    ${count}    Copy To Pod    ${DATA}    tool    ${NAMESPACE}    /tmp/data
    Should Be Equal    ${count}    ${2}
    Copy From Pod    tool    ${NAMESPACE}    /tmp/data    ${OUTPUT_DIR}/copied
    ${same}    Evaluate
    ...    pathlib.Path($OUTPUT_DIR, 'copied', 'job.yaml').read_bytes() == pathlib.Path($DATA, 'job.yaml').read_bytes()
    Should Be True    ${same}
    Run Keyword And Expect Error
    ...    Pod '${NAMESPACE}/fails': pod 'fails' has ended: exit code 3*
    ...    Run Pod    fails    ${NAMESPACE}    ${IMAGE}    sh    -c    echo broken; exit 3

Requests Are Answered To Pods Nodes And Outside
    ${answers}    HTTP Response Should Be    http://web.${NAMESPACE}/hostname    every node
    ...    answered_by=${NAMESPACE}/app=web    text=web-    attempts=2
    Length Should Be    ${answers}    ${{2 * len($NODES)}}
    HTTP Response Should Be    http://web/echo?msg=gone&code=404    ${NAMESPACE}/app=web    status=404
    Run Keyword And Expect Error
    ...    GET http://web:81/ from '${NAMESPACE}/web-*': no answer, *
    ...    HTTP Response Should Be    http://web:81/    ${NAMESPACE}/app=web    settle=0s    timeout=1s
    Run Keyword And Expect Error
    ...    GET http://web/echo?msg=gone&code=404 from *: expected status 200, seen 404, with: gone
    ...    HTTP Response Should Be    http://web/echo?msg=gone&code=404    ${NAMESPACE}/app=web    settle=0s
    ${service}    Get Object    svc    web    ${NAMESPACE}
    HTTP Response Should Be    http://${service}[spec][clusterIP]/healthz    ${NAMESPACE}/app=web    time_at_most=5 s

A Certificate Is Looked At
    ${api}    Get Object    svc    kubernetes    default
    ${config}    Get Object    cm    kube-root-ca.crt    ${NAMESPACE}
    VAR    ${ca}    ${config}[data][ca.crt]
    TLS Certificate Should Be Valid    kubernetes.default    443    ${NAMESPACE}/app=web
    ...    ${api}[spec][clusterIP]    ca=${ca}    days_left_at_least=1 day
    ${seen}    Get TLS Certificate
    ...    kubernetes.default
    ...    443
    ...    every node
    ...    server_name=kubernetes.default.svc
    ...    ca=${ca}
    Should Be Empty    ${seen}[problem]
    Run Keyword And Expect Error
    ...    Certificate of kubernetes.default:443 seen from '${NAMESPACE}/web-*' is not trusted: *
    ...    TLS Certificate Should Be Valid    kubernetes.default    443    ${NAMESPACE}/app=web

A Command Runs On Every Node
    ${outputs}    Run On Every Node    cat    /proc/sys/net/ipv4/ip_forward
    Should Be Equal    ${{sorted($outputs)}}    ${NODES}
    ${facts}    Get Node Facts    ${NODES}[0]
    Should Be True    $facts['ready'] and $facts['schedulable'] and $facts['addresses'] and $facts['pods']


*** Keywords ***
Application Runs
    [Documentation]    Starts two web servers in a namespace of the run.
    ${id}    Get Run Id
    ${nodes}    Get Objects    no
    VAR    ${NODES}    ${{sorted(node['metadata']['name'] for node in $nodes)}}    scope=suite
    VAR    ${NAMESPACE}    kubectl-${id}    scope=suite
    Create Namespace    ${NAMESPACE}
    Apply Manifest    ${DATA}/web.yaml    namespace=${NAMESPACE}
    Wait Until Rollout Is Complete    deploy    web    ${NAMESPACE}
