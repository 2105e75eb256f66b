"""What the E2SAR keywords share: benches by namespace, progress, verdicts in log and records."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from robot.api import Failure, logger

from NetLibrary._mechanics.e2sar import objects, show
from NetLibrary._mechanics.e2sar import parameters as p
from NetLibrary._mechanics.e2sar.bench import Bench
from NetLibrary._mechanics.e2sar.party import Party
from NetLibrary._mechanics.e2sar.sweep import Combination, table
from NetLibrary._mechanics.e2sar.verdict import Judgement, Thresholds, judge, percent
from NetLibrary._mechanics.errors import InputError, NetLibraryError
from NetLibrary._mechanics.facts import images_of
from NetLibrary._mechanics.verdict import Verdict
from NetLibrary.keywords import _robot
from NetLibrary.types import Percentage

if TYPE_CHECKING:
    from NetLibrary.keywords._session import Session

SETTLE_SECONDS = 12.0
STEP_SECONDS = 2.0


@dataclass
class E2sarResult:
    """Result of a run.

    `delivered_percent` is events received of events sent. `cause` is a word such as `network policy`, `sentence` names
    cause and remedy, `advice` holds the arguments that would mend it, by their names.
    """

    delivered_percent: float
    events: int
    received: int
    partial: int
    silent: int
    mangled: int
    cause: str
    sentence: str
    advice: dict[str, str]
    counts: str
    judgement: Judgement


class E2sarRuns:
    """State and steps behind the keywords.

    Args:
        session: Clusters, recorder and clean-up of the library.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.benches: dict[str, Bench] = {}
        self.image = ""
        self.namespace = ""
        self._said: tuple[str, float] = ("", 0.0)

    def bench(self, namespace: str | None) -> Bench:
        name = namespace or self.namespace
        if name not in self.benches:
            known = ", ".join(f"'{each}'" for each in self.benches) or "none"
            raise InputError(f"namespace is '{name}'; prepared are {known}. Use 'Prepare E2SAR Namespace' first.")
        return self.benches[name]

    def limit(self, timeout: timedelta | None) -> float:
        return timeout.total_seconds() if timeout else self.session.default_timeout

    def progress(self, bench: Bench) -> None:
        """One console line every two seconds at the most, and only when something changed."""
        parts = []
        for party in bench.parties.values():
            block = party.report.final
            if party.role == "receiver" and block and (block.received or block.lost):
                parts.append(f"{party.name} received {block.received}, lost {block.lost}{_speed(party)}")
            elif party.role == "sender" and party.report.frames_sent is not None:
                parts.append(f"{party.name} sent {party.report.frames_sent} datagrams")
        text, now = "; ".join(parts), time.monotonic()
        said, at = self._said
        if text and text != said and now - at >= STEP_SECONDS:
            self._said = (text, now)
            _robot.console(f"E2SAR: {text}")

    def clear(self, bench: Bench) -> None:
        left = [each for each in bench.parties.values() if not each.terminated()]
        if left:
            logger.info(f"Removing what still runs: {', '.join(each.name for each in left)}.")
        bench.remove(list(bench.parties.values()))

    def finish(
        self, bench: Bench, thresholds: Thresholds, name: str, at_most: Percentage | None, keep: bool
    ) -> E2sarResult:
        senders = [each for each in bench.parties.values() if each.role == "sender"]
        receivers = [each for each in bench.parties.values() if each.role == "receiver"]
        if not senders and not receivers:
            raise InputError(
                f"Nothing ran in namespace '{bench.namespace}' that could be judged; start a sender first."
            )
        events = sum(each.settings.events for each in senders)
        for sender in senders:
            aimed = [each for each in receivers if sender.target.startswith((f"{each.address}:", f"{each.name}."))]
            for receiver in aimed or receivers:
                try:
                    sender.blocking += bench.blocked_by(sender, receiver)
                except NetLibraryError as error:
                    logger.info(f"NetworkPolicies could not be read: {error}")
        bench.settle(receivers, events, timeout=SETTLE_SECONDS)
        for each in (*senders, *receivers):
            bench.stop(each)
        judgement = judge(bench.facts(senders, receivers), thresholds)
        if at_most is not None and judgement.delivered > at_most.fraction:
            judgement.reasons.append(f"Delivered {percent(judgement.delivered)}, expected at most {at_most}.")
        result = result_of(judgement)
        self.report(bench, name, result, senders, receivers, thresholds)
        if not keep:
            bench.remove([*senders, *receivers])
        return result

    def judge_broken(
        self, bench: Bench, error: Exception, least: Percentage, cause: str | None, name: str | None, keep: bool
    ) -> E2sarResult:
        label = name or _robot.current_test() or "e2sar"
        result = self.finish(bench, Thresholds(delivered=least.fraction), label, None, keep)
        if cause and cause in [each.kind for each in result.judgement.causes] and least.percent == 0:
            return result
        raise Failure(failure(result, [*result.judgement.reasons, str(error)])) from error

    def report(
        self, bench: Bench, name: str, result: E2sarResult, senders: list[Party], receivers: list[Party],
        thresholds: Thresholds,
    ) -> None:  # fmt: skip
        judgement = result.judgement
        _robot.log_table(["", name], show.verdict_rows(judgement, senders, receivers))
        files = [file for party in (*senders, *receivers) for file in party.files]
        picture = show.draw_progress(_robot.picture_path("events"), receivers, judgement.events, name)
        if picture:
            _robot.log_picture(picture, f"{name}: events received over time")
            files.append(picture)
        mark = " [stand-in: e2sar_perf]" if "e2sar_perf" in self.session.stand_ins else ""
        _robot.set_test_metadata("Delivered", f"{percent(judgement.delivered)}{mark}")
        _robot.console(f"{name}: {judgement.counts}{mark}")
        if judgement.causes:
            _robot.console(f"  {judgement.sentence}")
        self.session.recorder.add(
            kind="e2sar",
            name=name,
            parameters=show.parameters(senders, receivers, bench.namespace),
            series=show.series(senders, receivers),
            summary=show.summary(judgement),
            thresholds={**thresholds.__dict__},
            verdict=Verdict(judgement.passed, judgement.reasons),
            images=images_of([party.pod for party in (*senders, *receivers) if party.pod]),
            files=files,
        )

    def show_sweep(
        self, name: str, done: list[tuple[Combination, E2sarResult | None, str]], least: Percentage
    ) -> list[E2sarResult]:
        shown = [(run, result.judgement if result else None, text) for run, result, text in done]
        columns, rows = table(shown)
        _robot.log_table(columns, rows, name)
        _robot.console_table(columns, rows, name)
        rates = sorted({run.rate_gbps for run, _, _ in done})
        lines = sorted({(run.mtu, run.buffer_bytes) for run, _, _ in done})
        found = {(run.mtu, run.buffer_bytes, run.rate_gbps): result for run, result, _ in done}
        values = [
            [(r.judgement.delivered if (r := found.get((mtu, size, rate))) else None) for rate in rates]
            for mtu, size in lines
        ]
        path = show.draw_surface(
            _robot.picture_path("surface"), [f"{rate:g}" for rate in rates],
            [f"mtu {mtu}, buffer {size}" for mtu, size in lines], values, name, ("rate, Gbit/s of events", ""),
        )  # fmt: skip
        _robot.log_picture(path, f"{name}: delivery surface")
        worst = min((result.delivered_percent for _, result, _ in done if result), default=0.0)
        failed = [f"{run.text}: {text}" for run, result, text in done if result is None]
        missed = [
            f"{run.text}: {result.counts} {result.sentence}"
            for run, result, _ in done
            if result and result.delivered_percent < least.percent
        ]
        self.session.recorder.add(
            kind="e2sar sweep",
            name=name,
            parameters={"mtu": sorted({m for m, _ in lines}), "rate_gbps": rates,
                        "receiver_buffer_bytes": sorted({b for _, b in lines})},
            samples=[{"mtu": run.mtu, "rate_gbps": run.rate_gbps, "receiver_buffer_bytes": run.buffer_bytes,
                      "delivered_percent": result.delivered_percent if result else None,
                      "cause": result.cause if result else text} for run, result, text in done],
            summary={"worst_delivered_percent": worst, "runs": len(done), "failed_runs": len(failed)},
            thresholds={"delivered": least.fraction},
            verdict=Verdict(not (failed or missed), [*failed, *missed]),
            files=[path],
        )  # fmt: skip
        if failed or missed:
            raise Failure("\n".join([f"{len(failed) + len(missed)} of {len(done)} runs failed.", *failed, *missed]))
        return [result for _, result, _ in done if result]


