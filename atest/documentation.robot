*** Settings ***
Documentation       What the documentation tells to write does what it says.

Library             OperatingSystem
Library             Process
Library             NetLibrary
Library             kinds.py
Library             pages.py

Test Tags           documentation    slow


*** Variables ***
${DOCS}         ${CURDIR}/../docs
${CLUSTER}      ${EMPTY}
${KUBECONFIG}   ${EMPTY}
# To a lab that is up already, for the recipes.
${RECIPES_LAB}  ${EMPTY}


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

The Recipes Pass
    [Documentation]    The blocks of docs/recipes.md run on a shop as they mean it; devices take 1450 bytes.
    A Shop Is Open
    VAR    ${settings}    *** Settings ***    Library${SPACE * 4}NetLibrary
    ...    Suite Teardown${SPACE * 4}Delete Everything This Run Created    ${EMPTY}    separator=\n
    ${suite}    Suite Of Page    ${DOCS}/recipes.md    ${FOLDER}/recipes.robot    ${settings}
    ${lab}    Get Lab Name
    ${run}    Run Process    ${{ sys.executable }}    -m    robot    -d    ${OUTPUT DIR}/recipes/results
    ...    -v    CLUSTER:lab:${lab}    --console    dotted    ${suite}
    ...    cwd=${FOLDER}    stderr=STDOUT    timeout=10 min
    Log    ${run.stdout}
    Should Be Equal As Integers    ${run.rc}    0    ${run.stdout}
    [Teardown]    Run Keywords    Delete Everything This Run Created    AND    The Lab Is Stopped


*** Keywords ***
A Shop Is Open
    [Documentation]    Starts a lab with the shop of the recipes, and measures what they call yesterday.
    VAR    ${FOLDER}    ${OUTPUT DIR}/recipes    scope=TEST
    IF    $RECIPES_LAB
        Use Lab    ${RECIPES_LAB}
    ELSE
        Start Lab Of Kind    --mtu 1450
    END
    ${certificate}    ${key}    Make Authority    ${FOLDER}    pay.shop
    Copy File    ${CURDIR}/recipes/migration.yaml    ${FOLDER}
    ${kubeconfig}    Get Kubeconfig Of Lab
    Connect To Cluster    alias=shop    kubeconfig=${kubeconfig}
    Create Namespace    shop    cluster=shop
    Apply Manifest    ${CURDIR}/recipes/shop.yaml    namespace=shop    cluster=shop
    ...    certificate=${certificate}    key=${key}
    FOR    ${name}    IN    web    pay    db
        Wait Until Deployment Is Available    ${name}    shop    cluster=shop
    END
    Start Iperf3 Server    shop    cluster=shop
    FOR    ${_}    IN RANGE    3
        Measure Throughput    iperf3-server    shop    duration=5s    name=shop    cluster=shop
    END
    Copy File    ${OUTPUT DIR}/measurements.jsonl    ${FOLDER}/yesterday.jsonl

The Lab Is Stopped
    [Documentation]    Takes the lab down if this suite started it.
    IF    not $RECIPES_LAB    Stop Lab
