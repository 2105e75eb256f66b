*** Settings ***
Documentation     E2SAR (EJFAT event segmentation and reassembly): what a receiver really gets of what was sent.
...
...               *Topology*: receiver Jobs behind a headless Service, sender Jobs on another or the same node, in a
...               namespace of the run.
...               *Traffic*: numbered events, cut into UDP datagrams by e2sar_perf in direct mode, by the receiver's
...               address, its DNS name, a Service or a NodePort.
...               *Passes when*: events received / events sent reaches the row's share; in the rows that are meant to
...               fail, when nothing or little arrives and the verdict names the right cause.
...
...               The published parameters deliver little, and the suite explains why: the receiver's socket buffer
...               and CPU limit, not the network. Following the advice delivers everything.
...
...               Variables: E2SAR_IMAGE, E2SAR_NAMESPACE, E2SAR_TIMEOUT, SKIP_TEARDOWN. For instance:
...               robot -d results -v E2SAR_IMAGE:ibaldin/e2sar:0.3.2 suites/e2sar.robot

Resource          NetLibrary/resources/e2sar.resource

Suite Setup       E2SAR Namespace Is Ready
Suite Teardown    Delete Everything This Run Created

Test Tags         e2sar


*** Test Cases ***
Events Arrive
    [Documentation]    Clean profile: every event arrives, over each path, in one datagram or in several.
    [Tags]    smoke
    [Template]    Deliver Events
    # PATH       PLACEMENT     EVENTS    LENGTH    MTU     RATE
    pod ip       other node    1000      4000      1400    50M
    dns          same node     500       512       512     10M
    node port    other node    500       1024      1400    10M

Several Senders And Receivers
    [Template]    Deliver From Several Senders To Several Receivers
    # SENDERS    RECEIVERS    EVENTS    AT LEAST
    2            2            500       100 %

Published Parameters Explained
    [Documentation]    The published run delivered 17 %. How much gets through depends on how the throttled periods meet
    ...    the sender's bursts (12 to 76 % were seen), so the row asks for a loss and for its cause.
    [Template]    Repeat The Published Run
    # AT MOST    CAUSE
    95 %         buffer and CPU throttling

Policies
    [Template]    Policy Keeps Events Away
    # POLICY    EVENTS
    deny-udp    300
    tcp-only    300

Policy For The Right Protocol
    [Template]    Policy Lets Events Through
    # POLICY    EVENTS
    allow       300

Nobody Listens There
    [Template]    Nobody Listens
    # PORT    CAUSE
    21000     wrong port

Receiver Ends Too Early
    [Template]    Receiver Ends Before The Sender
    # DURATION    CAUSE
    3 s           receiver ended early

Receiver Killed
    [Template]    Receiver Dies In The Middle
    # CAUSE
    pod

Network Trouble
    [Documentation]    Faults that only a lab can be given; skipped elsewhere.
    [Tags]    disruptive
    [Template]    Disturbed Path Is Recognised
    # FAULT       LENGTH    MTU     AT MOST    CAUSE
    cut           1024      1400    0 %        link cut
    loss          1024      1400    95 %       lossy link
    black hole    1200      1100    0 %        MTU black hole

Path Interrupted In The Middle
    [Tags]    disruptive    slow
    [Template]    Disturbed Path Is Recognised
    # FAULT         LENGTH    MTU     AT MOST    CAUSE
    interruption    1024      1400    80 %       link interrupted

Events Arrive Behind A Service
    [Tags]    slow
    [Template]    Deliver Events
    # PATH     PLACEMENT     EVENTS    LENGTH    MTU     RATE
    service    other node    500       1024      1400    10M
    service    same node     500       1024      1400    10M

Delivery Surface
    [Documentation]    Buffer by rate by MTU, with a picture. Every run must deliver something.
    [Tags]    slow
    Sweep E2SAR Transfers
    ...    mtu=[512, 1400]
    ...    rate=['20M', '100M', '400M']
    ...    receiver_buffer_bytes=[8192, 65536, 1048576]
    ...    events=5000
    ...    event_bytes=512
    ...    mangled_at_most=100
