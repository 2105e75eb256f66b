"""iperf3 clients beside the probes."""

import json
import os
import select
import shutil
import signal
import subprocess
from typing import Any

OUTPUT_LIMIT = 16 * 1024 * 1024


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
            "-b", str(spec["bits_per_second"]), "-l", str(spec["length"]), "-J", "--connect-timeout", "3000",
        ]  # fmt: skip
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
