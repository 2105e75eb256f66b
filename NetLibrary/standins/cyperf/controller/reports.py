"""Reports of a result: a zip of CSV files, a PDF, or everything."""

from __future__ import annotations

import csv
import datetime
import io
import json
import zipfile
from typing import Any

from . import views
from .store import Result

_LINES_PER_PAGE = 58


def csv_of(view: views.View, snapshots: list[dict[str, Any]]) -> str:
    """Returns one view as CSV: epoch, keys, ISO time, then the metrics in alphabetical order."""
    metrics = sorted(view.metrics)
    places = {name: len(view.keys or ("timestamp",)) + index for index, name in enumerate(view.metrics)}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["Timestamp epoch ms", *view.keys, "Timestamp", *metrics])
    for snapshot in snapshots:
        stamp = datetime.datetime.fromtimestamp(snapshot["timestamp"] / 1000, datetime.timezone.utc)
        iso = stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for row in snapshot["values"]:
            keys = row[: len(view.keys)]
            writer.writerow([snapshot["timestamp"], *keys, iso, *(row[places[name]] for name in metrics)])
    return text.getvalue()


def csv_zip(result: Result, wanted: list[str]) -> bytes:
    """Returns a zip with one CSV for each view, or for each wanted one."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for view in views.VIEWS:
            snapshots = result.statistics.snapshots[view.name]
            if snapshots and (not wanted or view.name in wanted):
                archive.writestr(f"{view.name}.csv", csv_of(view, snapshots))
    return packed.getvalue()


def _text_lines(result: Result) -> list[str]:
    lines = [
        "CyPerf controller STAND-IN: report of a test",
        "Not made by a Keysight product. Traffic was sent by stand-in agents.",
        "",
        f"Test {result.id}",
        f"Session {result.name}",
        f"Started {datetime.datetime.fromtimestamp(result.start, datetime.timezone.utc).isoformat()}",
        "",
    ]
    for view in views.VIEWS:
        snapshots = result.statistics.snapshots[view.name]
        if snapshots:
            lines += [view.name, "    " + ", ".join(view.described()["columns"])]
            lines += ["    " + ", ".join(str(cell) for cell in row) for row in snapshots[-1]["values"]] + [""]
    return lines


def pdf(result: Result) -> bytes:
    """Returns a plain text report as PDF 1.4 (ISO 32000, Courier, one stream a page)."""
    lines = [line[:110] for line in _text_lines(result)]
    pages = [lines[start : start + _LINES_PER_PAGE] for start in range(0, len(lines), _LINES_PER_PAGE)]
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>"]
    kids = []
    for page in pages:
        text = " T* ".join(f"({_escaped(line)}) Tj" for line in page)
        stream = f"BT /F1 8 Tf 36 800 Td 12 TL {text} ET".encode("latin-1", "replace")
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            b"/Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R >>" % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    made, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    return made + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (count, table, count, len(made))
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def everything(result: Result) -> bytes:
    """Returns a zip of all reports and the configuration."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("csv.zip", csv_zip(result, []))
        archive.writestr("report.pdf", pdf(result))
        archive.writestr("config.zip", config_zip(result.name, result.tree))
    return packed.getvalue()


def config_zip(name: str, tree: dict[str, Any]) -> bytes:
    """Returns a configuration in the layout of real exports."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        metadata = {"displayName": name, "type": "appsec", "standIn": True}
        archive.writestr("config-metadata.json", json.dumps(metadata))
        archive.writestr("config-data.bin", json.dumps(tree))
    return packed.getvalue()


def read_config_zip(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Returns name and tree of each configuration in an export, of one or of several.

    Raises:
        ValueError: When it is no such zip.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if "config-data.bin" in names:
                metadata = json.loads(archive.read("config-metadata.json")) if "config-metadata.json" in names else {}
                tree = json.loads(archive.read("config-data.bin"))
                if not isinstance(tree, dict):
                    raise ValueError("config-data.bin holds no object")
                return [(metadata.get("displayName", "Imported Config"), tree.get("Config", tree))]
            inner = [name for name in names if name.endswith(".zip")]
            if not inner:
                raise ValueError("the zip holds neither config-data.bin nor other zips")
            return [each for name in inner for each in read_config_zip(archive.read(name))]
    except zipfile.BadZipFile as error:
        raise ValueError("the body is no zip file") from error
