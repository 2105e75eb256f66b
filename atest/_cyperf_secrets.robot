*** Settings ***
Documentation    Run by cyperf.robot in a process of its own: uses every way in that knows a secret.

Library          NetLibrary
Library          RequestsLibrary


*** Variables ***
${PASSWORD: Secret}    %{CYPERF_PASSWORD}
${WRONG: Secret}       %{CYPERF_WRONG}
${TOKEN: Secret}       %{CYPERF_TOKEN}


*** Test Cases ***
Secrets Are Used Everywhere
    Connect To CyPerf Controller    ${ADDRESS}    username=admin    password=${PASSWORD}    requests_alias=first
    GET On Session    first    /api/v2/agents    timeout=10
    GET On Session    first    /api/v2/nothing    expected_status=404    timeout=10
    Connect To CyPerf Controller    ${ADDRESS}    refresh_token=${TOKEN}    requests_alias=second
    Set CyPerf Stand In Faults    expire_tokens=${True}
    GET On Session    second    /api/v2/time    timeout=10
    # The offline token is refused from now on: what the alias then says must not repeat it
    Set CyPerf Stand In Faults    expire_tokens=${True}    http_errors={"/auth/realms/": 503}
    Run Keyword And Ignore Error    GET On Session    second    /api/v2/time    timeout=10
    Set CyPerf Stand In Faults    reset=${True}
    Run Keyword And Expect Error    *does not accept*    Connect To CyPerf Controller    ${ADDRESS}    username=admin
    ...    password=${WRONG}
    Run Keyword And Expect Error    *does not accept*    Connect To CyPerf Controller    ${ADDRESS}
    ...    refresh_token=${WRONG}
    Run Keyword And Expect Error    *token address*    POST On Session    second
    ...    /auth/realms/keysight/protocol/openid-connect/token    timeout=10
