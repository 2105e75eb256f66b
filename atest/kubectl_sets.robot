*** Settings ***
Documentation     What one does with kubectl, where it is less usual: sets, scratch space, odd names, large files.

Library           OperatingSystem
Library           Process
Library           NetLibrary    timeout=60s

Suite Setup       Sets Run
Suite Teardown    Delete Everything This Run Created

Test Tags         kubectl    slow


*** Variables ***
${DATA}           ${CURDIR}/kubectl
${NEWER}          registry.k8s.io/e2e-test-images/agnhost:2.54


*** Test Cases ***
A Set Is Rolled Back
    [Template]    Image Is Set And Taken Back
    StatefulSet    db
    DaemonSet      agent

A Node With A DaemonSet And Scratch Space Is Drained When That Is Allowed
    ${pods}    Get Objects    Pod    ${NAMESPACE}    labels=app=cache
    VAR    ${node}    ${pods}[0][spec][nodeName]
    Run Keyword And Expect Error
    ...    Node '${node}' is not drained, because of these pods: *cache-*the contents of its emptyDir would be lost*
    ...    Drain Node    ${node}    namespace=${NAMESPACE}
    ${evicted}    Drain Node    ${node}    namespace=${NAMESPACE}    delete_emptydir_data=True
    Should Contain    ${evicted}    ${NAMESPACE}/${pods}[0][metadata][name]
    Should Not Contain    ${{ ' '.join($evicted) }}    agent
    Run Keyword And Expect Error    There is no pod with the labels 'app=cahce' in namespace '${NAMESPACE}' on node *
    ...    Drain Node    ${node}    labels=app=cahce    namespace=${NAMESPACE}
    Uncordon Node    ${node}
    Wait Until Rollout Is Complete    Deployment    cache    ${NAMESPACE}

Names With Spaces And Large Files Are Copied
    VAR    ${folder}    ${OUTPUT DIR}/to copy
    Create File    ${folder}/with a space/and 'quotes'.txt    text
    Evaluate    pathlib.Path($folder, 'large file.bin').write_bytes(os.urandom(40_000_000))    modules=os, pathlib
    Run Pod    tool    ${NAMESPACE}    ${NEWER}    sleep    600    user=65534
    ${count}    Copy To Pod    ${folder}    tool    ${NAMESPACE}    /tmp/copied here
    Should Be Equal    ${count}    ${2}
    Copy From Pod    tool    ${NAMESPACE}    /tmp/copied here    ${OUTPUT DIR}/copied back
    VAR    ${sent}    ${{ pathlib.Path($folder, 'large file.bin').read_bytes() }}
    VAR    ${back}    ${{ pathlib.Path($OUTPUT_DIR, 'copied back', 'large file.bin').read_bytes() }}
    Should Be True    $sent == $back
    File Should Exist    ${OUTPUT DIR}/copied back/with a space/and 'quotes'.txt
    [Teardown]    Remove Directory    ${folder}    recursive=True

A Port Forward Is Open In Its Test
    Apply Manifest    ${DATA}/web.yaml    namespace=${NAMESPACE}
    Wait Until Deployment Is Available    web    ${NAMESPACE}
    ${address}    Start Port Forward    svc/web    ${NAMESPACE}    80
    VAR    ${FORWARDED}    ${address}    scope=SUITE
    Evaluate    socket.create_connection($FORWARDED.split(':')).close()    modules=socket

A Port Forward Has Ended With Its Test
    Run Keyword And Expect Error    *refused*    Evaluate    socket.create_connection($FORWARDED.split(':'))
    ...    modules=socket

A Service Answers Clients Outside
    [Tags]    outside
    Patch Object    svc    web    ${NAMESPACE}    patch={'spec': {'type': 'NodePort'}}
    ${service}    Get Object    svc    web    ${NAMESPACE}
    ${facts}    Get Node Facts    ${NODES}[0]
    VAR    ${port}    ${service}[spec][ports][0][nodePort]
    FOR    ${address}    IN    @{facts}[addresses]
        VAR    ${host}    ${{ '[' + $address + ']' if ':' in $address else $address }}
        HTTP Response Should Be    http://${host}:${port}/hostname    outside    answered_by=${NAMESPACE}/app=web
    END

A Certificate Is Looked At From Outside
    [Tags]    outside
    ${config}    Get Object    cm    kube-root-ca.crt    ${NAMESPACE}
    ${slice}    Get Objects    EndpointSlice    default    labels=kubernetes.io/service-name=kubernetes
    VAR    ${host}    ${slice}[0][endpoints][0][addresses][0]
    TLS Certificate Should Be Valid    ${host}    ${slice}[0][ports][0][port]    outside    ca=${config}[data][ca.crt]


*** Keywords ***
Sets Run
    [Documentation]    Starts a set of each kind in a namespace of the run.
    ${id}    Get Run Id
    ${nodes}    Get Schedulable Nodes
    VAR    ${NODES}    ${nodes}    scope=SUITE
    VAR    ${NAMESPACE}    sets-${id}    scope=SUITE
    Create Namespace    ${NAMESPACE}
    Apply Manifest    ${CURDIR}/kubectl_sets.yaml    namespace=${NAMESPACE}
    Wait Until Rollout Is Complete    StatefulSet    db    ${NAMESPACE}
    Wait Until Rollout Is Complete    DaemonSet    agent    ${NAMESPACE}
    Wait Until Rollout Is Complete    Deployment    cache    ${NAMESPACE}

Image Is Set And Taken Back
    [Documentation]    Rolls a newer image out, and back.
    [Arguments]    ${kind}    ${name}
    ${before}    Get Object    ${kind}    ${name}    ${NAMESPACE}
    Set Image    ${kind}    ${name}    ${NAMESPACE}    ${NEWER}
    ${after}    Get Object    ${kind}    ${name}    ${NAMESPACE}
    Should Be Equal    ${after}[spec][template][spec][containers][0][image]    ${NEWER}
    ${revision}    Undo Rollout    ${kind}    ${name}    ${NAMESPACE}
    Should Be Equal    ${revision}    ${1}
    ${again}    Get Object    ${kind}    ${name}    ${NAMESPACE}
    Should Be Equal    ${again}[spec][template]    ${before}[spec][template]
    ${history}    Get Rollout History    ${kind}    ${name}    ${NAMESPACE}
    Should Be True    len($history) >= 2
