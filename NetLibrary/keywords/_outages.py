"""What the keywords for network breaks share: arguments, the report of a result, its judgement."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot.api import Failure, logger

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary._mechanics.facts import images_of
from NetLibrary._mechanics.outages import paths as pathing
from NetLibrary._mechanics.outages import tables
from NetLibrary._mechanics.outages.files import write_probes
from NetLibrary._mechanics.outages.measurement import BreakResult
from NetLibrary._mechanics.outages.paths import BreakPath, Endpoints, Target
from NetLibrary._mechanics.report import html_table
from NetLibrary._mechanics.verdict import Verdict
from NetLibrary.keywords import _robot
from NetLibrary.types import Bitrate

if TYPE_CHECKING:
    from NetLibrary.keywords._session import Session

ALL = "all"
WORTH_A_WARNING = 0.1


def parse_paths(names: Any) -> list[BreakPath]:
    """Returns the paths that are named, all for none or `all`.

    Raises:
        InputError: There is no such path.

    >>> [path.name for path in parse_paths(["Service", "pod on OTHER node"])]
    ['SERVICE', 'POD_ON_OTHER_NODE']
    """
    found: list[BreakPath] = []
    known = {plain(path.value): path for path in BreakPath}
    for name in names or [ALL]:
        if plain(name) == ALL:
            found += [path for path in BreakPath if path not in found]
            continue
        path = known.get(plain(name))
        if path is None:
            raise InputError(f"paths has '{name}'; allowed are {', '.join(p.value for p in BreakPath)} and 'all'.")
        if path not in found:
            found.append(path)
    return found


def plain(name: str) -> str:
    """Returns a name of a path as it is compared: case, blanks and hyphens do not matter."""
    return str(name).lower().replace(" ", "").replace("_", "").replace("-", "")


def milliseconds(name: str, value: timedelta) -> float:
    milliseconds = value.total_seconds() * 1000
    if milliseconds < 1:
        raise InputError(f"{name} is {milliseconds:g} ms; at least 1 ms is needed.")
    return milliseconds


def limit_ms(name: str, value: timedelta | None) -> float | None:
    if value is None:
        return None
    if value.total_seconds() < 0:
        raise InputError(f"{name} is {value}; it cannot be negative.")
    return value.total_seconds() * 1000


def iperf_runs(targets: list[Target], rate: Bitrate | None) -> list[dict[str, Any]]:
    if rate is None:
        return []
    runs = []
    for target in targets:
        if not target.iperf_port or target.source != pathing.SOURCE:
            continue
        for number, protocol in enumerate(("tcp", "udp")):
            runs.append(
                {
                    "name": f"{target.path} {protocol}",
                    "address": target.address,
                    "port": target.iperf_port + number,
                    "protocol": protocol,
                    "bits_per_second": int(rate.bits_per_second),
                    "length": 1000,
                    "reverse": True,
                }
            )
    return runs


def report(
    session: Session,
    result: BreakResult,
    thresholds: dict[str, Any],
    verdict: Verdict,
    *,
    parameters: dict[str, Any],
    endpoints: Endpoints | None,
) -> None:
    """Writes a result as record, probes, tables, picture and a line on the console."""
    own = "" if result.name == _robot.current_test() else f"{result.name} "
    picture = _robot.picture_path(f"{own}timeline")
    probes = picture.with_suffix(".jsonl.gz")
    count = write_probes(probes, result)
    session.recorder.add(
        kind="network_break",
        name=result.name,
        parameters=parameters,
        samples=tables.samples(result),
        series=tables.series(result),
        summary=tables.summary(result),
        thresholds={key: value for key, value in thresholds.items() if value not in (None, [])},
        verdict=verdict,
        images=images_of(map(dict, endpoints.pods.values())) if endpoints else [],
        files=[picture, probes],
    )
    table = html_table(tables.STREAM_COLUMNS, tables.stream_rows(result), result.name)
    session.headline(table)
    _robot.log_table(tables.STREAM_COLUMNS, tables.stream_rows(result), result.name)
    if result.impacts:
        steps = html_table(tables.STEP_COLUMNS, tables.step_rows(result), "What each step cost")
        session.headline(steps)
        _robot.log_html(steps)
    _robot.log_table(
        tables.FIGURE_COLUMNS,
        tables.figure_rows(result),
        "Counts as kube-ovn's test-server makes them (by source from kernel counters, by path from our records)",
    )
    for run in result.iperf:
        logger.info(f"iperf3 beside, {run.name}: {run.error or ''} {run.bits_per_second / 1e6:.2f} Mbit/s, "
                    f"longest gap {run.longest_gap_ms:.0f} ms, retransmits {run.retransmits}, "
                    f"lost {run.lost_packets} of {run.packets}")  # fmt: skip
    for text in result.unmeasured:
        logger.info(f"Not measured: {text}")
    for text in dict.fromkeys(result.notes):
        logger.info(f"Note: {text}")
    skipped = sum(stream.skipped for stream in result.streams)
    planned = sum(stream.planned for stream in result.streams)
    if skipped > WORTH_A_WARNING * planned:
        logger.warn(
            f"'{result.name}': {skipped} of {planned} probes were not sent in time, because the probers got too "
            "little processor. Lengths of outages are less exact then; they are never made longer by it."
        )
    logger.info(f"{count} probes are in {probes.name}; clocks agree to ±{result.uncertainty_ms:.1f} ms.")
    _draw(session, picture, result)
    worst = result.worst
    _robot.console(
        f"  '{result.name}': "
        + (f"longest outage {worst.longest_ms:.0f} ms ({worst.spec.name}), " if worst else "no outage, ")
        + f"{len({s.spec.path for s in result.streams if s.outages})} of "
        + f"{len({s.spec.path for s in result.streams})} paths hit"
        + "".join(f"\n  ERROR: {text}" for text in result.errors)
    )
    _robot.set_test_metadata("Longest outage", f"{worst.longest_ms:.0f} ms, {worst.spec.name}" if worst else "none")


def _draw(session: Session, picture: Path, result: BreakResult) -> None:
    from NetLibrary._mechanics.outages.timeline import draw

    draw(picture, result)
    caption = f"{result.name}: outages per path over time"
    session.headline(_robot.picture_html(picture, caption))
    _robot.log_picture(picture, caption)


def judge(result: BreakResult, reasons: list[str]) -> None:
    """Fails when limits are broken; a measurement that is not whole is an error of its own."""
    invalid = [stream for stream in result.streams if stream.invalid]
    if reasons and not result.unfit:
        findings = [text for stream in result.streams for text in stream.findings]
        more = [f"Also: {text}" for text in [*findings, *result.errors]]
        raise Failure(
            f"'{result.name}' broke {len(reasons)} of its limits: {reasons[0]}."
            + "".join(f"\n{text}" for text in [*reasons[1:12], *more[:4]])
        )
    if invalid or result.errors:
        raise EnvironmentProblem(
            f"'{result.name}' has no valid result: {[*result.unfit, *result.errors, *(s.invalid for s in invalid)][0]}."
            + "".join(f"\n{text}" for text in result.errors[1:8])
        )
