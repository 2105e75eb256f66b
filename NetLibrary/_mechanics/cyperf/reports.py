"""Downloads of a result: CSV files, PDF, everything."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from NetLibrary._mechanics.cyperf import operations
from NetLibrary._mechanics.cyperf.rest import Connection, Progress
from NetLibrary._mechanics.errors import ControllerError
from NetLibrary.types import CyPerfReport

_ENDINGS = {CyPerfReport.CSV: "csv.zip", CyPerfReport.PDF: "pdf", CyPerfReport.ALL: "all.zip"}


def download(
    connection: Connection, test_id: str, kind: CyPerfReport, folder: Path, stem: str, *, timeout: float,
    progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Lets the controller make a report and downloads it.

    Args:
        connection: Controller.
        test_id: Id of the run.
        kind: Report.
        folder: Where to write it.
        stem: Beginning of the file's name; each run has its own, since the controller's names repeat.
        timeout: Seconds for making it.
        progress: Gets lines.
    Returns:
        The file.
    """
    ended = operations.run(
        connection, f"/api/v2/results/{test_id}/operations/generate-{kind.value}", body={}, timeout=timeout,
        what=f"Making the {kind.value.upper()} report", progress=progress,
    )  # fmt: skip
    if not ended.result_path:
        raise ControllerError(f"The controller made the {kind.value.upper()} report but named no file to download.")
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:80] or "cyperf"
    target = folder / f"{safe}-{test_id[:8]}-{_ENDINGS[kind]}".replace("-pdf", ".pdf")
    connection.download(ended.result_path, target, timeout=max(timeout, 60.0))
    problem = _problem(target, kind)
    if problem:
        raise ControllerError(f"The {kind.value.upper()} report of test {test_id} is unusable: {problem}.")
    return target


def _problem(file: Path, kind: CyPerfReport) -> str:
    """Says what is wrong with a downloaded file; a CSV download is a zip, or a single CSV."""
    head = file.read_bytes()[:5]
    if kind is CyPerfReport.PDF:
        return "" if head == b"%PDF-" else f"it begins with {head!r} instead of %PDF-"
    if head[:2] != b"PK":
        return (
            ""
            if kind is CyPerfReport.CSV and head[:5].isascii() and head
            else f"it is not a zip file but begins with {head!r}"
        )
    try:
        with zipfile.ZipFile(file) as archive:
            bad = archive.testzip()
            return f"'{bad}' in it is damaged" if bad else "" if archive.namelist() else "the zip is empty"
    except zipfile.BadZipFile as error:
        return str(error)


def csv_views(file: Path) -> list[str]:
    """Returns the names of the views in a CSV download."""
    if not zipfile.is_zipfile(file):
        return [file.stem]
    with zipfile.ZipFile(file) as archive:
        return sorted(Path(name).stem for name in archive.namelist() if name.lower().endswith(".csv"))
