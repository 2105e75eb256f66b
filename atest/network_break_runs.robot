*** Settings ***
Documentation     Whole runs of the network-break suite, in processes of their own: stopped in the middle, two at once.
...
...               *Topology*: that of suites/network_break.robot, on a lab.
...               *Traffic*: as there.
...               *Passes when*: a run that is stopped writes what it has measured and leaves nothing behind, and
...               two runs on one cluster do not see each other.

Library           OperatingSystem
Library           Process
Library           NetLibrary

Suite Setup       Connect To Cluster
Suite Teardown    Terminate All Processes

Test Tags         break    disruptive    needs-lab    slow


*** Variables ***
${CLUSTER}        ${EMPTY}
${KUBECONFIG}     ${EMPTY}
${OUT}            ${OUTPUT DIR}/network_break_runs


*** Test Cases ***
A Run That Is Stopped In The Middle Writes What It Has
    VAR    ${id}    ${{ secrets.token_hex(3) }}
    ${run}    Start Suite    stopped    -t    User*    -v    OUTAGE_COMMAND:sleep 60    -v    NAMESPACE:stopped-${id}
    Wait Until Keyword Succeeds    60 s    0.3 s    Run Should Have Said    stopped    step 'reload'
    Sleep    2 s    Something is measured meanwhile
    Send Signal To Process    SIGTERM    ${run}
    ${ended}    Wait For Process    ${run}    timeout=60 s    on_timeout=kill
    Should Be True    0 < ${ended.rc} < 250    msg=robot ended with ${ended.rc}
    ${record}    Record Of    stopped
    Should Be Equal    ${record}[verdict][reasons]    ${{ ['the measurement was cut short'] }}
    Should Be True    ${record}[summary][answered_probes] > 3000
    Should Be Equal    ${record}[summary][longest_outage_ms]    ${0.0}
    FOR    ${file}    IN    @{record}[files]
        File Should Exist    ${OUT}/stopped/${file}
    END
    ${namespaces}    Get Objects    Namespace
    Should Not Contain    ${{ [n['metadata']['name'] for n in $namespaces] }}    stopped-${id}

Two Runs At Once Do Not See Each Other
    ${first}    Start Suite    first    -t    Quiet*
    ${second}    Start Suite    second    -t    Quiet*
    ${one}    Wait For Process    ${first}    timeout=300 s    on_timeout=kill
    ${other}    Wait For Process    ${second}    timeout=300 s    on_timeout=kill
    Should Be Equal As Integers    ${one.rc}    0    msg=${one.stdout}
    Should Be Equal As Integers    ${other.rc}    0    msg=${other.stdout}


*** Keywords ***
Start Suite
    [Documentation]    Starts the suite in a process of its own.
    [Arguments]    ${name}    @{options}
    Create Directory    ${OUT}
    ${process}    Start Process
    ...    ${{ sys.executable }}    -m    robot    -d    ${OUT}/${name}
    ...    -v    CLUSTER:${CLUSTER}    -v    KUBECONFIG:${KUBECONFIG}
    ...    @{options}
    ...    ${CURDIR}/../suites/network_break.robot
    ...    stdout=${OUT}/${name}.txt    stderr=STDOUT
    RETURN    ${process}

Run Should Have Said
    [Documentation]    Passes as soon as the run has printed something.
    [Arguments]    ${name}    ${text}
    ${said}    Get File    ${OUT}/${name}.txt
    Should Contain    ${said}    ${text}

Record Of
    [Documentation]    Returns the one record that a run has written.
    [Arguments]    ${name}
    ${lines}    Get File    ${OUT}/${name}/measurements.jsonl
    VAR    @{records}    @{{ list(map(json.loads, $lines.splitlines())) }}
    Should Be Equal As Integers    ${{ len($records) }}    1
    RETURN    ${records}[0]
