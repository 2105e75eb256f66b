*** Settings ***
Documentation       What the documentation tells to write does what it says.

Library             OperatingSystem
Library             Process
Library             NetLibrary
Library             pages.py

Test Tags           documentation    slow


*** Variables ***
${DOCS}         ${CURDIR}/../docs
${CLUSTER}      ${EMPTY}
${KUBECONFIG}   ${EMPTY}


*** Test Cases ***
The Suite Of The Tutorial Passes
    [Documentation]    The blocks of docs/own_suite.md, one after the other, are a suite; it runs on the same cluster.
    Get Run Id
    ${suite}    Suite Of Page    ${DOCS}/own_suite.md    ${OUTPUT DIR}/my_application.robot
    ${run}    Run Process    ${{ sys.executable }}    -m    robot    -d    ${OUTPUT DIR}/tutorial
    ...    -v    CLUSTER:${CLUSTER}    -v    KUBECONFIG:${KUBECONFIG}    --console    dotted    ${suite}
    ...    stderr=STDOUT    timeout=5 min
    Log    ${run.stdout}
    Should Be Equal As Integers    ${run.rc}    0    ${run.stdout}
    Should Contain    ${run.stdout}    7 tests, 7 passed
