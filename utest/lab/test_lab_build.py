"""The build: once, for all who start at the same time, and never half."""

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary.lab import build

GO = """#!/bin/sh
echo "$@" >>{log}
case "$1" in
version) echo "go version go{version} linux/amd64";;
list) printf 'a\\nb\\nc\\n';;
build)
  while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
  {body}
  echo made >"$out";;
esac
"""


@pytest.fixture
def go(tmp_path, monkeypatch):
    """Puts a program that acts as Go first, and the cache into a folder of the test."""
    monkeypatch.setattr(build, "cache", lambda: tmp_path / "cache")
    log = tmp_path / "go.log"

    def make(version="1.99.1", body="sleep 0.05"):
        program = tmp_path / "go"
        program.write_text(GO.format(log=log, version=version, body=body))
        program.chmod(0o755)
        monkeypatch.setattr(build, "_candidates", lambda: iter([(program, None)]))
        return log

    return make


def builds(log: Path) -> int:
    return sum(line.startswith("build") for line in log.read_text().splitlines())


def test_programs_are_built_once_and_found_again(go):
    log = go()
    folder = build.programs(lambda _: None)
    assert {f.name for f in folder.iterdir()} == set(build.PROGRAMS)
    assert builds(log) == len(build.PROGRAMS)
    assert build.programs(lambda _: None) == folder
    assert builds(log) == len(build.PROGRAMS)


def test_starts_at_once_build_once(go):
    log, found = go(), []
    threads = [threading.Thread(target=lambda: found.append(build.programs(lambda _: None))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 4
    assert builds(log) == len(build.PROGRAMS)


def test_failed_build_shows_the_compilers_words_and_leaves_nothing(go, tmp_path):
    go(body="echo 'main.go:7: undefined: nonsense' >&2; exit 1")
    with pytest.raises(EnvironmentProblem, match=r"status 1:\nmain.go:7: undefined: nonsense"):
        build.programs(lambda _: None)
    assert build.built() is None
    assert list((tmp_path / "cache" / "programs").glob("*")) == []


def test_interrupted_build_leaves_no_half_cache_and_no_compiler(go, tmp_path, monkeypatch):
    go(body="sleep 61")

    def interrupt(*_):
        raise KeyboardInterrupt

    wait = subprocess.Popen.wait
    monkeypatch.setattr(
        subprocess.Popen, "wait", lambda self, timeout=None: interrupt() if timeout == 10 else wait(self, timeout)
    )
    with pytest.raises(KeyboardInterrupt):
        build.programs(lambda _: None)
    assert list((tmp_path / "cache" / "programs").glob("*")) == []
    assert str(tmp_path / "go") not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def test_killed_build_is_cleared_away_by_the_next(go, tmp_path):
    log = go(body="sleep 30")
    code = textwrap.dedent(f"""
        import pathlib
        from NetLibrary.lab import build
        build.cache = lambda: pathlib.Path({str(tmp_path / "cache")!r})
        build._candidates = lambda: iter([(pathlib.Path({str(tmp_path / "go")!r}), None)])
        build.programs(lambda text: print(text, flush=True))
    """)
    builder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    while "build" not in (log.read_text() if log.exists() else ""):
        assert builder.poll() is None
    builder.kill()
    builder.wait()
    assert list((tmp_path / "cache" / "programs").glob("*.new"))
    assert build.built() is None
    go(body="true")
    folder = build.programs(lambda _: None)
    assert [f.name for f in folder.parent.iterdir()] == [folder.name]


def test_old_go_is_not_taken(go):
    go(version="1.24.9")
    assert build.find_go() is None
    with pytest.raises(EnvironmentProblem, match=r"Go 1.25.0 or newer is needed.*pip install 'netlibrary\[lab\]'"):
        build.programs(lambda _: None)


def test_without_go_a_finished_build_still_serves(go, monkeypatch):
    go()
    folder = build.programs(lambda _: None)
    monkeypatch.setattr(build, "_candidates", lambda: iter([]))
    assert build.programs(lambda _: None) == folder


def test_progress_is_told(go):
    told = []
    go(body="echo a >&2; sleep 0.1")
    build.programs(told.append)
    assert any("building Kubernetes v1." in text for text in told)
    assert any(text.startswith("built in") for text in told)


def test_changed_source_asks_for_another_build(tmp_path, monkeypatch):
    source = tmp_path / "src"
    source.mkdir()
    (source / "main.go").write_text("package main")
    monkeypatch.setattr(build, "SOURCES", source)
    before = build.source_hash()
    (source / "main_test.go").write_text("package main")
    assert build.source_hash() == before
    (source / "main.go").write_text("package main //")
    assert build.source_hash() != before


def test_toolchain_is_never_downloaded(tmp_path):
    environment = build._environment(build.Go(tmp_path / "go", (1, 99), tmp_path))
    assert environment["GOTOOLCHAIN"] == "local"
    assert environment["CGO_ENABLED"] == "0"
    assert environment["GOROOT"] == str(tmp_path)


def test_too_little_space_is_said_before_the_build(go, monkeypatch):
    log = go()
    monkeypatch.setattr(build, "SPACE", 1 << 60)
    with pytest.raises(EnvironmentProblem, match="MiB are needed"):
        build.programs(lambda _: None)
    assert builds(log) == 0


def test_another_minor_version_is_a_build_of_its_own(go):
    log = go()
    folder = build.programs(lambda _: None, "1.34")
    assert f"-modfile={build.RELEASES / '1.34' / 'go.mod'}" in log.read_text()
    assert build.built() is None
    assert build.built(release="1.34") == folder
    assert build.programs(lambda _: None) != folder


def test_minor_version_that_no_modules_are_named_for_is_refused():
    with pytest.raises(InputError, match=r"Kubernetes '1.2' was requested; a lab can have 1\.34, .*1\.35"):
        build.kubernetes_version("1.2")


@pytest.mark.parametrize("release", sorted(build.releases()))
def test_every_minor_version_has_modules_of_that_version(release):
    assert build.kubernetes_version(release).startswith(f"v{release}.")
    staged = build.modules(release).read_text().count(build.kubernetes_version(release).replace("v1.", " v0."))
    assert staged > 30, "Kubernetes and its staging modules go together"
    assert build.modules(release).with_name("go.sum").is_file()
