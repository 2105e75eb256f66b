"""One parser for what `e2sar_perf` prints, from 0.1.4 to 0.3.2, fed line by line.

The labels were read in JeffersonLab/E2SAR (tag `E2SAR-main-0.1.4-ubuntu-22.04` and main of June 2026). Versions differ
in padding, colons, "frames" or "packets", a logger's prefix before `Stats:`, and thousands separators of the locale;
stdout and stderr may run into each other. So every pattern looks for its label anywhere in the line, and a report of
the receiver counts only when its last line was seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from NetLibrary._mechanics.e2sar.numbers import COUNT, VALUE, readings, whole
from NetLibrary._mechanics.e2sar.reports import LostEvent, Report, StatsBlock

_N = COUNT
_UNIT = r"(?:frames|packets)"
LONGEST_LINE = 4000


_SENDER: list[tuple[re.Pattern[str], Callable[[Report, re.Match[str]], None]]] = []
_RECEIVER: list[tuple[re.Pattern[str], Callable[[Report, re.Match[str]], None]]] = []


def _on(table: list, pattern: str, *fields: tuple[str, Callable[[str], object]]) -> None:
    def store(report: Report, match: re.Match[str]) -> None:
        for index, (name, convert) in enumerate(fields, 1):
            setattr(report, name, convert(match[index]))

    table.append((re.compile(pattern), store))


_on(_SENDER, r"Sending (?:average )?bit rate is:?\s+(unlimited)", ("rate_gbps", lambda _: 0.0))
_on(_SENDER, rf"Event size is:?\s+{_N} bytes", ("event_bytes", whole))
_on(_SENDER, rf"Inter-event sleep (?:time is|\(usec\) is):?\s+{_N}", ("sleep_us", whole))
_on(_SENDER, rf"Sending:?\s+{_N} event buffers", ("events", whole))
_on(_SENDER, rf"Using MTU:?\s+{_N}", ("mtu", whole))
_on(_SENDER, r"Using interface:?\s+(\S+)", ("interface", str))
_on(
    _SENDER,
    rf"Fewer {_UNIT} than expected have been sent \({_N} of {_N}\)",
    ("frame_shortfall", whole),
    ("frames_expected", whole),
)
_on(_SENDER, rf"Completed, {_N} {_UNIT} sent, {_N} errors", ("frames_sent", whole), ("errors", whole))
_on(_SENDER, r"Last (?:error encountered|E2SARError code):\s+(.+)", ("last_error", str.strip))
_on(_SENDER, rf"Elapsed usecs:\s+{_N}", ("elapsed_us", whole))
_on(_RECEIVER, rf"Will run for:?\s+{_N} sec", ("duration_s", whole))
_on(_RECEIVER, r"Will run (?:for:\s+)?until (Ctrl)-C", ("duration_s", lambda _: 0))
_on(_RECEIVER, r"Using IP address:?\s+(\S+)", ("address", str))
_on(_RECEIVER, rf"Event reassembly timeout \(ms\):?\s+{_N}", ("timeout_ms", whole))

# Values with a decimal mark, which may have two readings
_VALUES: list[tuple[re.Pattern[str], str]] = [
    (re.compile(rf"Sending (?:average )?bit rate is:?\s+{VALUE}"), "rate_gbps"),
    (re.compile(rf"Event rate is:?\s+{VALUE} Hz"), "event_hz"),
    (re.compile(rf"Estimated effective throughput \(Gbps\):\s+{VALUE}"), "throughput_gbps"),
    (re.compile(rf"Estimated goodput \(Gbps\):\s+{VALUE}"), "goodput_gbps"),
]
_PORTS = re.compile(rf"Receiving on ports:?\s+{_N}:{_N}")
_VERSION = re.compile(r"E2SAR Version:\s*(.*)")
# No pattern may begin with ".*": on a long line that would cost the square of its length.
_FAILURE = re.compile(
    r"(?:Segmenter|Reassembler) encountered an error:"
    r"|Unable to (?:create|parse|open|read|register|allocate)\b"
    r"|Error (?:in parsing|processing)\b"
    r"|Requested optimization \S+ is not available"
    r"|One of --ip or --autoip must"
    r"|terminate called |what\(\):|Segmentation fault|Bus error|Aborted(?: \(core dumped\))?\s*$"
)
_FAILURE_ANYWHERE = re.compile(
    r"e2sar_perf: (?:command )?not found|error while loading shared libraries|[Ee]xec format error|locale::facet"
)
_STATS = re.compile(r"(?<!Port )Stats:\s*$")
_NOT_A_BLOCK = re.compile(r"Port Stats:\s*$")
_PORT_LINE = re.compile(rf"\bPort:\s+{_N} Received:\s+{_N}")
_TOTAL = re.compile(rf"(?:^|\s)Total:\s+{_N}")
_COMPLETED = re.compile(r"(?:^|\s)Completed\s*$")
_LOST_LIST = re.compile(r"Events lost so far(?:\s*\(<[^)]*\))?:(.*)$")
_LOST_ITEM = re.compile(rf"<{_N}:{_N}(?:/{_N})?>")
_MEMBERS: list[tuple[re.Pattern[str], str, Callable[[str], object]]] = [
    (re.compile(rf"\bTotal Bytes:\s+{_N}"), "bytes", whole),
    (re.compile(rf"\bTotal Packets:\s+{_N}"), "packets", whole),
    (re.compile(rf"\bBad RE Header Discards:\s+{_N}"), "bad_headers", whole),
    (re.compile(rf"\bEvents Received:\s+{_N}"), "received", whole),
    (re.compile(rf"\bEvents Mangled:\s+{_N}"), "mangled", whole),
    (re.compile(rf"\bEvents Lost(?: in reassembly)?:\s+{_N}"), "lost_in_reassembly", whole),
    (re.compile(rf"\bEvents Lost in enqueue:\s+{_N}"), "lost_in_enqueue", whole),
    (re.compile(rf"(?<!Last )\bData Errors:\s+{_N}"), "data_errors", whole),
    (re.compile(r"\bLast Data Error:\s+(.*)"), "last_data_error", str.strip),
    (re.compile(rf"\bgRPC Errors:\s+{_N}"), "grpc_errors", whole),
    (re.compile(r"\bLast E2SARError code:\s+(.*)"), "last_error", str.strip),
]
_ROLE_WORDS = re.compile(
    r"Will run |Receiving on ports|Reassembler|reassembler|Registering the worker|Event reassembly timeout"
)


class LogParser:
    r"""Reads the log of one `e2sar_perf`, in pieces of any size, while it grows.

    A second banner in the same log starts a new report; the one before it moves to `earlier`.

    Example:
        >>> parser = LogParser()
        >>> parser.feed("Completed, 978 frames sent, 0 errors\n")
        >>> parser.report.frames_sent
        978
    """

    def __init__(self) -> None:
        self.report = Report()
        self.earlier: list[Report] = []
        self._rest = ""
        self._block: dict[str, object] | None = None
        self._listed = ""
        self._open: dict[str, tuple[float, ...]] = {}  # values whose reading is not yet known

    def feed(self, text: str | bytes, at: float | None = None) -> None:
        """Takes a piece of the log; an unfinished last line waits for its end."""
        piece = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        *lines, self._rest = (self._rest + piece).split("\n")
        for line in lines:
            self.line(line, at)

    def feed_lines(self, lines: Iterable[str]) -> Report:
        """Takes whole lines and ends the log."""
        for line in lines:
            self.line(line)
        return self.finish()

    def finish(self) -> Report:
        """Ends the log: a last line without end is used only as far as it cannot have been cut inside a value."""
        if self._rest:
            line, self._rest = self._rest, ""
            self.report.truncated = True
            self._last_words(line)
        if self._block is not None:
            self.report.broken_blocks += 1
            self._block = None
            self.report.truncated = True
        return self.report

    def line(self, line: str, at: float | None = None) -> None:
        """Takes one whole line, with or without its end."""
        line = line.rstrip("\r\n")
        version = _VERSION.search(line)
        if version:
            self._banner(version[1].strip())
        report = self.report
        report.lines += 1
        if self._block is not None and (listed := _LOST_LIST.search(line)):
            self._close_block(listed[1], at)
            line = line.rpartition(">")[2]  # stdout may run on behind the list
        line = line[:LONGEST_LINE]
        if failure := _FAILURE.search(line):
            report.failures.append(line[failure.start() :].strip())
        elif _FAILURE_ANYWHERE.search(line):
            report.failures.append(line.strip())
        if _ROLE_WORDS.search(line):
            report.role = report.role or "receiver"
        if ports := _PORTS.search(line):
            first, last = _count(ports[1]), _count(ports[2])
            report.ports = (first, last) if first is not None and last is not None else None
        if _NOT_A_BLOCK.search(line):
            return
        if _STATS.search(line):
            self._open_block()
            return
        if self._block is not None and self._member(line):
            return
        self._plain(line, at)

    def _banner(self, version: str) -> None:
        if self.report.version is not None:
            self.earlier.append(self.report)
            self.report, self._block, self._listed, self._open = Report(), None, "", {}
        self.report.version = version

    def _open_block(self) -> None:
        self.report.role = self.report.role or "receiver"
        if self._block is not None:
            self.report.broken_blocks += 1
        self._block = {}

    def _member(self, line: str) -> bool:
        assert self._block is not None
        for pattern, name, convert in _MEMBERS:
            if match := pattern.search(line):
                self._block[name] = _converted(convert, match[1])
                return True
        return False

    def _close_block(self, items: str, at: float | None) -> None:
        values, self._block = self._block or {}, None
        if values.get("received") is None or values.get("lost_in_reassembly") is None:
            self.report.broken_blocks += 1
            return
        blocks = self.report.blocks
        lost, start = [], 0
        if self._listed and items.startswith(self._listed) and blocks:
            # the list only grows: keep what is known, and keep it once
            lost, start = blocks[-1].lost_events, len(self._listed)
            blocks[-1].lost_events = []
        elif blocks:
            blocks[-1].lost_events = []
        lost += [event for match in _LOST_ITEM.finditer(items, start) if (event := _lost_event(match))]
        self._listed = items
        kept = {name: value for name, value in values.items() if value is not None}
        self.report.blocks.append(StatsBlock(**kept, lost_events=lost, at=at))  # type: ignore[arg-type]

    def _plain(self, line: str, at: float | None) -> None:
        report = self.report
        for table, role in ((_SENDER, "sender"), (_RECEIVER, "receiver")):
            for pattern, store in table:
                if match := pattern.search(line):
                    try:
                        store(report, match)
                    except (ValueError, OverflowError):
                        continue
                    if role == "receiver" or not pattern.pattern.startswith("Last"):
                        report.role = report.role or role
                    if "event buffers" in line and at is not None:
                        report.started_sending_at = at
                    if "Completed," in line:
                        report.completed, report.completed_at = True, at
        for pattern, name in _VALUES:
            if match := pattern.search(line):
                report.role = report.role or "sender"
                self._open[name] = readings(match[1])
        self._settle()
        if match := _PORT_LINE.search(line):
            port, count = _count(match[1]), _count(match[2])
            if port is not None and count is not None:
                report.port_stats[port] = count
        elif report.port_stats and (match := _TOTAL.search(line)):
            report.total_frames = _count(match[1])
        elif _COMPLETED.search(line):
            report.completed, report.completed_at = True, at
        elif "Stopping threads" in line:
            report.stopping = True

    def _settle(self) -> None:
        """Decides between two readings of a value by what the other lines say it must be."""
        report = self.report
        for name, found in list(self._open.items()):
            if len(found) == 2:
                expected = _expected(report, name)
                if expected is None:
                    continue
                found = tuple(each for each in found if expected / 20 < each < expected * 20)
            if len(found) == 1:
                setattr(report, name, found[0])
            del self._open[name]

    def _last_words(self, line: str) -> None:
        closing = self._block is not None and _LOST_LIST.search(line)
        if closing:
            assert self._block is not None
            listed, lost = len(_LOST_ITEM.findall(closing[1])), self._block.get("lost_in_reassembly")
            if listed == lost and not re.search(r"<[^>]*$", closing[1]):
                self._close_block(closing[1], None)
        elif (
            _FAILURE.search(line)
            or _COMPLETED.search(line)
            or re.search(rf"Completed, {_N} {_UNIT} sent, {_N} errors$", line)
        ):
            self.line(line)


def _expected(report: Report, name: str) -> float | None:
    """What the counts of a report say that one of its values must about be."""
    bits = 8 * report.event_bytes if report.event_bytes else None
    if name == "rate_gbps":
        return bits / report.sleep_us / 1000 if bits and report.sleep_us else None
    if name == "event_hz":
        return 1e6 / report.sleep_us if report.sleep_us else None
    if not report.elapsed_us:
        return None
    if name == "goodput_gbps":
        return bits * report.events / report.elapsed_us / 1000 if bits and report.events else None
    frames, mtu = report.frames_sent, report.mtu
    return frames * mtu * 8 / report.elapsed_us / 1000 if frames and mtu else None


def _lost_event(match: re.Match[str]) -> LostEvent | None:
    number, data_id = _count(match[1]), _count(match[2])
    if number is None or data_id is None:
        return None
    return LostEvent(number, data_id, _count(match[3]) if match[3] else None)


def _count(text: str) -> int | None:
    try:
        return whole(text)
    except (ValueError, OverflowError):
        return None


def _converted(convert: Callable[[str], object], text: str) -> object:
    try:
        return convert(text)
    except (ValueError, OverflowError):
        return None


def parse(text: str | bytes) -> Report:
    """Parses a whole log."""
    parser = LogParser()
    parser.feed(text)
    return parser.finish()
