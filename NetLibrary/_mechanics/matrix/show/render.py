"""Tables, files and pictures of a matrix."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from NetLibrary._mechanics import secrets
from NetLibrary._mechanics.matrix.explain.diagnose import Finding
from NetLibrary._mechanics.matrix.model.types import MARKS, Cell, Table
from NetLibrary._mechanics.matrix.show import commands, grids
from NetLibrary._mechanics.pictures import picture
from NetLibrary._mechanics.probing.types import Outcome
from NetLibrary._mechanics.report import Cell as Field
from NetLibrary._mechanics.report import Table as Shown
from NetLibrary._mechanics.report import html_table, text_table

WIDE = 14
LISTED = 40
LEGEND = (
    "✓ as expected, ✗ not. Letters: "
    + ", ".join(f"{mark} {outcome}" for outcome, mark in MARKS.items() if mark != ".")
    + ". A cell shows what was seen; a wrong one also what was expected. Hover over a cell for all details."
)


def headings(table: Table) -> list[str]:
    """Column headings: target, and the protocol where there is more than one."""
    protocols = {protocol for _, protocol in table.columns}
    return [f"{name} {protocol}" if len(protocols) > 1 else name for name, protocol in table.columns]


def grid(table: Table, *, wide: bool) -> list[list[Field]]:
    """Rows of cells for the log."""
    by_place = {(c.source.name, c.target.name, c.target.protocol): c for c in table.cells}
    rows = []
    for source in table.sources:
        row = [Field(str(source), title=f"on {source.node or 'outside the cluster'}, {source.address}")]
        for column in table.columns:
            cell = by_place.get((source.name, *column))
            row.append(field(cell, wide=wide) if cell else Field("", "idle", "not probed"))
        rows.append(row)
    return rows


def field(cell: Cell, *, wide: bool) -> Field:
    """One cell for the log: mark, words, and everything else on hover."""
    observed, expected = cell.observed, cell.expected
    title = "\n".join(filter(None, (
        cell.describe(),
        f"expected because {expected.reason}" if expected.reason else "",
        f"the server saw {', '.join(sorted(observed.clients))}" if observed.clients else "",
        f"latency {observed.latency_ms:.2f} ms" if observed.latency_ms is not None else "",
        f"right after {observed.right_after_s:.2f} s, {observed.rounds} round(s)" if observed.right_after_s else "",
        f"{observed.first_lost} of {observed.first_attempts} first attempts were lost" if observed.first_lost else "",
        observed.detail,
        f"wrong: {cell.why}" if cell.wrong else "",
    )))  # fmt: skip
    if not cell.expected.judged:
        return Field("not judged", "idle", title)
    if cell.right:
        if observed.first_lost:
            return Field("✓" if wide else "✓ first attempt lost", "warn", title)
        late = " (late)" if observed.detail.startswith("late:") else ""
        if wide:
            return Field("✓" if observed.outcome is Outcome.CONNECTED else f"✓{MARKS[observed.outcome]}", "good", title)
        milliseconds = f" {observed.latency_ms:.1f} ms" if observed.latency_ms is not None else ""
        return Field(f"✓ {observed.outcome}{milliseconds}{late}", "warn" if late else "good", title)
    if wide:
        return Field(f"✗{MARKS[observed.outcome]}", "bad", title)
    seen = str(observed.outcome) if cell.symptom in ("blocked", "reason", "dns", "open") else cell.why
    wanted = " or ".join(sorted(str(o) for o in expected.outcomes))
    text = f"✗ {seen}, expected {wanted}" if cell.symptom in ("blocked", "reason", "dns", "open") else f"✗ {seen}"
    return Field(text, "bad", title)


def first_attempts(table: Table) -> str:
    """How many first attempts were answered, where any was not."""
    total, lost = table.first_attempts
    return f"; {total - lost} of {total} first attempts were answered" if lost else ""


def node_summary(table: Table) -> tuple[list[str], list[list[Field]]]:
    """Wrong and all cells by source node and target (node, where there is one)."""
    count: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for cell in table.cells:
        at = count[cell.source.node or "outside", cell.target.node or cell.target.name]
        at[0] += cell.wrong
        at[1] += cell.expected.judged
    columns = list(dict.fromkeys(to for _, to in count))
    rows = []
    for source in dict.fromkeys(start for start, _ in count):
        row = [Field(source)]
        for to in columns:
            wrong, total = count.get((source, to), [0, 0])
            if not total:
                row.append(Field("", "idle"))
            else:
                row.append(Field(f"{wrong} of {total} wrong" if wrong else f"✓ {total}", "bad" if wrong else "good"))
        rows.append(row)
    return ["from node", *columns], rows


def tables_of(table: Table) -> list[Shown]:
    """Everything about a table for the log: summary, cells, wrong cells, facts, notes."""
    wide = len(table.columns) > WIDE
    wrong = table.wrong
    found = []
    columns, rows = node_summary(table)
    # With one source on each node and no two targets on one it would be the same table twice
    if wide and (len(rows) < len(table.sources) or len(columns) - 1 < len(table.columns)):
        found.append(Shown(columns, rows, f"{table.title}, by node"))
    caption = f"{table.title}: {table.count()}, probed in {table.seconds:.1f} s{first_attempts(table)}"
    found.append(Shown(["source ↓ target →", *headings(table)], grid(table, wide=wide), f"{caption}. {LEGEND}"))
    if wrong:
        reasons = [[str(c.source), f"{c.target.name} {c.target.protocol}", c.difference(), c.expected.reason,
                    commands.repeat(c)] for c in wrong[:LISTED]]  # fmt: skip
        more = f" (first {LISTED} of {len(wrong)})" if len(wrong) > LISTED else ""
        names = ["source", "target", "what differs", "expected because", "repeats it"]
        found.append(Shown(names, reasons, f"Wrong cells{more}"))
    facts = table.observed_facts()
    if facts:
        names = ["left to the implementation by Kubernetes", "seen", "cells"]
        found.append(Shown(names, [list(row) for row in facts], "Observed facts, never wrong", headline=False))
    if table.notes:
        found.append(Shown(["notes"], [[note] for note in table.notes]))
    return found


def html_of(table: Table) -> str:
    """The same as HTML."""
    return "\n".join(html_table(each.columns, each.rows, each.caption) for each in tables_of(table))


def text_of(table: Table) -> str:
    """The table for a terminal: marks, then the wrong cells."""
    by_place = {(c.source.name, c.target.name, c.target.protocol): c for c in table.cells}
    rows = []
    for source in table.sources:
        marks = []
        for column in table.columns:
            cell = by_place.get((source.name, *column))
            if cell is None:
                marks.append("")
            elif cell.wrong:
                marks.append(
                    f"X{MARKS[cell.observed.outcome]}" if cell.observed.outcome is not Outcome.CONNECTED else "X"
                )
            else:
                marks.append(MARKS[cell.observed.outcome])
        rows.append([str(source), *marks])
    lines = [f"{table.title}: {len(table.wrong)} of {len(table.cells)} cells wrong"]
    if len(table.columns) <= 40:
        lines.append(text_table(["", *headings(table)], rows))
        lines.append(
            "X wrong, . connected, R refused, T timed out, U no route, D name, N no answer, S reset, ! not probed"
        )
    return "\n".join(lines)


def headline(table: Table, findings: Sequence[Finding]) -> str:
    """First line of a failed case: how much is wrong, and the first cause."""
    wrong = table.wrong
    first = findings[0].sentence if findings else wrong[0].describe()
    return f"{table.title}: {len(wrong)} of {len(table.cells)} cells are wrong. {first}"


def explanation(
    table: Table,
    findings: Sequence[Finding],
    *,
    told: Mapping[tuple[str, str], str] | None = None,
    tables: Sequence[Table] = (),
) -> list[str]:
    """The causes with their evidence, then the first wrong cells, and the line that repeats the first of them.

    Args:
        table: The row.
        findings: Its causes, the best first.
        told: Title of the row that has told a cause already, by key and subject; it is referred to.
        tables: All rows so far, for the count of what a cause explains.
    """
    lines = []
    for number, finding in enumerate(findings, 1):
        before = (told or {}).get((finding.key, finding.subject))
        if before and before != table.title:
            lines.append(f"{number}. [{finding.confidence}] As in '{before}': {finding.sentence}")
            continue
        text = finding.text().split("\n")
        lines.append(f"{number}. [{finding.confidence}] {text[0]}")
        lines.extend(explains(finding, tables))
        lines.extend(text[1:])
    wrong = table.wrong
    lines.append("Wrong cells" + (f" (6 of {len(wrong)}):" if len(wrong) > 6 else ":"))
    lines.extend(f"  {cell.describe()}" for cell in wrong[:6])
    lines.append(f"Repeats the first: {commands.repeat(wrong[0])}")
    return lines


def explains(finding: Finding, tables: Sequence[Table]) -> list[str]:
    """How much of all that is wrong a cause explains."""
    wrong = {id(c): table.case for table in tables for c in table.wrong}
    mine = [wrong[id(c)] for c in finding.evidence if id(c) in wrong]
    if not mine:
        return []
    return [f"  It explains {len(mine)} of {len(wrong)} wrong cells in {len(set(mine))} row(s) so far."]


def failure_text(table: Table, findings: Sequence[Finding]) -> str:
    """Message of a failed case: what, then the causes, then the cells."""
    return "\n".join([headline(table, findings), *explanation(table, findings)])


def findings_table(findings: Sequence[Finding]) -> Shown:
    """The diagnosis for the log."""
    rows = []
    for finding in findings:
        good = finding.confidence in ("confirmed", "likely")
        asked = finding.measured or "; ".join(str(q) for q in finding.follow_ups if q.answer) or "none"
        rows.append([
            Field(finding.confidence, "bad" if good else "warn"), finding.sentence, finding.subject,
            f"{len(finding.evidence)} wrong cells, e.g. {finding.evidence[0].describe()}", asked, finding.hint,
        ])  # fmt: skip
    return Shown(["how sure", "cause", "at fault", "evidence", "follow-up", "next"], rows, "Diagnosis")


def write_files(tables: Sequence[Table], findings: Sequence[Finding], folder: Path) -> list[Path]:
    """Writes `matrix.json` and `matrix.csv`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    cells = [
        {"case": table.case, **cell.as_json(), "repeats_it": commands.repeat(cell)}
        for table in tables
        for cell in table.cells
    ]
    report: dict[str, Any] = {
        "cells": cells,
        "cases": [
            {"case": t.case, "title": t.title, "seconds": round(t.seconds, 3), "wrong": len(t.wrong), "notes": t.notes,
             "facts": [{"what": w, "seen": s, "cells": n} for w, s, n in t.observed_facts()]}
            for t in tables
        ],
        "findings": [
            {"key": f.key, "subject": f.subject, "sentence": f.sentence, "confidence": f.confidence,
             "evidence": len(f.evidence)}
            for f in findings
        ],
    }  # fmt: skip
    json_file, csv_file = folder / "matrix.json", folder / "matrix.csv"
    secrets.keep(folder / "matrix.md", markdown(tables, findings))
    secrets.keep(json_file, json.dumps(report, indent=1))
    with io.StringIO(newline="") as out:
        names = list(cells[0]) if cells else ["case"]
        writer = csv.DictWriter(out, names)
        writer.writeheader()
        for cell in cells:
            writer.writerow({k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in cell.items()})
        secrets.keep(csv_file, out.getvalue().replace("\r\n", "\n"))
    return [json_file, csv_file, folder / "matrix.md"]


