*** Settings ***
Documentation       Run twice by cyperf_pause.robot, each time in a process of its own: one run of traffic, for which
...                 the controller passes for a real one, so that the pause is the nodes' own.

Resource            NetLibrary/resources/cyperf.resource

Suite Setup         CyPerf Controller And Agents Are Available
Suite Teardown      CyPerf Is Left As It Was


*** Test Cases ***
Traffic Flows After The Pause
    ${library}    Get Library Instance    NetLibrary
    Evaluate    setattr($library._cyperf.controller, 'stand_in', False)
    Traffic Should Reach Its Numbers    HTTP App    ${TARGET}    80    connections per second    50
    ...    connections_per_second_at_least=10
