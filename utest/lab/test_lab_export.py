"""Archives for air-gapped registries: every image once, under the mirror's name, and no silence about what is missing."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from NetLibrary._mechanics.defaults import FORTIO_IMAGE
from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.images import IMAGES, Image
from NetLibrary.cli import main
from NetLibrary.lab import export
from NetLibrary.lab.images import Recipe, check_archive

TINY = Recipe("tiny", ("example.org/tiny:1",), shell=False, files={"/x": b"1"})
PUBLIC = Image("example.org/tiny:1", "TINY_IMAGE", ("cyperf",), "nothing")
UNKNOWN = Image("example.org/other:1", "OTHER_IMAGE", ("cyperf",), "a program")


@pytest.fixture(autouse=True)
def recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(export, "recipe_of", lambda reference, say: TINY if reference in TINY.references else None)
    monkeypatch.setattr(export, "cache", lambda: tmp_path / "cache")


def quiet(line: str) -> None:
    pass


def test_archive_has_the_name_of_the_mirror_and_the_id_that_nodes_show(tmp_path: Path) -> None:
    (done,) = export.export([PUBLIC], "registry.example/mirror", tmp_path, quiet)
    file = tmp_path / done.archive
    assert check_archive(file) == ["registry.example/mirror/tiny:1"] == [done.reference]
    with tarfile.open(file) as tar:
        assert f"{done.id.removeprefix('sha256:')}.json" in tar.getnames()
    assert json.loads((tmp_path / "images.json").read_text())[0]["id"] == done.id


def test_image_without_a_recipe_is_listed_with_the_reason(tmp_path: Path) -> None:
    (done,) = export.export([UNKNOWN], "", tmp_path, quiet)
    assert (done.archive, done.id) == ("", "")
    assert done.origin == "not here: a program; copy it with --with, or name your own"


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (folder / "skopeo").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "skopeo").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_published_image_is_copied_under_the_name_of_the_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export.export([PUBLIC], "", tmp_path / "source", quiet)
    made = next((tmp_path / "source").glob("*.tar"))
    program(
        tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/asked; cp {made} {tmp_path}/out/registry.example_tiny_1.tar'
    )
    (done,) = export.export([PUBLIC], "registry.example", tmp_path / "out", quiet, "skopeo")
    file = tmp_path / "out" / done.archive
    assert (tmp_path / "asked").read_text().split() == [
        "copy", "docker://example.org/tiny:1", f"docker-archive:{file}:registry.example/tiny:1"
    ]  # fmt: skip
    assert done.origin == "copied with skopeo"


def test_words_of_the_copying_program_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "echo first >&2; echo manifest unknown >&2; exit 1")
    (done,) = export.export([PUBLIC], "", tmp_path, quiet, "skopeo")
    assert (done.archive, done.origin) == ("", "not here: skopeo says: manifest unknown")


def test_missing_copying_program_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match="There is no program 'skopeo' on PATH"):
        export.export([PUBLIC], "", tmp_path, quiet, "skopeo")


def test_command_builds_what_nobody_publishes_and_ends_with_1_when_something_is_missing(tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["images", "build", str(tmp_path), "--suite", "cyperf"])
    assert shown.exit_code == 1
    assert "cyperf-controller-stand-in" in shown.output and "cyperf-agent:release" not in shown.output
    wrong = CliRunner().invoke(main, ["images", "export", str(tmp_path), "--suite", "cypref"])
    assert wrong.exit_code == 2 and "suites with images: cluster_health, cyperf" in wrong.output


def test_everything_that_nobody_publishes_has_a_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for image in IMAGES:
        if image.origin != "public":
            assert export.recipe_of(image.reference, quiet), image.reference


def test_fortio_is_exported_for_throughput(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A registry that was filled by an export lacked it, and every row of the suite failed
    monkeypatch.undo()
    assert any("fortio" in image.reference for image in IMAGES if "throughput" in image.suites)
    monkeypatch.setattr(export.programs, "programs", lambda names, say: {name: tmp_path / name for name in names})
    recipe = export.recipe_of(FORTIO_IMAGE, quiet)
    assert recipe is not None and FORTIO_IMAGE in recipe.references