def _speed(party: Party) -> str:
    """How fast events came in between the last two reports; empty when none did."""
    if len(party.report.blocks) < 2:
        return ""
    one, two = party.report.blocks[-2:]
    span = (two.at or 0.0) - (one.at or 0.0)
    return f" ({(two.received - one.received) / span:.0f} events/s)" if span > 0 and two.received > one.received else ""


def say(text: str) -> None:
    logger.info(text)


def party(bench: Bench, name: str) -> Party:
    if name not in bench.parties:
        known = ", ".join(f"'{each}'" for each in bench.parties) or "none"
        raise InputError(f"name is '{name}'; started in '{bench.namespace}' are {known}.")
    return bench.parties[name]


def around(bench: Bench, limits: Sequence[str]) -> p.Surroundings:
    base = bench.inspection.around if bench.inspection else p.Surroundings()
    known = [objects.quantity(text) for text in limits if text]
    return replace(base, bandwidth_bits_per_second=min(known, default=None))


def risks(text: str) -> frozenset[p.Risk]:
    found = set()
    for word in filter(None, (part.strip() for part in text.split(","))):
        key = word.upper().replace(" ", "_").replace("-", "_")
        if key not in p.Risk.__members__:
            raise InputError(f"accept is '{word}'; allowed are {', '.join(p.Risk.__members__)}, separated by commas.")
        found.add(p.Risk[key])
    return frozenset(found)


