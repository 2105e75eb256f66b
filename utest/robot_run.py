"""Runs suites inside a test, and reads what they left."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from robot.api import ExecutionResult, TestSuite


class Run:
    """A run of a suite given as text, against one kubeconfig."""

    def __init__(self, folder: Path, kubeconfig: Path | str, text: str, **options: Any) -> None:
        self.folder = folder / "out"
        self.output = self.folder / "output.xml"
        suite = TestSuite.from_string(f"*** Settings ***\nLibrary    NetLibrary    timeout=10s\n{text.strip()}\n")
        suite.name = "Suite"
        variables = [f"KUBECONFIG:{kubeconfig}"] if kubeconfig else []
        suite.run(
            outputdir=str(self.folder), output=str(self.output), log=None, report=None, console="none",
            variable=[*variables, *options.pop("variable", [])], **options,
        )  # fmt: skip
        self.result = ExecutionResult(str(self.output))
        self.tests = {test.name: test for test in self.result.suite.all_tests}

    @property
    def text(self) -> str:
        """Everything that the run wrote to output.xml."""
        return self.output.read_text()

    @property
    def messages(self) -> list[str]:
        """All log messages in their order."""
        return [msg.text or "" for msg in ElementTree.parse(self.output).iter("msg")]

    @property
    def errors(self) -> list[str]:
        """The execution errors."""
        return [message.message for message in self.result.errors]

    def message(self, pattern: str) -> str:
        """Returns the first log message that fits."""
        return next((text for text in self.messages if re.search(pattern, text)), "")
