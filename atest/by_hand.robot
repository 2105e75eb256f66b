*** Settings ***
Documentation       What the pages of the documentation tell to type besides `robot`: the commands stand there, and are
...                 run here one after the other, as they stand.

Library             NetLibrary
Library             variables.py

Suite Setup         Connect To Cluster
Suite Teardown      Delete Everything This Run Created

Test Tags           documentation    slow


*** Variables ***
${E2SAR_IMAGE}      ghcr.io/netlibrary/e2sar-perf-standin:1


*** Test Cases ***
E2SAR By Hand
    [Documentation]    The page's line for another image, with the lab's; the receiver goes on for its 300 s.
    Stand Ins Are Installed    e2sar
    Run Commands Of Page    e2sar    sed -s    …\#=${E2SAR_IMAGE}\#
    Kubectl    -n    e2sar-perf    wait    --for    condition\=complete    --timeout    120s    job/e2sar-sender-0
    ${seen}    Run Commands Of Page    e2sar    kubectl get jobs,pods    kubectl -n e2sar-perf logs
    ...    kubectl apply -f manifests/e2sar/policies
    Should Contain    ${seen}    Completed, 20000 frames sent, 0 errors
    Should Match Regexp    ${seen}    Events Received: [1-9]
    Run Commands Of Page    e2sar    kubectl delete namespace

CyPerf By Hand
    [Documentation]    In the namespace of a run that keeps everything.
    Run Suite With    cyperf    -t    HTTP By Cluster IP    NAMESPACE:cyperf    SKIP_TEARDOWN:yes
    ${seen}    Run Commands Of Page    cyperf    kubectl -n cyperf get    kubectl -n kube-system get svc kube-dns
    ...    kubectl -n cyperf scale    kubectl -n cyperf logs
    Should Contain    ${seen}    cyperf-agent-service
    Should Contain    ${seen}    deployment.apps/cyperf-agent-server scaled
    What Stayed Can Be Looked At And Removed    cyperf-agent

Skupper By Hand
    [Documentation]    Beside a run that keeps everything.
    Run Suite With    skupper_iperf3    -t    Traffic Crosses*    SKIP_TEARDOWN:yes
    ${seen}    Run Commands Of Page    skupper_iperf3    kubectl get sites    kubectl get namespaces
    Should Contain    ${seen}    attachedconnectorbinding.skupper.io/iperf3
    Should Match Regexp    ${seen}    netlib-.*-attached-workload
    What Stayed Can Be Looked At And Removed    iperf3-server
