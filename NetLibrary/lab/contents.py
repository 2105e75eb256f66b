"""What goes into an assembled image: files, programs with their libraries, a shell, a Python."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import io
import os
import py_compile
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary.lab.tools import package_of

FOLDERS = ("dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr/bin", "var/log", "var/tmp")
WORLD_WRITABLE = {"tmp", "var/tmp"}
LEFT_OUT_OF_PYTHON = {
    "__pycache__",
    "dist-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
}
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class FileTree:
    """Files of one layer. A later file of the same path replaces an earlier one."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[int, bytes | Path | str]] = {}
        self._folders: set[str] = set()

    def __contains__(self, path: str) -> bool:
        return path.strip("/") in self._entries

    def add_folder(self, path: str) -> None:
        """Adds a folder and those above it."""
        parts = path.strip("/").split("/")
        self._folders.update("/".join(parts[: depth + 1]) for depth in range(len(parts)) if parts[depth])

    def add(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Adds a file by its content."""
        self.add_folder(os.path.dirname(path))
        self._entries[path.strip("/")] = (mode, data)

    def add_file(self, source: Path, path: str) -> None:
        """Adds a file of this machine, with its permission to be executed or not."""
        if not source.is_file():
            raise EnvironmentProblem(f"'{source}' is needed for an image and is not a file.")
        self.add_folder(os.path.dirname(path))
        self._entries[path.strip("/")] = (
            0o755 if os.access(source, os.X_OK) and source.stat().st_mode & 0o111 else 0o644,
            source,
        )

    def add_link(self, path: str, target: str) -> None:
        """Adds a symbolic link."""
        self.add_folder(os.path.dirname(path))
        self._entries[path.strip("/")] = (0o777, target)

    def tar(self) -> bytes:
        """Returns the layer: sorted, owned by root, time stamps 0, so that equal contents are equal bytes."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for folder in sorted(self._folders - self._entries.keys()):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder in WORLD_WRITABLE else 0o755
                archive.addfile(entry)
            for path, (mode, content) in sorted(self._entries.items()):
                entry = tarfile.TarInfo(path)
                entry.mode = mode
                if isinstance(content, str):
                    entry.type, entry.linkname = tarfile.SYMTYPE, content
                    archive.addfile(entry)
                    continue
                data = content.read_bytes() if isinstance(content, Path) else content
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return buffer.getvalue()


# --- programs ---------------------------------------------------------------------------------------------


def find_program(text: str) -> tuple[Path | None, str, bool]:
    """Reads `NAME`, `SOURCE:TARGET` or either with a trailing `?`.

    Returns:
        Path on this machine (None when it is not there), path in the image, and whether it may be left out.
    """
    text, optional = (text[:-1], True) if text.endswith("?") else (text, False)
    source, _, target = text.partition(":")
    found = shutil.which(source, path=SEARCH) if "/" not in source else (source if os.path.isfile(source) else None)
    name = os.path.basename(source)
    return (Path(os.path.realpath(found)) if found else None), target or f"/usr/bin/{name}", optional


@functools.lru_cache(maxsize=512)
def libraries(path: Path) -> tuple[str, ...]:
    """Returns the shared libraries that a program or library loads, by the dynamic linker's own word."""
    said = subprocess.run(["ldd", str(path)], capture_output=True, text=True).stdout
    if "not found" in said:
        missing = ", ".join(re.findall(r"(\S+) => not found", said))
        raise EnvironmentProblem(f"'{path}' needs shared libraries that this machine does not have: {missing}.")
    return tuple(re.findall(r"(/\S+?\.so\S*)", said))


def _add_libraries(tree: FileTree, paths: Iterable[Path]) -> None:
    for path in paths:
        for library in libraries(path):
            if library not in tree:
                tree.add_file(Path(library), library)


def add_programs(tree: FileTree, programs: Iterable[str], image: str) -> None:
    """Adds programs with their shared libraries.

    Args:
        tree: The layer.
        programs: As in `Recipe.programs`.
        image: Name of the image, for the complaint about a missing program.
    """
    for text in programs:
        source, target, optional = find_program(text)
        if source is None and optional:
            continue
        if source is None:
            name = text.partition(":")[0]
            package = package_of(os.path.basename(name))
            hint = f" Install it: apt-get install {package}" if package else ""
            raise EnvironmentProblem(
                f"The program '{name}' is needed for the image '{image}' and is not on this machine.{hint}"
            )
        tree.add_file(source, target)
        _add_libraries(tree, [source])


def add_program_file(tree: FileTree, source: Path, path: str) -> None:
    """Adds a file of this machine; a program among them brings its shared libraries."""
    tree.add_file(source, path)
    with source.open("rb") as file:
        program = file.read(4) == b"\x7fELF"
    if program:
        _add_libraries(tree, [source])


def iptables_program() -> Path:
    """Returns the distribution's one program behind all names of iptables."""
    found = find_program("iptables")[0]
    if found is None:
        raise EnvironmentProblem("iptables is needed for an image. Install it: apt-get install iptables")
    return found


def add_iptables(tree: FileTree) -> None:
    """Adds iptables under its names, with the extensions that it loads by name at run time."""
    program = iptables_program()
    tree.add_file(program, str(program))
    _add_libraries(tree, [program])
    for family in ("iptables", "ip6tables"):
        for name in (family, f"{family}-save", f"{family}-restore"):
            tree.add_link(f"/usr/sbin/{name}", str(program))
    for extension in sorted(Path("/usr/lib").glob("*-linux-gnu/xtables/*.so")):
        tree.add_file(extension, str(extension))
        _add_libraries(tree, [extension])
    protocols = Path("/etc/protocols")  # comes with a package that a small machine may not have
    tree.add(
        "/etc/protocols", protocols.read_bytes() if protocols.exists() else b"tcp 6 TCP\nudp 17 UDP\nsctp 132 SCTP\n"
    )


def add_shell(tree: FileTree) -> FileTree:
    """Adds busybox with all applets, the usual folders, a user database and certificates of authorities."""
    for folder in FOLDERS:
        tree.add_folder(folder)
    busybox = find_program("busybox")[0]
    if busybox is None:
        raise EnvironmentProblem("busybox is needed for images. Install it: apt-get install busybox-static")
    tree.add_file(busybox, "/bin/busybox")
    _add_libraries(tree, [busybox])
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            tree.add_link(f"/bin/{applet}", "/bin/busybox")
    tree.add_link("/usr/bin/env", "/bin/busybox")
    tree.add("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    tree.add("/etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    tree.add("/etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n")
    tree.add("/etc/services", _services())
    authorities = Path("/etc/ssl/certs/ca-certificates.crt")
    if authorities.exists():
        tree.add("/etc/ssl/certs/ca-certificates.crt", authorities.read_bytes())
    # loaded by name at run time, so no program links them
    for name in ("libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"):
        for found in Path("/").glob(f"lib/*-linux-gnu/{name}"):
            tree.add_file(found, str(found))
    return tree


def _services() -> bytes:
    path = Path("/etc/services")
    return path.read_bytes() if path.exists() else b"domain 53/tcp\ndomain 53/udp\nhttp 80/tcp\nhttps 443/tcp\n"


# --- Python -----------------------------------------------------------------------------------------------


def _cached(source: Path) -> bytes | None:
    """Returns the byte code that this interpreter keeps for a module, marked to be taken as it is.

    Source: PEP 552, the header is magic number, flags, time stamp and size of the source or a hash of it.
    """
    try:
        data, info = Path(importlib.util.cache_from_source(str(source))).read_bytes(), source.stat()
    except (OSError, NotImplementedError):
        return None
    fresh = struct.pack(
        "<4sIII", importlib.util.MAGIC_NUMBER, 0, int(info.st_mtime) & 0xFFFFFFFF, info.st_size & 0xFFFFFFFF
    )
    if data[:16] != fresh:
        return None
    mark = importlib.util.source_hash(source.read_bytes())
    return importlib.util.MAGIC_NUMBER + struct.pack("<I", 0b01) + mark + data[16:]


def _compiled(source: Path, place: str) -> bytes | None:
    """Returns byte code that the interpreter takes without a look at the source's time stamp."""
    cached = _cached(source)
    if cached:
        return cached
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, "code")
        try:
            py_compile.compile(
                str(source),
                target,
                place,
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except (py_compile.PyCompileError, ValueError):
            return None  # templates and samples of the standard library that are no valid modules
        return Path(target).read_bytes()


def _add_module(tree: FileTree, source: Path, place: str) -> None:
    tree.add_file(source, place)
    if source.suffix == ".py" and (code := _compiled(source, place)):
        folder, name = os.path.split(place)
        tree.add(f"{folder}/__pycache__/{name[:-3]}.{sys.implementation.cache_tag}.pyc", code)
    elif ".so" in source.suffixes:
        _add_libraries(tree, [source])


def add_python(tree: FileTree) -> FileTree:
    """Adds the interpreter that runs this, and its standard library with byte code, below `/usr/local`."""
    interpreter = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    tree.add_file(interpreter, f"/usr/local/bin/python{version}")
    _add_libraries(tree, [interpreter])
    for name in ("python3", "python"):
        tree.add_link(f"/usr/local/bin/{name}", f"python{version}")
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix}))
    for source in _walk(library):
        _add_module(tree, source, f"/usr/local/lib/python{version}/{source.relative_to(library)}")
    return tree