def markdown(tables: Sequence[Table], findings: Sequence[Finding]) -> str:
    """Results by case, and the causes, for a page or a merge request."""
    lines = ["# Service matrix", "", "| case | right | of cells | seconds | |", "|---|---|---|---|---|"]
    for table in tables:
        right = len(table.cells) - len(table.wrong)
        mark = "✗" if table.wrong else "✓"
        lines.append(f"| {table.title} | {right} | {len(table.cells)} | {table.seconds:.1f} | {mark} |")
    if findings:
        lines += ["", "## What is broken", ""]
        lines += [f"- **{finding.confidence}**: {finding.sentence}" for finding in findings]
    wrong = [(table, cell) for table in tables for cell in table.wrong]
    if wrong:
        lines += ["", "## Wrong cells, and what repeats each", ""]
        for table, cell in wrong[:LISTED]:
            lines += [f"- {table.case}: {cell.describe()}", "", f"      {commands.repeat(cell)}", ""]
    facts = [(table.title, *row) for table in tables for row in table.observed_facts()]
    if facts:
        lines += ["", "## Left to the implementation by Kubernetes", ""]
        lines += ["| case | what | seen | cells |", "|---|---|---|---|"]
        lines += [f"| {title} | {what} | {seen} | {number} |" for title, what, seen, number in facts]
    lines += ["", "## Expected, observed, comparison", "", grids.LEGEND]
    for table in tables:
        lines += ["", f"### {table.title}", "", *(f"    {line}".rstrip() for line in grids.three(table).splitlines())]
    return "\n".join(lines) + "\n"


