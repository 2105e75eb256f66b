*** Settings ***
Documentation       Runs after all other suites of this folder, which only ask for the removal of what they made: it is
...                 done by the cluster meanwhile, and checked here once for all of them.

Library             NetLibrary


*** Test Cases ***
Nothing Of This Run Stays In The Cluster
    Connect To Cluster
    Delete Everything This Run Created
    ${run}    Get Run Id
    ${left}    Get Objects    Namespace    labels=netlibrary.io/run=${run}
    Should Be Empty    ${left}
