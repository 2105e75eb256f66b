*** Settings ***
Documentation       Waits against the clock: each gives up within five seconds of the moment when, by the cluster's own
...                 times, its goal is out of reach, and not before; one that may still come true goes on to its limit.
...
...                 *Topology*: one namespace of this run, a pod or Deployment for each state.
...                 *Passes when*: the words name the container and its end, and the times are kept (docs/waits.md).

Library             NetLibrary    timeout=120s
Library             waits/clock.py
Library             waits/states.py

Suite Setup         Create Namespace    ${NAMESPACE}
Suite Teardown      Delete Everything This Run Created

Test Tags           cluster    slow


*** Variables ***
${NAMESPACE}    waits


*** Test Cases ***
Pod That Ended For Good
    Gives Up    Pod    ended    cannot get ready: it ended*exit code 3    patience=2

Container That Crashes Again
    Gives Up    Pod    crash    container 'web' *exit code 3*no configuration

Container That Is Killed For Its Memory
    Gives Up    Pod    oom    container 'web' *OOMKilled

Second Container
    Gives Up    Pod    second    container 'web' *exit code 3

Init Container
    Gives Up    Pod    init    init container 'db' *exit code 3

Sidecar
    Gives Up    Pod    sidecar    sidecar 'proxy' *exit code 3

Image That No Registry Has
    Gives Up    Pod    noimage    container 'web' is *ImagePull*    patience=2

Image Name That Is None
    Gives Up    Pod    badimage    container 'web' is InvalidImageName    patience=2

Image That May Not Be Pulled
    Gives Up    Pod    neverpull    container 'web' is ErrImageNeverPull    patience=2

ConfigMap That Is Missing
    Gives Up    Pod    noconfig    CreateContainerConfigError: configmap "none" not found    patience=10

Secret That Is Missing
    Gives Up    Pod    nosecret    FailedMount*secret "none" not found    patience=10

ServiceAccount That Is Missing
    Gives Up    Deployment    account    may not create its pods*serviceaccount "none" not found    patience=12

Rollout That Passes Its Deadline
    Gives Up    Deployment    stuck    has timed out progressing    patience=4

Pod That Fits No Node
    Goes On    Pod    nonode    Unschedulable: 0/* nodes are available

Scheduling Gate
    Goes On    Pod    gated    scheduling gates 'example.org/wait'

Readiness Gate
    Goes On    Pod    gate    readiness gate 'example.org/lb' is not true

Init Container That Takes Its Time
    Goes On    Pod    slowinit    init container 'db' still runs

Readiness Probe That Fails
    Goes On    Pod    probe    container 'web' runs but is not ready

Startup Probe That Has Not Passed
    Goes On    Pod    startup    has not passed its startup probe

Workload Without Replicas
    Goes On    Pod    none    Deployment 'none' wants 0 replicas


*** Keywords ***
Gives Up
    [Documentation]    Starts a state that cannot mend itself, and holds the words and the time of the wait's end.
    [Arguments]    ${kind}    ${name}    ${words}    &{options}
    Start State    ${name}    ${NAMESPACE}
    ${said}    Wait Should Give Up    ${kind}    ${name}    ${NAMESPACE}    ${words}    &{options}
    Log To Console    ${\n}${said}

Goes On
    [Documentation]    Starts a state that may still mend itself: the wait goes on to its limit, with its words.
    [Arguments]    ${kind}    ${name}    ${words}
    Start State    ${name}    ${NAMESPACE}
    ${said}    Wait Should Go On    ${kind}    ${name}    ${NAMESPACE}    ${words}
    Log To Console    ${\n}${said}
