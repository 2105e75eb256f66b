"""Stand-in for `e2sar_perf`, the sender and receiver of EJFAT Event Segmentation And Reassembly, in direct mode.

It speaks the datagrams of the real program in both directions, takes the same options, ends with the same exit
codes and prints the same report lines in the style of 0.1.4 or 0.3.2. It never gives out a version of the real
program. Nothing in this package imports from outside it: the folder is copied into an image as it stands.

The facts (header layout, arithmetic, option list, report labels) were read in JeffersonLab/E2SAR, tag
`E2SAR-main-0.1.4-ubuntu-22.04` and main of June 2026; none of its code is used.

Environment:
    E2SAR_STANDIN_STYLE    `0.1.4` (default) or `0.3.2`: option set, report lines and exit codes
    E2SAR_STANDIN_SPIN     `1`: an idle receiver polls without rest, as the real one does; `0`: it sleeps. By default it
                           spins where less than a processor is allowed, since only there it makes a difference outside
    E2SAR_STANDIN_STARTUP  seconds that a sender waits before its first datagram (0.1.4 itself needs 6 to 9), default 0
    E2SAR_STANDIN_LINGER   seconds of each of the two pauses at the end (1 in the original): in the first a receiver
                           reads on without reporting; default 1 where it ends after its duration, else 0
"""

NAME = "netlibrary-stand-in"
