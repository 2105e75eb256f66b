"""How a run is concluded: its tables, pictures, record and status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from NetLibrary._mechanics.e2sar import show
from NetLibrary._mechanics.e2sar.arithmetic import rate_text
from NetLibrary._mechanics.e2sar.facts import Judgement, percent
from NetLibrary._mechanics.e2sar.run import Finding
from NetLibrary._mechanics.e2sar.sweep import Combination, table
from NetLibrary._mechanics.facts import images_of
from NetLibrary._mechanics.report import Picture, Table
from NetLibrary._mechanics.verdict import Check
from NetLibrary.keywords import _robot
from NetLibrary.keywords._conclude import conclude

if TYPE_CHECKING:
    from NetLibrary.keywords._session import Session

PROGRAM = "e2sar_perf"


@dataclass
class E2SARResult:
    """Result of an E2SAR run.

    `delivered_percent` is the share of sent events that were certainly received. `cause` is a keyword such as
    `network policy`, `sentence` names the cause and the remedy, and `advice` holds the arguments, by name, that would
    fix it.
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


def result_of(judgement: Judgement) -> E2SARResult:
    """Returns the plain result of a judgement."""
    cause = judgement.cause
    return E2SARResult(
        100 * judgement.delivered, judgement.events, judgement.received, judgement.partial, judgement.silent,
        judgement.mangled, cause.kind if cause else "", judgement.sentence, cause.advice if cause else {},
        judgement.counts, judgement,
    )  # fmt: skip


def conclude_run(session: Session, finding: Finding, name: str, namespace: str, *, judged: bool = True) -> E2SARResult:
    """Records and shows a run, and ends the keyword as its checks deserve; only records it where it is not `judged`."""
    judgement, senders, receivers = finding.judgement, finding.senders, finding.receivers
    endpoints = (*senders, *receivers)
    drawn = show.draw_progress(_robot.picture_path("events"), receivers, judgement.events, name)
    checks = judgement.checks if judged else []
    missed = any(not check.passed for check in checks)
    said = f" {judgement.sentence}" if judgement.causes else ""
    evidence = dict.fromkeys(f"- {text}" for cause in judgement.causes for text in cause.evidence)
    session.steps.update(finding.steps)
    conclude(
        session,
        kind="e2sar",
        name=name,
        parameters=show.parameters(senders, receivers, namespace),
        checks=_beginning_with_counts(checks, judgement) if missed else checks,
        errors=judgement.errors if judged else [],
        summary=show.summary(judgement),
        series=show.series(senders, receivers),
        causes=[judgement.sentence, *evidence],
        tables=[Table(["", name], show.judgement_rows(judgement, senders, receivers))],
        pictures=[Picture(drawn, f"{name}: events received over time")] if drawn else [],
        images=images_of([each.pod for each in endpoints if each.pod]),
        files=[file for each in endpoints for file in each.files],
        metadata={"Delivered": percent(judgement.delivered)},
        console=f"{name}: {judgement.counts}{said}",
        stands_in=[PROGRAM],
    )
    return result_of(judgement)


def _beginning_with_counts(checks: Sequence[Check], judgement: Judgement) -> list[Check]:
    """Puts the counts in front of the first missed check, which is the first line of the failure."""
    first = next(check for check in checks if not check.passed)
    text = f"{judgement.counts.rstrip('.')}; {first.sentence[0].lower()}{first.sentence[1:]}"
    told = Check(first.rule, first.expected, first.seen, first.unit, False, text)
    return [told if check is first else check for check in checks]


def conclude_sweep(
    session: Session, name: str, done: list[tuple[Combination, E2SARResult | None, str]], least: float
) -> list[E2SARResult]:
    """Records and shows a sweep; each run that failed or delivered too little is a check that was missed.

    Args:
        session: Recorder of the run.
        name: Name in the table and the record.
        done: Each combination with its result, or with why there is none.
        least: Percent that each run must deliver.
    """
    columns, rows = table([(run, result.judgement if result else None, text) for run, result, text in done])
    _robot.console_table(columns, rows, name)
    rates = sorted({run.rate_gbps for run, _, _ in done})
    lines = sorted({(run.mtu, run.buffer_bytes) for run, _, _ in done})
    found = {(run.mtu, run.buffer_bytes, run.rate_gbps): result for run, result, _ in done}
    values = [
        [(r.judgement.delivered if (r := found.get((mtu, size, rate))) else None) for rate in rates]
        for mtu, size in lines
    ]
    path = show.draw_surface(
        _robot.picture_path("surface"), [rate_text(rate) for rate in rates],
        [f"mtu {mtu}, buffer {size}" for mtu, size in lines], values, name, ("rate of events", ""),
    )  # fmt: skip
    conclude(
        session,
        kind="e2sar sweep",
        name=name,
        parameters={"mtu": sorted({m for m, _ in lines}), "rate_gbps": rates,
                    "receiver_buffer_bytes": sorted({b for _, b in lines})},
        checks=[_sweep_check(run, result, text, least) for run, result, text in done],
        samples=[{"mtu": run.mtu, "rate_gbps": run.rate_gbps, "receiver_buffer_bytes": run.buffer_bytes,
                  "delivered_percent": result.delivered_percent if result else None,
                  "cause": result.cause if result else text} for run, result, text in done],
        summary={"worst_delivered_percent": min((r.delivered_percent for _, r, _ in done if r), default=0.0),
                 "runs": len(done), "failed_runs": sum(result is None for _, result, _ in done)},
        tables=[Table(columns, rows, name)],
        pictures=[Picture(path, f"{name}: delivery surface")],
        stands_in=[PROGRAM],
    )  # fmt: skip
    return [result for _, result, _ in done if result]


def _sweep_check(run: Combination, result: E2SARResult | None, text: str, least: float) -> Check:
    rule = f"{run.text}: delivered at least"
    if result is None:
        return Check(rule, least, None, "%", False, f"{run.text}: {text}")
    missed = [check.sentence for check in result.judgement.checks if not check.passed]
    passed = result.delivered_percent >= least and not missed
    told = f"{run.text}: {result.counts} {result.sentence} {' '.join(missed)}".rstrip()
    return Check(rule, least, result.delivered_percent, "%", passed, told)
