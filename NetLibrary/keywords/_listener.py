"""What the library does by itself at the borders of suites and tests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from robot.api import logger

from NetLibrary._mechanics import secrets
from NetLibrary._mechanics.errors import NetLibraryError, Unreachable
from NetLibrary.keywords import _robot
from NetLibrary.keywords._variables import keep_contract, with_misspelt_names

if TYPE_CHECKING:
    from NetLibrary.keywords._session import Session

# A run of a hundred failing rows must not spend its time on evidence.
EVIDENCE_SECONDS = 10.0
# Nor may each of them wait for a cluster that does not answer.
SILENCE_SECONDS = 60.0


class ListenerMixin:
    """Listener methods of the library (API version 3); Robot calls them because of `listener="SELF"`."""

    # Before other listeners, which send messages to servers for reports: they get them without secrets
    ROBOT_LISTENER_PRIORITY = 1_000_000

    session: Session

    def __init__(self) -> None:
        self._depth: list[tuple[str, float]] = []
        self._silent_until: dict[int, float] = {}
        self._told = ""  # the failure of a setup whose evidence is in the log already

    def _start_suite(self, data: Any, result: Any) -> None:
        self.session.steps, self.session.began = {}, time.monotonic()
        self.session.lacking = []
        keep_contract(data, self)
        _robot.hide_in_debug_file()
        _robot.keep_signals_out_of_listeners()

    def _start_test(self, data: Any, result: Any) -> None:
        self.session.steps, self.session.began = {}, time.monotonic()
        self.session.headlines.clear()
        self._depth = []
        lacking = [f"{right} ({right.role})" for right in self.session.lacking if right.is_for(data.name)]
        if lacking:
            data.setup = data.teardown = None
            data.body.clear()
            text = f"Skipped: the account lacks {'; '.join(lacking)}."
            data.body.create_keyword("BuiltIn.Skip", args=[text.replace("$", "\\$")])

    def _log_message(self, message: Any) -> None:
        # Listeners get messages, results and errors before they are written
        hidden = secrets.hide(message.message, "&lt;secret&gt;" if message.html else secrets.MARK)
        if hidden != message.message:
            message.message = hidden
        _robot.line_was_left(message.level)

    _message = _log_message

    def _end_library_keyword(self, data: Any, implementation: Any, result: Any) -> None:
        _hide_in(result)

    def _end_body_item(self, data: Any, result: Any) -> None:
        _hide_in(result)

    def _end_suite(self, data: Any, result: Any) -> None:
        self.session.end_scope(str(data.full_name))
        _hide_words(result)

    def _start_user_keyword(self, data: Any, implementation: Any, result: Any) -> None:
        self._depth.append((str(result.name), time.monotonic()))

    def _end_user_keyword(self, data: Any, implementation: Any, result: Any) -> None:
        _hide_in(result)
        if not self._depth:
            return
        name, start = self._depth.pop()
        # The scenario is the first level (or the template), its steps are the second
        if len(self._depth) == 1:
            steps = self.session.steps
            steps[name] = round(steps.get(name, 0.0) + time.monotonic() - start, 3)

    def _end_test(self, data: Any, result: Any) -> None:
        _hide_words(result)
        if result.failed:  # also by keywords of other libraries
            result.message = self.session.with_absences(result.message)
        if result.failed or result.skipped:
            result.message = with_misspelt_names(result.message)
        self.session.end_scope(str(data.parent.full_name), str(data.name))
        for callback in self.session.at_test_end:
            callback()
        for headline in self.session.headlines:
            _robot.log_html(headline)
        self.session.headlines.clear()
        if self.session.steps and _robot.running():
            total = sum(self.session.steps.values())
            rows = [[name, f"{seconds:.2f}"] for name, seconds in self.session.steps.items()]
            _robot.log_table(["Step", "Seconds"], [*rows, ["all steps", f"{total:.2f}"]], "Where the time went")
        # When a suite's setup failed, all of its tests do, for the one reason
        cause = result.message if result.message.startswith("Parent suite setup failed") else ""
        if result.failed and not (cause and cause == self._told):
            self._collect_evidence(result.message)
        self._told = cause

    def _collect_evidence(self, failure: str) -> None:
        import html

        from NetLibrary._mechanics.kube.evidence import collect

        for cluster in {id(c): c for c in self.session.clusters.values()}.values():
            if time.monotonic() < self._silent_until.get(id(cluster), 0.0):
                continue
            try:
                texts = collect(cluster, EVIDENCE_SECONDS, failure)
            except NetLibraryError as error:
                if isinstance(error, Unreachable):
                    self._silent_until[id(cluster)] = time.monotonic() + SILENCE_SECONDS
                logger.info(f"No evidence from cluster '{cluster.alias}': {error}")
                continue
            for title, text in texts:
                summary = f"<summary>Evidence: {html.escape(title)}</summary>"
                _robot.log_html(f"<details>{summary}<pre>{html.escape(text)}</pre></details>")

    def _close(self) -> None:
        self.session.close()


def _hide_in(result: Any) -> None:
    """Hides secrets in the message of a test, a suite or a step; failures of other libraries may quote them."""
    message = getattr(result, "message", "")
    if message and secrets.hide(message) != message:
        result.message = secrets.hide(message)
    if getattr(result, "type", "") == "ITERATION":  # a loop's variables are written with their values
        _hide_values(getattr(result, "assign", None))


def _hide_words(result: Any) -> None:
    """Hides secrets in what a test or a suite was given as documentation, tags or metadata while it ran."""
    _hide_in(result)
    if secrets.hide(result.doc) != result.doc:
        result.doc = secrets.hide(result.doc)
    _hide_values(getattr(result, "metadata", None))
    tags = [tag for tag in getattr(result, "tags", ()) if secrets.hide(tag) != tag]
    if tags:
        result.tags.remove(tags)
        result.tags.add([secrets.hide(tag) for tag in tags])


def _hide_values(named: Any) -> None:
    if isinstance(named, Mapping):
        for name, value in named.items():
            if secrets.hide(str(value)) != str(value):
                named[name] = secrets.hide(str(value))  # type: ignore[index]