def heat_map(table: Table, path: Path) -> None:
    """Draws latencies as colours and wrong cells in red with their letter."""
    import matplotlib
    import numpy

    sources, columns = table.sources, table.columns
    row_of = {source.name: i for i, source in enumerate(sources)}
    column_of = {column: i for i, column in enumerate(columns)}
    values = numpy.full((len(sources), len(columns)), numpy.nan)
    wrong = []
    for cell in table.cells:
        at = row_of[cell.source.name], column_of[cell.target.name, cell.target.protocol]
        if cell.wrong:
            wrong.append((*at, MARKS[cell.observed.outcome].replace(".", "x")))
        elif cell.observed.latency_ms is not None:
            values[at] = max(cell.observed.latency_ms, 0.01)
    # never narrower than the title
    size = (min(14.0, max(7.0, 2.5 + 0.35 * len(columns))), min(12.0, 1.8 + 0.28 * len(sources)))
    with picture(path, *size) as axes:
        axes.grid(False)
        colours = matplotlib.colormaps["viridis_r"].with_extremes(bad="#eeeeee")
        image = axes.imshow(values, cmap=colours, norm=matplotlib.colors.LogNorm(0.05, 1000), aspect="auto")
        for row, column, mark in wrong:
            axes.add_patch(matplotlib.patches.Rectangle((column - 0.5, row - 0.5), 1, 1, color="#c00000"))
            if len(columns) <= 60:
                axes.text(column, row, mark, color="white", ha="center", va="center", fontsize=7)
        axes.set_yticks(range(len(sources)), [str(s) for s in sources], fontsize=7)
        if len(columns) <= 60:
            axes.set_xticks(range(len(columns)), headings(table), rotation=60, ha="right", fontsize=7)
        axes.set_title(f"{table.title}: latency in ms; red: wrong; grey: nothing to measure", fontsize=9, loc="left")
        axes.figure.colorbar(image, ax=axes, shrink=0.8, format="%g").minorticks_off()
