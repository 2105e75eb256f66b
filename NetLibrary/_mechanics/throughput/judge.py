"""Holds a run against its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.iperf3.results import Iperf3Problem, Measurement
from NetLibrary._mechanics.throughput.command import Request
from NetLibrary._mechanics.verdict import Check, at_least, at_most
from NetLibrary.types.quantities import bitrate_text

# iperf3 paces in blocks of 128 KiB, so a short run may end up to one block above its rate
PACING_TOLERANCE = 1.10
# In less a stream may still wait for what TCP repeats
_LONG_ENOUGH = 2.0
# So many blocks must have arrived in each stream on average before one without any is told
_BLOCKS_OF_A_STREAM = 4
# Ends of runs that lasted as long as they should
_WHOLE = ("nothing arrived", "no data")


@dataclass(frozen=True)
class Limits:
    """What is expected of a run; None where nothing is.

    Args:
        at_least: Smallest rate at the receiver, in bit/s.
        at_most: Largest rate at the receiver, in bit/s.
        lost_at_most: Largest share of datagrams lost, in percent.
        retransmits_at_most: Most TCP segments sent again.
    Raises:
        InputError: No run can miss a limit, or none can meet both.
    """

    at_least: float | None = None
    at_most: float | None = None
    lost_at_most: float | None = None
    retransmits_at_most: int | None = None

    def __post_init__(self) -> None:
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            least, most = bitrate_text(self.at_least), bitrate_text(self.at_most)
            raise InputError(f"at_least is {least} and at_most is {most}; no rate is both.")
        if self.lost_at_most is not None and self.lost_at_most > 100:
            raise InputError(f"lost_at_most is {self.lost_at_most:g} %; no more than 100 % can be lost.")


def judge(result: Measurement, request: Request, limits: Limits) -> tuple[list[Check], list[str]]:
    """Returns the checks, and why the run is no result or a limit cannot be judged."""
    checks, errors = [], [f"The two ends contradict each other: {text}." for text in result.contradictions]
    rate, told = result.bits_per_second, bitrate_text(result.bits_per_second)
    if limits.at_least is not None:
        text = f"Throughput was {told}; at least {bitrate_text(limits.at_least)} was expected."
        checks.append(at_least("throughput", limits.at_least, rate, "bit/s", text))
        errors += _not_counted(result, limits.at_least) or _slowed_down(result, text, limits.at_least)
    if limits.at_most is not None:
        text = f"Throughput was {told}; at most {bitrate_text(limits.at_most)} was expected."
        checks.append(at_most("throughput", limits.at_most, rate, "bit/s", text))
    # Where whole blocks are counted, a slow stream seems to carry nothing until its first block is whole
    counted = result.bytes >= _BLOCKS_OF_A_STREAM * result.uncounted_bytes
    if result.silent_streams and result.duration_seconds >= _LONG_ENOUGH and counted:
        checks.append(_all_streams(result))
        errors += _at_the_ends(result, checks[-1].sentence)
    if request.bits_per_second:
        checks.append(_paced(result, request.bits_per_second))
    if limits.lost_at_most is not None:
        check, error = _lost(result, limits.lost_at_most)
        checks.append(check)
        errors += error
    if limits.retransmits_at_most is not None:
        if result.retransmits is None:
            errors.append("iperf3 counted no retransmits here, so their limit cannot be judged.")
        text = f"{result.retransmits} segments were sent again; at most {limits.retransmits_at_most} was expected."
        checks.append(at_most("retransmits", limits.retransmits_at_most, result.retransmits, "", text))
    return checks, errors


def _not_counted(result: Measurement, least: float) -> list[str]:
    """A rate just below its limit may be one that reached it, where the receiver counts whole blocks only."""
    rate = result.bits_per_second
    if not result.duration_seconds or rate >= least:
        return []
    most = rate + 8 * result.uncounted_bytes / result.duration_seconds
    if most < least:
        return []
    return [
        f"Whether {bitrate_text(least)} was reached cannot be determined: {bitrate_text(rate)} were counted, and up to "
        f"{result.uncounted_bytes} bytes more may have arrived, since iperf3 counts only whole blocks from 3.16 on; in "
        "a longer run they matter less."
    ]


def _slowed_down(result: Measurement, text: str, least: float) -> list[str]:
    """A rate that a CPU limit of one of the ends decided says nothing of the network."""
    return [] if result.bits_per_second >= least else _at_the_ends(result, text)


def _at_the_ends(result: Measurement, text: str) -> list[str]:
    if not result.held_back_often:
        return []
    return [f"{text} That is no result of the network: {' '.join(result.held_back)} Raise its CPU limit (POD_LIMITS)."]


def _all_streams(result: Measurement) -> Check:
    """All streams are connected before the first one sends: one that then carries nothing has a path of its own."""
    text = (
        f"{result.silent_streams} of {result.streams} parallel streams carried nothing to the receiver in "
        f"{result.duration_seconds:.1f} s: connections on the same path are not treated alike."
    )
    return at_most("silent streams", 0, result.silent_streams, "", text)


def _paced(result: Measurement, asked: float) -> Check:
    sent = bitrate_text(result.sent_bits_per_second)
    text = f"The sender sent {sent} although it was limited to {bitrate_text(asked)}: the limit was not applied."
    return at_most("sent rate", asked * PACING_TOLERANCE, result.sent_bits_per_second, "bit/s", text)


def _lost(result: Measurement, limit: float) -> tuple[Check, list[str]]:
    """A loss is judged by the least and the most that it can have been, without what the receiver itself lost."""
    least, most = result.lost_on_the_way
    lost, packets = result.lost_packets or 0, result.packets
    text = f"{lost} of {packets} datagrams ({least or 0.0:.2f} %) were lost; at most {limit:g} % was expected."
    if result.unread_packets:
        network = lost - result.unread_packets
        text = (
            f"{network} of {packets} datagrams ({least or 0.0:.2f} %) were lost on the way; at most {limit:g} % was "
            f"expected. {_sentence(result.notes[-1])}"
        )
    if least is None:
        text = "iperf3 counted no loss here, so its limit cannot be judged."
    check = at_most("lost", limit, least, "%", text)
    if least is None or least > limit or (most is not None and most <= limit):
        return check, [] if least is not None else [text]
    bound = "nothing bounds it" if most is None else f"at most {most:.2f} % were"
    held = " ".join(result.held_back).rstrip(".") if result.held_back_often else ""
    why = "; ".join([*result.notes, *([held] if held else [])]) or "datagrams arrived late or twice"
    return check, [
        f"Whether at most {limit:g} % were lost cannot be determined: at least {least:.2f} %, {bound} ({why})."
    ]


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."


def no_traffic(
    problem: Iperf3Problem, request: Request, namespace: str, *, attempts: int, seconds: float,
    held_back: Sequence[str] = (),
) -> tuple[list[Check], list[str]]:  # fmt: skip
    """Returns the failed check of a run that carried nothing or broke, or why nothing can be said of the network.

    Args:
        problem: How it ended.
        request: What was asked for.
        namespace: The client's.
        attempts: How often it was tried.
        seconds: How long that took.
        held_back: Sentences about ends whose CPU limit often held them back, which may have ended it.
    """
    text = broken_text(problem, request, namespace, attempts=attempts, seconds=seconds)
    if held_back and problem.of_the_network and problem.kind != "refused":
        text += f" That may not be the network: {' '.join(held_back)} Raise its CPU limit (POD_LIMITS)."
        return [], [text]
    if not problem.of_the_network:
        return [], [text]
    return [Check("traffic", "carried to the end", problem.kind, "", False, text)], []


def broken_text(
    problem: Iperf3Problem, request: Request, namespace: str, *, attempts: int = 1, seconds: float = 0.0
) -> str:
    """Returns what happened to a run, in a sentence, with iperf3's own words and exit status."""
    way = f"from '{namespace}' to '{request.server}:{request.port}'"
    words = f"{problem.kind}: {problem.text}".rstrip(".")
    if problem.exit_status is not None:
        words += f" (exit status {problem.exit_status})"
    after = problem.broke_after
    if after is None or not (problem.of_the_network or problem.kind == "interrupted") or problem.kind in _WHOLE:
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        had = f" Measured until then: {bitrate_text(mean_rate(problem))} in {after:.1f} s." if after else ""
        return f"No throughput {way} ({tries}, {seconds:.1f} s): {words}.{had}"
    until = bitrate_text(mean_rate(problem))
    return f"The traffic {way} broke off after {after:.1f} s of {request.seconds:g} s: {words}. Until then {until}."


def mean_rate(problem: Iperf3Problem) -> float:
    """Returns the mean rate of what was measured until a run broke."""
    spans = [(i.end_seconds - i.start_seconds, i.bits_per_second) for i in problem.intervals]
    total = sum(span for span, _ in spans)
    return sum(span * rate for span, rate in spans) / total if total else 0.0


def judge_share(share_percent: float, limit_percent: float, rate: float, reference: float) -> Sequence[Check]:
    """Returns the check of a share of another run's rate."""
    text = (
        f"{bitrate_text(rate)} is {share_percent:.1f} % of the other run's {bitrate_text(reference)}; "
        f"at least {limit_percent:g} % was expected."
    )
    return [at_least("share", limit_percent, share_percent, "%", text)]
