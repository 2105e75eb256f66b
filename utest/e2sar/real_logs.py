"""Logs in the words of the real e2sar_perf, made from counts; what the real one printed beside a sniffer is the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from NetLibrary._mechanics.e2sar.evidence import Evidence, Snapshot
from NetLibrary._mechanics.e2sar.facts import End, Facts, ReceiverFacts, SenderFacts
from NetLibrary._mechanics.e2sar.logs import LogParser
from NetLibrary._mechanics.e2sar.parameters import ReceiverSettings, SenderSettings

Line = tuple[float, str]  # seconds since the receiver's start, text
NOTICE = "*** Make sure the URI reflects proper data address, other parts are ignored."


@dataclass
class Block:
    """One report: seconds since the start, events received, events lost, datagrams."""

    at: float
    received: int
    lost: int = 0
    packets: int = 0


def receiver_lines(
    version: str, blocks: Sequence[Block], *, completed: float | None, total: int | None = None, duration: int = 0,
    threads: int = 1, deq: int = 1, interrupted: bool = False,
) -> list[Line]:  # fmt: skip
    """The log of a receiver. `completed` is when it printed that word; None when it was killed before."""
    old = version == "0.1.4"
    ends = f"{duration} sec" if duration else "until Ctrl-C"
    lines: list[Line] = [(0.0, f"E2SAR Version: {version}"), (0.0, f"Will run for: {ends}" if not old else f"Will run for {ends}"),
                         (0.0, f"Receiving on ports: 19522:{19522 + threads - 1}"), (0.0, NOTICE)]  # fmt: skip
    for number, block in enumerate(blocks):
        lost = [f"<{event}:4321{'' if old else '/2'}> " for event in range(block.lost)]
        head = "Stats:" if old else f"{number}: [06:55:{number:02}.245456] {{info}} Stats:"
        body = [f"\tEvents Received: {block.received}", "\tEvents Mangled: 0"]
        if old:
            body += [f"\tEvents Lost: {block.lost}", "\tData Errors: 0", "\tgRPC Errors: 0"]
            body += [f"\tEvents lost so far: {''.join(lost)}"]
        else:
            body = [f"\tTotal Bytes: {block.packets * 1369}", f"\tTotal Packets: {block.packets}",
                    "\tBad RE Header Discards: 0", *body, f"\tEvents Lost in reassembly: {block.lost}",
                    "\tEvents Lost in enqueue: 0", "\tData Errors: 0", "\tgRPC Errors: 0",
                    f"\tEvents lost so far (<Evt ID:Data ID/num frags rcvd>): {''.join(lost)}"]  # fmt: skip
        lines += [(block.at, text) for text in (head, *body)]
    if completed is not None:
        lines += [(completed, "Stopping threads")] if interrupted else []
        lines += [(completed, "Completed")] * deq + [(completed, "Stopping threads")]
        lines += [(completed + 1, "Deregistering worker")]
        if not old:
            ports = [f"\tPort: {19522 + n} Received: {(total or 0) if n == 0 else 0}" for n in range(threads)]
            lines += [(completed + 1, text) for text in ("Port Stats: ", *ports, f"Total: {total or 0}")]
    return lines


def sender_lines(
    version: str, settings: SenderSettings, *, begun: float, completed: float | None, sent: int | None = None,
    errors: int = 0, said: str = "",
) -> list[Line]:  # fmt: skip
    """The log of a sender; `sent` is what the line `Completed` says, all datagrams by default."""
    old, planned = version == "0.1.4", settings.frames
    sent = planned if sent is None else sent
    word = "frames" if old else "packets"
    lines: list[Line] = [(begun, f"E2SAR Version: {version}"), (begun, NOTICE),
                         (begun, f"Event size is {settings.event_bytes} bytes or {8 * settings.event_bytes} bits"),
                         (begun, f"Sending {settings.events} event buffers"), (begun, f"Using MTU {settings.mtu}")]  # fmt: skip
    if completed is None:
        return lines
    if sent < planned:
        rest = ", sender is not keeping up with the requested send rate." if old else "."
        lines.append((completed, f"WARNING: Fewer {word} than expected have been sent ({sent} of {planned}){rest}"))
    lines.append((completed, f"Completed, {sent} {word} sent, {errors} errors"))
    if errors:
        lines.append((completed, f"Last error encountered: {said}"))
    return [*lines, (completed, "Stopping threads")]


def parsed(lines: Sequence[Line], times: bool = True) -> LogParser:
    """Parses lines, with or without their times."""
    parser = LogParser()
    for at, text in lines:
        parser.feed(text + "\n", 1000.0 + at if times else None)
    parser.finish()
    return parser


def counters(**values: int) -> Evidence:
    """What the kernel counted in a pod during the run, for instance `InDatagrams=3`."""
    names = dict.fromkeys(("InDatagrams", "NoPorts", "InErrors", "RcvbufErrors", "OutDatagrams"), 0) | values
    evidence = Evidence()
    evidence.before = Snapshot(0.0, {f"Udp.{name}": 0 for name in names})
    evidence.after = Snapshot(9.0, {f"Udp.{name}": value for name, value in names.items()})
    return evidence


def facts(
    settings: SenderSettings, sent: Sequence[Line], got: Sequence[Line], *, times: bool = True,
    sender_end: float | None = None, receiver_end: float | None = None, receiver_code: int = 0, by_us: bool = False,
    duration: int = 0, kernel: Evidence | None = None, sender_kernel: Evidence | None = None, port: int = 19522,
    options: tuple[str, ...] = (),
) -> Facts:  # fmt: skip
    """Facts of a run; ends are the containers', in seconds since the receiver's start."""
    sender = SenderFacts("sender-0", settings, parsed(sent, times).report, sender_kernel or Evidence(), node="node1")
    sender.end = End(0, at=None if sender_end is None else 1000 + sender_end)
    begun = next((at for at, text in sent if "Using MTU" in text), None)
    sender.first_datagram_at = 1000 + begun if times and begun is not None else None
    listening = ReceiverSettings(duration_seconds=duration, port=port, options=options)
    receiver = ReceiverFacts("receiver-0", listening, parsed(got, times).report, kernel or Evidence(), node="node2")
    receiver.end = End(receiver_code, at=None if receiver_end is None else 1000 + receiver_end, by_us=by_us)
    receiver.bound_at = 1000.1 if times else None
    return Facts([sender], [receiver])
