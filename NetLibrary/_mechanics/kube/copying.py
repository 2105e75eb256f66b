"""Files and folders into containers and out of them: by `tar` where the image has it, else by `cat`.

What comes out of a container is not trusted: only plain files and folders are unpacked, and only below the destination.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.exec import STDOUT, feed
from NetLibrary._mechanics.secrets import tail

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster


class Container:
    """A container that files are copied into and out of.

    Args:
        cluster: Where.
        namespace: Namespace of the pod.
        pod: The pod.
        name: Name of the container; the first one by default.
        timeout: Seconds for a whole copy.
    """

    def __init__(
        self, cluster: Cluster, namespace: str, pod: str, name: str | None = None, *, timeout: float = 60.0
    ) -> None:
        self._cluster, self._namespace, self._pod, self._name = cluster, namespace, pod, name
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout

    @property
    def where(self) -> str:
        """The container's pod in words."""
        return f"pod '{self._namespace}/{self._pod}'"

    # --- in -------------------------------------------------------------------------------------------------

    def put(self, source: Path, destination: str) -> int:
        """Copies a file or a folder into the container.

        Args:
            source: File or folder on this machine.
            destination: Absolute path in the container, which the copy has afterwards; for a file it may end in `/`
                and is the folder then.
        Returns:
            How many files were copied.
        Raises:
            InputError: The source is not there, or the destination is no absolute path.
            ToolMissing: The image has neither `tar` nor a shell with `cat`.
            ExecFailed: The container could not write it.
        """
        if not source.exists():
            raise errors.InputError(f"source '{source}' does not exist.")
        if destination.endswith("/") and source.is_file():
            destination += source.name
        target = _absolute(destination)
        files = [source] if source.is_file() else sorted(each for each in source.rglob("*") if each.is_file())
        try:
            self._put_archive(source, target)
        except errors.ToolMissing:
            self._put_one_by_one(source, files, target)
        return len(files)

    def _put_archive(self, source: Path, target: PurePosixPath) -> None:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w", dereference=True) as archive:
            archive.add(source, arcname=str(target).lstrip("/"), filter=_without_owner)
        self._run(["tar", "-xmf", "-", "-C", "/"], data.getvalue())

    def _put_one_by_one(self, source: Path, files: Sequence[Path], target: PurePosixPath) -> None:
        folders = [] if source.is_file() else [each for each in source.rglob("*") if each.is_dir()]
        made = sorted({str(target / each.relative_to(source)) for each in folders} | {str(target)})
        self._in_shell('mkdir -p "$@"', *([str(target.parent)] if source.is_file() else made))
        for file in files:
            data = file.read_bytes()
            path = target if source.is_file() else target / file.relative_to(source)
            # By its length, because servers of old cannot end the input
            self._in_shell('head -c "$2" > "$1"', str(path), str(len(data)), stdin=data)

    # --- out ------------------------------------------------------------------------------------------------

    def fetch(self, source: str, destination: Path) -> int:
        """Copies a file or a folder out of the container.

        Args:
            source: Absolute path in the container.
            destination: Path on this machine, which the copy has afterwards; an existing folder takes a file in.
        Returns:
            How many files were copied.
        Raises:
            InputError: The source is no absolute path.
            ExecFailed: It does not exist, or cannot be read.
            ToolMissing: The image has neither `tar` nor a shell with `cat`.
        """
        path = _absolute(source)
        try:
            data = self._run(["tar", "-cf", "-", "-C", str(path.parent), path.name])
        except errors.ToolMissing:
            return self._fetch_one_by_one(path, destination)
        return unpack(data, path.name, destination)

    def _fetch_one_by_one(self, path: PurePosixPath, destination: Path) -> int:
        found = self._in_shell(
            'if [ -d "$1" ]; then find "$1" -type f; else ls -d "$1"; fi', str(path)
        ).decode().splitlines()  # fmt: skip
        single = found == [str(path)]
        for name in found:
            target = _file_in(destination, path.name) if single else destination / PurePosixPath(name).relative_to(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self._in_shell('cat "$1"', name))
        return len(found)

    # --- commands -------------------------------------------------------------------------------------------

    def _in_shell(self, script: str, *arguments: str, stdin: bytes | None = None) -> bytes:
        try:
            return self._run(["sh", "-c", script, "sh", *arguments], stdin)
        except errors.ToolMissing as error:
            raise errors.ToolMissing(
                f"Nothing can be copied to or from {self.where}: its image has neither tar nor a shell.",
                exit_code=error.exit_code,
            ) from error

    def _run(self, command: Sequence[str], stdin: bytes | None = None) -> bytes:
        """Runs a command and returns its standard output as bytes."""
        output, said = bytearray(), bytearray()
        with self._cluster.start_exec(
            self._namespace, self._pod, command, container=self._name, stdin=stdin is not None
        ) as running:
            if stdin is not None:
                feed(running, stdin)
            while not running.finished:
                left = self._deadline - time.monotonic()
                if left <= 0:
                    raise errors.WaitTimeout(f"The copy with {self.where} did not end within {self._timeout:g} s.")
                got = running.read(min(left, 1.0))
                if got is not None:
                    (output if got[0] == STDOUT else said).extend(got[1])
            code = running.exit_code
        if code == 127:
            raise errors.ToolMissing(f"'{command[0]}' is not in the image of {self.where}.", exit_code=code)
        if code:
            words = tail(bytes(said).decode(errors="replace").strip(), 500) or f"exit status {code}"
            raise errors.ExecFailed(f"The copy with {self.where} failed: {words}", exit_code=code)
        return bytes(output)


def _absolute(path: str) -> PurePosixPath:
    if not path.startswith("/") or path == "/":
        raise errors.InputError(f"'{path}' is not an absolute path in a container; give, for instance, /tmp/data.")
    return PurePosixPath(posixpath.normpath(path))


def _without_owner(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _file_in(destination: Path, name: str) -> Path:
    return destination / name if destination.is_dir() else destination


def unpack(data: bytes, top: str, destination: Path) -> int:
    """Writes the plain files of an archive, and returns how many there were.

    Args:
        data: The archive.
        top: Name of its one file or folder, in place of which the destination comes.
        destination: Where it goes.
    Raises:
        InputError: A name in the archive leads out of the destination.
    """
    count = 0
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for entry in archive:
            parts = PurePosixPath(posixpath.normpath(entry.name)).parts
            if not parts or parts[0] != top or ".." in parts:
                raise errors.InputError(
                    f"The archive from the container has the name '{entry.name}', which leads elsewhere."
                )
            if len(parts) == 1 and entry.isfile():
                target = _file_in(destination, top)
            else:
                target = destination.joinpath(*parts[1:])
            if entry.isdir():
                target.mkdir(parents=True, exist_ok=True)
            elif entry.isfile():
                content = archive.extractfile(entry)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read() if content else b"")
                count += 1
    return count
