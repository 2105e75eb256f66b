"""Runs suites with variables set on the command line, and looks at what came of them: pods, Services, records, log."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from everything import differences, everything
from robot.api import logger
from robot.libraries.BuiltIn import BuiltIn
from running import ROOT, STAND_INS, lab_of_run, output_folder, tests_of

from NetLibrary._mechanics.errors import Unreachable
from NetLibrary._mechanics.kube import jsonpath
from NetLibrary.lab import Lab

KINDS = ("Pod", "Service", "Deployment", "Job", "Namespace")
LIMIT_SECONDS = 600
SILENCE_SECONDS = 85  # a run counts as alive for 80 s after its last sign of life


class variables:  # noqa: N801 - Robot looks for a class of the module's name
    """Keywords of the suite about variables."""

    ROBOT_LIBRARY_SCOPE = "TEST"

    def __init__(self) -> None:
        self._tests: list[Any] = []
        self._records: list[Any] = []
        self._seen: dict[str, dict[str, Any]] = {}
        self._log = self._stayed = ""
        self._before: dict[str, Any] = {}
        self._echo: subprocess.Popen[bytes] | None = None

    @property
    def _lab(self) -> Lab:
        return lab_of_run("Suites are run with stand-ins and rows that disturb; that is for a lab.")

    def run_suite_with(self, suite: str, *words: str, status: str = "PASS") -> Path:
        """Runs rows of a suite: `NAME:value` sets a variable, `-t` and the like are options of robot.

        Fails unless its rows have the status, at least one of them with PASS in any case when rows may be skipped.
        Returns the folder with the results.
        """
        if suite in STAND_INS:
            self._lab.install(STAND_INS[suite])
        if not self._stayed:
            self._before = everything(self._lab)
        folder = output_folder("variables", f"{suite}-{time.time_ns() % 10**6}")
        options = [part for word in words for part in (("-v", word) if re.match(r"[A-Z0-9_]+:", word) else (word,))]
        command = [sys.executable, "-m", "robot", "-d", str(folder), "-L", "TRACE"]
        command += ["-v", f"CLUSTER:lab:{self._lab.name}", *options, f"suites/{suite}.robot"]
        with _Watch(BuiltIn().get_library_instance("NetLibrary").session.cluster()) as watch:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        logger.info(f"{' '.join(command[1:])}\n{done.stdout}")
        if not (folder / "output.xml").exists():
            raise AssertionError(f"{suite} did not run: {(done.stdout + done.stderr)[-1000:]}")
        self._seen = watch.seen
        self._stayed = done.stdout.partition("SKIP_TEARDOWN is on, so this stays in cluster")[2] or self._stayed
        self._tests = tests_of(folder)
        self._log = (folder / "output.xml").read_text()
        lines = folder / "measurements.jsonl"
        self._records = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
        wrong = [f"{test.name}: {test.status}: {test.message}" for test in self._tests if test.status != status]
        if wrong or not self._tests:
            raise AssertionError("\n".join(wrong) or f"No row of {suite} ran.")
        return folder

    def objects_should_have(self, kind: str, name: str, path: str, value: str) -> None:
        """Each object of the run whose name fits a pattern has a value at a path, or one that fits it as a pattern."""
        fitting = {each: obj for each, obj in self._seen[kind].items() if re.search(name, each)}
        if not fitting:
            raise AssertionError(f"No {kind} has a name like '{name}'; there were {', '.join(self._seen[kind])}.")
        for each, obj in fitting.items():
            found = jsonpath.values(obj, path)
            if not any(value == str(one) or re.fullmatch(value, str(one)) for one in found):
                raise AssertionError(f"{path} of {kind} '{each}' is {found}, not {value}.")

    def number_of_objects_should_be(self, kind: str, name: str, count: int) -> None:
        """So many objects of the run have a name that fits a pattern."""
        fitting = [each for each in self._seen[kind] if re.search(name, each)]
        if len(fitting) != count:
            raise AssertionError(f"{len(fitting)} {kind} objects are named like '{name}': {', '.join(fitting)}.")

    def records_should_have(self, kind: str, path: str, value: str) -> None:
        """Each record of a kind has a value at a path, and there is one."""
        found = [jsonpath.values(record, path) for record in self._records if record["kind"] == kind]
        if not found or any(value not in [str(one) for one in each] for each in found):
            kinds = sorted({record["kind"] for record in self._records})
            raise AssertionError(f"{path} of '{kind}' records is {found}, not {value}; there are {', '.join(kinds)}.")

    def number_of_records_should_be(self, kind: str, count: int) -> None:
        """So many records of a kind were written."""
        found = [record["name"] for record in self._records if record["kind"] == kind]
        if len(found) != count:
            raise AssertionError(f"{len(found)} records of '{kind}': {found}")

    def log_should_say(self, *patterns: str) -> None:
        """Each pattern is found in the log, arguments of keywords included."""
        missing = [pattern for pattern in patterns if not re.search(pattern, self._log)]
        if missing:
            raise AssertionError(f"Not in the log: {missing}")

    def messages_should_say(self, pattern: str) -> None:
        """The message of each row has a pattern."""
        wrong = [f"{test.name}: {test.message}" for test in self._tests if not re.search(pattern, test.message)]
        if wrong:
            raise AssertionError("\n".join(wrong))

    def what_stayed_can_be_looked_at_and_removed(self, *patterns: str) -> None:
        """Runs each command that SKIP_TEARDOWN has printed, as it stands; then the cluster must be as before the run.

        The patterns must be in what the commands print that look at something.
        """
        text, self._stayed = self._stayed, ""
        if not text:
            raise AssertionError("Nothing was said to stay.")
        found = re.findall(r"^(?:  \S[^:]*: |To [^:]*: |  )((?:\S*kubectl|netlibrary) .+)$", text, re.MULTILINE)
        commands = list(dict.fromkeys(found))
        removing = [each for each in commands if " delete " in each or " sweep " in each]
        looking = [each for each in commands if each not in removing]
        assert looking, f"no command to look at something in: {text[:2000]}"
        assert removing, f"no command to remove something in: {text[:2000]}"
        shown = "".join(self._run(each) for each in looking)
        missing = [pattern for pattern in patterns if not re.search(pattern, shown)]
        assert not missing, f"{missing} is in nothing of what the commands showed:\n{shown}"
        for each in removing:
            if "gave a sign of life" in self._run(each):
                time.sleep(SILENCE_SECONDS)
                self._run(each)
        wrong = differences(self._before, everything(self._lab))
        assert not wrong, "after the commands: " + "\n".join(wrong)

    def _run(self, command: str) -> str:
        programs = (Path(sys.executable).parent, self._lab.kubectl_program.parent)
        path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
        environment = {**os.environ, "PATH": path, "KUBECONFIG": str(self._lab.kubeconfig)}
        done = subprocess.run(
            ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180
        )
        logger.info(f"$ {command}\n{done.stdout}{done.stderr}")
        if done.returncode:
            raise AssertionError(f"'{command}' ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def copy_of(self, folder: str, **changes: str) -> Path:
        """Copies a folder or file of the repository below the results; `old=new` pairs change its texts."""
        target = output_folder("variables", f"copy-{Path(folder).stem}-{time.time_ns() % 10**6}")
        source = ROOT / folder
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            target.mkdir(parents=True)
            shutil.copy(source, target)
        missing = set(changes)
        for path in target.rglob("*.yaml"):
            text = path.read_text()
            for old, new in changes.items():
                missing -= {old} if old in text else set()
                text = text.replace(old, new)
            path.write_text(text)
        assert not missing, f"{folder} has nothing of {missing}"
        return target if source.is_dir() else target / source.name

    def load_images_under_another_name(self, suite: str, registry: str) -> None:
        """Loads the lab's images of a suite under the names that they would have in a registry."""
        folder = output_folder("images", suite)
        words = [sys.executable, "-m", "NetLibrary.cli", "images", "export", str(folder), "--suite", suite]
        # Its status is 1 where one of them is not here, such as the real program beside its stand-in
        subprocess.run([*words, "--registry", registry], cwd=ROOT, capture_output=True, text=True, timeout=300)
        made = [each for each in json.loads((folder / "images.json").read_text()) if each["archive"]]
        self._lab.load([folder / each["archive"] for each in made])
        logger.info(f"loaded: {', '.join(each['reference'] for each in made)}")
        shutil.rmtree(folder)

    def stand_ins_are_installed(self, topic: str) -> None:
        """Loads the images of a topic's stand-ins."""
        self._lab.install(topic)

    def kubectl(self, *words: str) -> str:
        """Runs the lab's kubectl."""
        return str(self._lab.kubectl(*words))

    def run_commands_of_page(self, page: str, *beginnings: str, **changes: str) -> str:
        """Runs the commands that stand as code in a page of the documentation, in their order, as a user would.

        Args:
            page: Name of the page.
            beginnings: How the commands begin; for each there must be at least one.
            changes: Texts of the commands, and what stands for them in a lab.
        Returns:
            What they printed.
        """
        text = (ROOT / "docs" / f"{page}.md").read_text()
        code = [a or b for a, b in re.findall(r"`((?:kubectl|sed) [^`]+)`|^    (kubectl .+?)(?: {4,}.*)?$", text, re.M)]
        chosen = list(dict.fromkeys(each for each in code if each.startswith(beginnings)))
        missing = [each for each in beginnings if not any(command.startswith(each) for command in chosen)]
        assert not missing, f"{page}.md has no command that begins with {missing}"
        printed = ""
        for command in chosen:
            for old, new in changes.items():
                command = command.replace(old, new)
            printed += self._run(command)
        return printed

    def start_echo_outside(self) -> tuple[str, int]:
        """Starts `netlibrary echo` where the lab has its place outside, and returns its address and port."""
        outside, port = self._lab.outside, random.randint(31000, 32000)
        inside = ["nsenter", f"--net=/run/netns/{outside.netns}"]
        words = [*inside, sys.executable, "-m", "NetLibrary.cli", "echo", "--port", str(port)]
        self._echo = subprocess.Popen([*words, "--iperf-port", str(port + 1)], cwd=ROOT, stdout=subprocess.DEVNULL)
        asked = [*inside, "curl", "-sf", "--retry", "40", "--retry-connrefused", "--retry-delay", "1"]
        subprocess.run([*asked, f"http://127.0.0.1:{port}/netlibrary"], check=True, timeout=60, capture_output=True)
        return str(outside.address), port

    def stop_echo_outside(self) -> None:
        """Ends the server outside, where one was started."""
        if self._echo is not None:
            self._echo.terminate()
            self._echo.wait(20)

    def path_of_kubeconfig(self) -> str:
        """Returns the lab's kubeconfig."""
        return os.fspath(self._lab.kubeconfig)


class _Watch:
    """What runs create meanwhile: kind → namespace/name → object as it was seen last."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        # Pods of a Deployment have no label of the run
        self._before = {obj["metadata"]["uid"] for kind in KINDS for obj in cluster.list(kind)}
        self.seen: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._once()

    def _look(self) -> None:
        while not self._end.wait(0.5):
            with suppress(Unreachable):  # a busy machine: the next look will see it
                self._once()

    def _once(self) -> None:
        for kind in KINDS:
            for obj in self._cluster.list(kind):
                metadata = obj["metadata"]
                name = "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
                ended = "deletionTimestamp" in metadata and name in self.seen[kind]
                if not ended and metadata["uid"] not in self._before and metadata.get("namespace") != "kube-system":
                    self.seen[kind][name] = obj