def _walk(library: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(library):
        folders[:] = sorted(f for f in folders if f not in LEFT_OUT_OF_PYTHON and not f.startswith("config-"))
        for name in sorted(files):
            path = Path(folder, name)
            if path.is_file() and not name.endswith((".pyc", ".a")):
                yield path


def package_files(names: Iterable[str]) -> list[tuple[Path, str]]:
    """Returns the files of distributions and of all that they need, with their places below the packages' folder."""
    wanted, seen, found = [(name, True) for name in names], set(), []
    while wanted:
        name, required = wanted.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in seen:
            continue
        seen.add(key)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if required:
                raise EnvironmentProblem(
                    f"The Python package '{name}' is needed for an image and is not installed here."
                ) from None
            continue  # asked for under a condition that does not hold here
        for file in distribution.files or []:
            place = str(file)
            if not place.startswith("..") and "__pycache__" not in place:
                found.append((Path(str(distribution.locate_file(file))), place))
        for requirement in distribution.requires or []:
            text, _, condition = requirement.partition(";")
            if "extra" not in condition:
                wanted.append((re.split(r"[^\w.-]", text.strip(), maxsplit=1)[0], False))
    return sorted(found, key=lambda pair: pair[1])


def add_packages(tree: FileTree, names: Iterable[str]) -> None:
    """Adds Python packages and what they need, below `/opt/python`."""
    for source, place in package_files(names):
        if source.is_file():
            _add_module(tree, source, f"/opt/python/{place}")
