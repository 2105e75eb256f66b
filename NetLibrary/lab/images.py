"""Images assembled from programs of this machine, for where no registry can be reached.

An image is described by a `Recipe`, written as an archive that `ctr images import` reads, and kept in the user's cache
under the hash of what went into it. Equal layers of different images are byte for byte the same, so that a node unpacks
them once.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary.lab.contents import (
    FileTree,
    add_iptables,
    add_packages,
    add_program_file,
    add_programs,
    add_python,
    add_shell,
    find_program,
    iptables_program,
    package_files,
)

FORMAT = 4  # part of every key: change it when the same recipe has to give another image
STAND_IN_LABEL = "io.netlibrary.stand-in"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Recipe:
    """What an assembled image holds.

    Args:
        name: Short name, also of the archive's file.
        references: Names under which a pod asks for it, each with a tag. A pod that asks for the tag `latest` has to
            say `imagePullPolicy: IfNotPresent`; the default for that tag is to pull always.
        programs: Programs of this machine with their shared libraries: `curl`, `/bin/dash:/bin/sh` (source and place in
            the image), `tcpdump?` (left out when this machine does not have it).
        files: Path in the image → content, or the path of a file on this machine. Programs among them keep their mode.
        python: Whether to add this Python interpreter and its standard library as `/usr/local/bin/python3`.
        python_packages: Names of installed distributions to add with all they need; implies `python`.
        shell: Whether to add busybox with its applets, a user database and certificates of authorities.
        entrypoint: Program that the container runs.
        cmd: Its arguments.
        env: Environment variables.
        iptables: Whether to add this machine's iptables with its extensions, under all of its names.
        user: User (and group) that the container runs as, for instance `65534:65534`; root when left out.
        stand_in_for: The real program that something in here stands in for; goes into the image's labels.

    Example:
        >>> Recipe("tiny", ("example.org/tiny:1",), programs=("curl",)).references
        ('example.org/tiny:1',)
    """

    name: str
    references: tuple[str, ...]
    programs: tuple[str, ...] = ()
    files: dict[str, bytes | Path] = field(default_factory=dict)
    python: bool = False
    python_packages: tuple[str, ...] = ()
    shell: bool = True
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    iptables: bool = False
    user: str = ""
    stand_in_for: str | None = None

    def __post_init__(self) -> None:
        if not self.references:
            raise InputError(f"The recipe '{self.name}' names no reference.")
        for reference in self.references:
            tag = reference.rpartition("/")[2].partition(":")[2]
            if not tag:
                raise InputError(
                    f"The recipe '{self.name}' has the reference '{reference}'; a tag is needed, because Kubernetes "
                    "treats an image without one as 'latest' and always pulls it."
                )

    @property
    def needs_python(self) -> bool:
        """Tells whether an interpreter goes into the image."""
        return self.python or bool(self.python_packages)

    def key(self) -> str:
        """Returns a hash of everything that decides what the image holds."""
        digest = hashlib.sha256(f"{FORMAT} {platform.machine()} ".encode())
        for entry in fields(self):
            # what is not used leaves no trace, so that images without it keep their key
            unused = entry.name in ("iptables", "user") and not getattr(self, entry.name)
            if entry.name != "files" and not unused:
                digest.update(f"{entry.name}={getattr(self, entry.name)!r};".encode())
        for path, content in sorted(self.files.items()):
            digest.update(f"{path}=".encode())
            # by content, not by time stamp: a program that is built again is the same to the last bit
            digest.update(_content(content) if isinstance(content, Path) else hashlib.sha256(content).digest())
        for program in self.programs:
            source = find_program(program)[0]
            digest.update(_stamp(source) if source else b"absent")
        if self.shell:
            digest.update(_stamp(find_program("busybox")[0] or Path("/bin/busybox")))
        if self.iptables:
            digest.update(_stamp(iptables_program()))
        if self.needs_python:
            digest.update(f"{platform.python_version()} {platform.python_implementation()}".encode())
        for file, _ in package_files(self.python_packages):
            digest.update(_stamp(file))
        return digest.hexdigest()[:32]

    def layers(self) -> list[FileTree]:
        """Returns the contents of the image, the lowest layer first."""
        layers = []
        if self.shell:
            layers.append(add_shell(FileTree()))
        if self.needs_python:
            layers.append(add_python(FileTree()))
        top = FileTree()
        add_packages(top, self.python_packages)
        add_programs(top, self.programs, self.name)
        if self.iptables:
            add_iptables(top)
        for path, content in self.files.items():
            if isinstance(content, Path):
                add_program_file(top, content, path)
            else:
                top.add(path, content, 0o755 if content.startswith((b"#!", b"\x7fELF")) else 0o644)
        top.add_folder("tmp")
        return [*layers, top]


def _content(path: Path) -> bytes:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return b"absent"
    return digest.digest()


def _stamp(path: Path) -> bytes:
    try:
        info = path.stat()
    except FileNotFoundError:
        return b"absent"
    return f"{path} {info.st_size} {info.st_mtime_ns};".encode()


def assemble(recipe: Recipe, folder: Path) -> Path:
    """Returns the archive of a recipe's image; assembles it unless the cache has it.

    Args:
        recipe: What goes into the image.
        folder: The cache.
    """
    target = folder / f"{recipe.name}-{recipe.key()}.tar"
    if target.exists():
        os.utime(target)  # what was not used for long is cleared away first
        return target
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f".{target.name}.{os.getpid()}"
    try:
        _write_archive(recipe, new)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
    for old in folder.glob(f"{recipe.name}-*.tar"):
        if (
            old != target
            and len(old.name) == len(target.name)
            and old.stat().st_mtime < target.stat().st_mtime - 7 * 86400
        ):
            old.unlink(missing_ok=True)
    return target


def _write_archive(recipe: Recipe, path: Path) -> None:
    """Writes an archive in the format of `docker save`; all time stamps are 0, so that it is reproducible."""
    layers = [tree.tar() for tree in recipe.layers()]
    digests = [hashlib.sha256(data).hexdigest() for data in layers]
    labels = {
        "org.opencontainers.image.title": recipe.name,
        "org.opencontainers.image.description": "assembled by NetLibrary's lab from programs of its machine",
        "io.netlibrary.assembled": "true",
    }
    if recipe.stand_in_for:
        labels[STAND_IN_LABEL] = recipe.stand_in_for
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    config = {
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": list(recipe.entrypoint) or None,
            "Cmd": list(recipe.cmd) or (["/bin/sh"] if recipe.shell and not recipe.entrypoint else None),
            "Env": [f"PATH={PATH}", *_python_variables(recipe), *(f"{k}={v}" for k, v in sorted(recipe.env.items()))],
            "WorkingDir": "/",
            "Labels": labels,
            **({"User": recipe.user} if recipe.user else {}),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "netlibrary lab"} for _ in digests],
    }
    config_data = json.dumps(config, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(config_data).hexdigest()}.json"
    names = [f"{digest}/layer.tar" for digest in digests]
    manifest = json.dumps([{"Config": config_name, "RepoTags": list(recipe.references), "Layers": names}]).encode()
    with tarfile.open(path, "w") as archive:
        for name, data in [(config_name, config_data), *zip(names, layers, strict=True), ("manifest.json", manifest)]:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def _python_variables(recipe: Recipe) -> list[str]:
    # PYTHONUNBUFFERED: logs of a pod are read while it runs
    return ["PYTHONUNBUFFERED=1", "PYTHONPATH=/opt/python"] if recipe.needs_python else []


def check_archive(path: Path) -> list[str]:
    """Returns the references in an image archive.

    Raises:
        InputError: It does not exist, or is no archive of an image.
    """
    if not path.is_file():
        raise InputError(f"The image archive '{path}' does not exist.")
    try:
        with tarfile.open(path) as archive:
            names = set(archive.getnames())
            if "manifest.json" in names:
                manifest = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
                return [tag for image in manifest for tag in image.get("RepoTags") or []]
            if "index.json" in names:
                index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]
                annotations = [entry.get("annotations", {}) for entry in index.get("manifests", [])]
                return [
                    a.get("io.containerd.image.name") or a.get("org.opencontainers.image.ref.name", "")
                    for a in annotations
                ]
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise InputError(f"The image archive '{path}' cannot be read: {error}.") from error
    raise InputError(
        f"The image archive '{path}' contains no image: it has neither manifest.json (docker save) nor index.json (OCI "
        "layout)."
    )


def assemble_all(recipes: Iterable[Recipe], folder: Path) -> list[Path]:
    """Returns the archives of several recipes' images, assembled where the cache does not have them."""
    return [assemble(recipe, folder) for recipe in recipes]


def free_space(folder: Path, needed: int) -> None:
    """Complains when the file system of a folder has less than the needed bytes left."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise EnvironmentProblem(f"{folder} has {free >> 20} MiB left; {needed >> 20} MiB are needed.")
