"""The one place that records, shows and fails: whatever a topic found leaves the library through `conclude`.

A record can therefore not differ from the status of the keyword that judged. A test walks the topics and asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot.api import Error, Failure, SkipExecution

from NetLibrary.keywords import _robot

if TYPE_CHECKING:
    from NetLibrary._mechanics.report import Picture, Table
    from NetLibrary._mechanics.verdict import Check
    from NetLibrary.keywords._session import Session

# Robot cuts messages over 40 lines in the middle
MOST_SENTENCES = 12


def conclude(
    session: Session,
    *,
    kind: str,
    name: str,
    parameters: Mapping[str, Any] | None = None,
    checks: Sequence[Check] = (),
    errors: Sequence[str] = (),
    skip: str = "",
    summary: Mapping[str, Any] | None = None,
    samples: Sequence[Any] = (),
    series: Mapping[str, Any] | None = None,
    causes: Sequence[str] = (),
    tables: Sequence[Table] = (),
    pictures: Sequence[Picture] = (),
    images: Sequence[Mapping[str, Any]] = (),
    files: Sequence[str | Path] = (),
    metadata: Mapping[str, str] | None = None,
    console: str = "",
    lead: str = "",
    stands_in: Sequence[str] = (),
) -> dict[str, Any]:
    """Records a measurement, shows it, and ends the keyword with the status that its checks deserve.

    Args:
        session: Recorder, headlines and stand-ins of the run.
        kind: What was measured, for instance `throughput`; the schema lists the kinds.
        name: Which one it was; finds the same measurement again in a baseline.
        parameters: What was asked for.
        checks: Expectations and what was seen; none when nothing was asked.
        errors: Why the measurement could not be made or is not whole. It is recorded as an error and never judged.
        skip: Why it does not apply to this cluster.
        summary: The figures, units in their names.
        samples: Every single value behind them.
        series: Values over time, by name.
        causes: What explains the failed checks, the best explanation first.
        tables: Tables for the log; headlines among them are shown at the test's top level.
        pictures: Picture files for the log.
        images: Images that took part, see `facts.images_of`.
        files: Further files, relative to the output folder in the record; pictures are added.
        metadata: Facts for the test's metadata.
        console: Line for the terminal.
        lead: First words of the failure; by default the first failed check speaks for itself.
        stands_in: Programs the figures depend on, by the names under which stand-ins are noted; those that are
            stand-ins in this run are named beside metadata and console line.

    Returns:
        The record as it was written.

    Raises:
        Failure: A check failed.
        Error: `errors` names something, or the record cannot be written.
        SkipExecution: `skip` gives a reason.
    """
    from NetLibrary._mechanics.errors import EnvironmentProblem
    from NetLibrary._mechanics.verdict import Status, failed, verdict

    found = verdict(checks, errors, skip)
    names = [program for program in stands_in if program in session.stand_ins]
    mark = f" [stand-in: {', '.join(names)}]" if names else ""
    _show(session, tables, pictures, first=kind == "comparison")
    if images:
        session.note_images(images)
    for fact, text in (metadata or {}).items():
        _robot.set_test_metadata(fact, f"{text}{mark}")
    if console:
        _robot.console(f"{console}{mark}")
    unrecorded, record = [], {}
    try:
        record = session.recorder.add(
            kind=kind,
            name=name,
            parameters=parameters,
            samples=samples,
            series=series,
            summary=summary,
            checks=checks,
            causes=causes,
            verdict=found,
            images=images,
            files=[*(picture.path for picture in pictures), *files],
        )
    except EnvironmentProblem as error:  # what was found must be told all the same
        unrecorded = [f"This is not recorded: {error}"]
    if found.status is Status.SKIPPED:
        raise SkipExecution("\n".join([skip, *unrecorded]))
    if found.status is Status.ERROR:
        raise Error(_message(f"'{name}' has no valid result", [*errors, *unrecorded], causes))
    if found.status is Status.FAILED:
        raise Failure(_message(lead, [check.sentence for check in failed(checks)] + unrecorded, causes))
    if unrecorded:
        raise Error(f"'{name}' passed. {unrecorded[0]}")
    return record


def _show(session: Session, tables: Sequence[Table], pictures: Sequence[Picture], *, first: bool) -> None:
    """Shows what is a headline at the end of the test, and the rest, or what belongs to no test, where it arises.

    Args:
        session: Keeps headlines.
        tables: Tables.
        pictures: Pictures.
        first: Whether these headlines come before those that are there: a comparison before what it compares.
    """
    from NetLibrary._mechanics.report import html_table

    shown = [(html_table(table.columns, table.rows, table.caption), table.headline) for table in tables]
    shown += [(_robot.picture_html(picture.path, picture.caption), picture.headline) for picture in pictures]
    headlines = [html for html, headline in shown if headline and _robot.current_test()]
    for html, _ in shown:
        if html not in headlines:
            _robot.log_html(html)
    if headlines:
        session.headlines[: 0 if first else len(session.headlines)] = headlines


def _message(lead: str, sentences: list[str], causes: Sequence[str]) -> str:
    first, rest = sentences[0], sentences[1:]
    lines = [f"{lead}: {first}" if lead else first, *causes, *rest[: MOST_SENTENCES - 1]]
    if len(rest) >= MOST_SENTENCES:
        lines.append(f"… and {len(rest) - MOST_SENTENCES + 1} more; all are in the record.")
    return "\n".join(lines)