def whole(name: str, value: timedelta) -> int:
    seconds = value.total_seconds()
    if seconds != int(seconds):
        raise InputError(f"{name} is {seconds:g} s; allowed are whole seconds.")
    return int(seconds)


def milliseconds(name: str, value: timedelta) -> int:
    return round(value.total_seconds() * 1000)


def counted(name: str, value: int) -> None:
    if not 1 <= value <= 16:
        raise InputError(f"{name} is {value}; allowed are 1 to 16.")


def at_most(limit: str, wanted: str) -> str:
    """A request that is not above the limit, which Kubernetes would refuse."""
    return wanted if not limit or objects.quantity(limit) >= objects.quantity(wanted) else limit


def converted(keyword: Callable[..., Any], fixed: dict[str, Any]) -> dict[str, Any]:
    """Converts arguments that Robot could not, since they came as free ones."""
    import inspect as looking
    from typing import get_type_hints

    from robot.api import TypeInfo

    allowed = looking.signature(keyword).parameters
    taken = {"mtu", "rate_gbps", "receiver_buffer_bytes", "name", "namespace", "self", "delivered_at_least"}
    for key in fixed:
        if key not in allowed or key in taken:
            names = ", ".join(sorted(set(allowed) - taken))
            raise InputError(
                f"'{key}' is no argument of Transfer E2SAR Events that stays the same; allowed are {names}."
            )
    hints = get_type_hints(looking.unwrap(keyword))
    made = {}
    for key, value in fixed.items():
        try:
            made[key] = TypeInfo.from_type_hint(hints[key]).convert(value, name=key)
        except ValueError as error:
            raise InputError(f"{error}.".replace("..", ".")) from error
    return made


def result_of(judgement: Judgement) -> E2sarResult:
    cause = judgement.cause
    return E2sarResult(
        100 * judgement.delivered, judgement.events, judgement.received, judgement.partial, judgement.silent,
        judgement.mangled, cause.kind if cause else "", judgement.sentence, cause.advice if cause else {},
        judgement.counts, judgement,
    )  # fmt: skip


def failure(result: E2sarResult, reasons: Sequence[str]) -> str:
    evidence = [f"- {text}" for cause in result.judgement.causes for text in cause.evidence]
    return "\n".join([result.counts, result.sentence, *reasons, *dict.fromkeys(evidence)])
