"""Tables and pictures: everything from outside is escaped, and a picture is one."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from NetLibrary._mechanics.pictures import picture
from NetLibrary._mechanics.report import Cell, html_table, text_table
from NetLibrary._mechanics.throughput import Interval, Measurement
from NetLibrary._mechanics.throughput.show import draw_rates
from NetLibrary.types.quantities import bitrate_text, bytes_text

EVIL = "<script>alert('x')</script> & \"quoted\""


def test_everything_in_a_table_is_escaped() -> None:
    html = html_table([EVIL], [[EVIL], [Cell(EVIL, "bad", EVIL)]], EVIL)
    assert "<script" not in html
    table = ElementTree.fromstring(html)  # well-formed, so nothing broke out of its place
    assert ["".join(cell.itertext()) for cell in table.iter("td")] == [EVIL, EVIL]
    assert [cell.get("title") for cell in table.iter("td")] == [None, EVIL]
    assert table.findtext("caption") == EVIL
    assert table.findtext(".//th") == EVIL


def test_table_takes_anything_with_a_text() -> None:
    table = ElementTree.fromstring(html_table(["a", "b"], [[1.5, None], [Path("x/y"), Cell("")]]))
    assert [cell.text for cell in table.iter("td")] == ["1.5", "None", "x/y", None]
    assert table.find("caption") is None
    assert ElementTree.fromstring(html_table(["a"], [])).findall(".//td") == []


def test_text_table_keeps_numbers_as_they_are_written() -> None:
    text = text_table(["name", "value"], [[Cell("rate", "good"), "1.50"], ["empty", ""]])
    assert text.splitlines()[0].split() == ["name", "value"]
    assert text.splitlines()[2].split() == ["rate", "1.50"]


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0, "0 bit/s"),
        (999, "999 bit/s"),
        (1e3, "1 kbit/s"),
        (1.25e9, "1.25 Gbit/s"),
        (9.996e6, "10 Mbit/s"),
        (999.6e3, "1 Mbit/s"),
        (999.96e6, "1 Gbit/s"),
        (123.4e9, "123 Gbit/s"),
        (4e12, "4 Tbit/s"),
    ],
)
def test_rates_are_written_as_people_say_them(rate: float, text: str) -> None:
    assert bitrate_text(rate) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1023.9 * 1024, "1 MiB"), (5 << 30, "5 GiB"), (5 << 40, "5 TiB")],
)
def test_amounts_are_written_in_binary_units(count: float, text: str) -> None:
    assert bytes_text(count) == text


def size_of(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def test_picture_is_a_png_in_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.png"
    with picture(path, 4.0, 2.0) as axes:
        axes.plot([1, 2, 3], [3, 1, 2])
    assert size_of(path) == (440, 220)


def test_failure_while_drawing_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), picture(tmp_path / "a.png"):
        raise ZeroDivisionError
    assert not (tmp_path / "a.png").exists()


def run(rate: float, parts: int = 5) -> Measurement:
    intervals = tuple(Interval(i, i + 1, rate * (1 + i % 2)) for i in range(parts))
    return Measurement(rate, int(rate / 8 * parts), parts, rate, intervals=intervals)


@pytest.mark.parametrize(
    "runs",
    [
        {"one": run(10e6)},
        {"one": run(10e6), "two": run(12e6)},
        {"slow": run(1e6), "fast": run(10e9)},
        {"nothing to draw": run(5e3, 0)},
        {"<b>odd</b> $x_1$ name": run(100)},
        {f"run {i}": run(1e6 * (i + 1)) for i in range(12)},
    ],
    ids=["one", "two", "logarithmic", "no intervals", "odd name", "many"],
)
def test_rates_are_drawn(tmp_path: Path, runs: dict[str, Measurement]) -> None:
    assert size_of(draw_rates(tmp_path / "rates.png", runs)) == (880, 308)
