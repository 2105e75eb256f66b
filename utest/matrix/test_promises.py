"""The sentences of the API reference that the page about the matrix quotes stand there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/service_matrix.md"


def quotes() -> list[tuple[str, str, str]]:
    """Returns the module's version, the field's name and what is quoted of it, for each row of the table."""
    text = PAGE.read_text()
    version = re.search(r"k8s\.io/api (v[0-9.]+)\]", text)
    assert version
    table = text.split("<!-- quotes: core/v1/types.go -->\n", 1)[1].split("\n\n", 1)[0]
    found, field = [], ""
    for line in table.splitlines()[2:]:
        first, words, _ = (cell.strip() for cell in line.strip("|").split("|"))
        field = first if first != "the same" else field
        found.append((version[1], field.strip("`").rsplit(".", 1)[-1], words[1:-1]))
    return found


def comment(source: str, field: str) -> str:
    """Returns what stands above a field, in one line."""
    texts = []
    for match in re.finditer(rf'((?:^\t//.*\n)+)^\t\w.*`json:"{field}[,"]', source, re.MULTILINE):
        texts.append(" ".join(line.strip().removeprefix("//").strip() for line in match[1].splitlines()))
    return " ".join(" ".join(texts).split())


@pytest.mark.parametrize(("version", "field", "words"), quotes())
def test_the_api_reference_says_what_is_quoted(version, field, words):
    source = Path.home() / f"go/pkg/mod/k8s.io/api@{version}/core/v1/types.go"
    if not source.exists():
        pytest.skip("the Go modules of the lab are not here")
    assert words in comment(source.read_text(), field)
