"""iperf3 clients beside the probes."""

import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
from typing import Any

OUTPUT_LIMIT = 16 * 1024 * 1024
SO_MAX_PACING_RATE = getattr(socket, "SO_MAX_PACING_RATE", 47)
# So much of the kernel's pace fits the send buffer: more would come in bursts, less would not fill a path of this delay
BUFFER_SECONDS = 0.05
# Rates for which such a buffer is neither too small for an even pace nor beyond what the kernel grants
KERNEL_PACES = (2_000_000, 30_000_000)
# Of each segment TCP takes so many bytes for itself
TIMESTAMPS = 12


def spins_while_it_paces(program):
    """Tells whether this iperf3 needs a whole processor for waiting.

    Those of 3.16 and 3.17 look without a pause whether it is time for the next block (esnet/iperf issue 1741), which
    takes the processor from the probes beside it.
    """
    try:
        said = subprocess.run([program, "--version"], stdout=subprocess.PIPE, timeout=5).stdout.decode(
            "utf-8", "replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return re.match(r"iperf 3\.1[67]\b", said) is not None


def kernel_paces(rate):
    """Tells whether the kernel paces TCP; where it does not, iperf3 would send as fast as it can."""
    with socket.socket() as tried:
        try:
            tried.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, struct.pack("=I", rate // 8))
        except OSError:
            return False
    return True


def pace(program, protocol, rate, length):
    """Returns the options that make iperf3 keep a rate: its own pace, or the kernel's where its own is too dear.

    In its own pace each block is a segment; the kernel, which finds many waiting, is held to segments of that size.
    """
    least, most = KERNEL_PACES
    if protocol == "tcp" and least <= rate <= most and spins_while_it_paces(program) and kernel_paces(rate):
        buffer = max(12 * 1024, int(rate / 8 * BUFFER_SECONDS))
        return ["-b", "0", "--fq-rate", str(rate), "-w", str(buffer), "-M", str(length + TIMESTAMPS)]
    return ["-b", str(rate)]


class IperfRun:
    """One paced iperf3 client; its JSON becomes an event when it ends."""

    def __init__(self, loop, spec, duration_s):
        self.loop = loop
        self.name = spec["name"]
        self.process: Any = None
        self.output = {}
        program = shutil.which("iperf3")
        if program is None:
            loop.event("cannot", what=f"iperf3 stream {self.name}", why="the image has no program iperf3")
            return
        command = [
            program, "-c", spec["address"], "-p", str(spec["port"]), "-t", str(max(1, int(duration_s))), "-i", "0.1",
            "-l", str(spec["length"]), "-J", "--connect-timeout", "3000",
        ]  # fmt: skip
        command += pace(program, spec["protocol"], spec["bits_per_second"], spec["length"])
        command += ["-u"] if spec["protocol"] == "udp" else []
        command += ["-R"] if spec.get("reverse", True) else []
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(os.environ, LC_ALL="C"),
        )
        loop.event("iperf_started", name=self.name, command=" ".join(command))
        for pipe in (self.process.stdout, self.process.stderr):
            os.set_blocking(pipe.fileno(), False)
            self.output[pipe.fileno()] = bytearray()
            loop.watch(pipe.fileno(), self._reader(pipe), select.EPOLLIN)

    def _reader(self, pipe):
        def readable(_mask):
            data = pipe.read(65536)
            if data:
                room = OUTPUT_LIMIT - len(self.output[pipe.fileno()])
                self.output[pipe.fileno()] += data[:room]
            elif data == b"":
                self.loop.unwatch(pipe.fileno())

        return readable

    def stop(self):
        """Asks iperf3 to end; with INT it still prints what it has measured."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)

    def finish(self):
        """Waits shortly and reports."""
        if self.process is None:
            return
        self.stop()
        try:
            rest = self.process.communicate(timeout=3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            rest = self.process.communicate()
        streams = list(self.output.values())
        for have, more in zip(streams, rest):  # noqa: B905  (strict= is of Python 3.10)
            have += more or b""
        text = streams[0].decode("utf-8", "replace")
        try:
            document = json.loads(text[text.index("{") :])
        except ValueError:
            document = None
        self.loop.event(
            "iperf",
            name=self.name,
            exit_code=self.process.returncode,
            document=document,
            stderr=streams[1].decode("utf-8", "replace")[-2000:],
        )
