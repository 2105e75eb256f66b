"""Whatever a topic concludes, the record has the status of the keyword; deprecated names work and warn."""

from __future__ import annotations

import ast
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from robot.api import ExecutionResult
from robot.api import TestSuite as Suite
from robot.api.deco import library

from NetLibrary import NetLibrary
from NetLibrary._mechanics import records
from NetLibrary._mechanics.report import Table
from NetLibrary._mechanics.verdict import Check, Status, at_least, at_most, equal, verdict
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._conclude import conclude
from NetLibrary.keywords._session import Session

MET = at_least("throughput", 1e6, 2e6, "bit/s")
MISSED = at_most("lost", 1.0, 13.0, "%")


@library(scope="GLOBAL")
class Concluding(KeywordBase):
    """A topic in small."""

    def __init__(self) -> None:
        self.session = Session(timeout=1)

    @keyword()
    def conclude_with(self, checks: Any = (), errors: Any = (), skip: str = "") -> None:
        """Concludes."""
        conclude(
            self.session, kind="comparison", name="n", checks=checks, errors=errors, skip=skip, causes=["the cause"],
            tables=[Table(["a"], [["<b>"]], "the table")], metadata={"Fact": "1"}, console="one line",
        )  # fmt: skip

    @keyword()
    def record_a_failure_and_pass(self) -> None:
        """Does what no keyword may."""
        self.session.recorder.add(kind="comparison", name="n", verdict=verdict([MISSED]))

    @keyword("Wait Calmly", formerly=["Sit Still"], renamed={"duration": "timeout"})
    def wait_calmly(self, *, timeout: timedelta = timedelta(seconds=1), **labels: str) -> str:
        """Waits.

        It has a second paragraph.

        Args:
            timeout: How long.
            labels: Anything.
        Returns:
            What it got.
        """
        return f"{timeout.total_seconds():g} {labels}"


def run(tmp_path: Path, body: str) -> ExecutionResult:
    text = f"*** Settings ***\nLibrary    {__name__}.Concluding\n*** Test Cases ***\nT\n    {body}\n"
    suite = Suite.from_string(text)
    suite.name = "S"
    output = tmp_path / "output.xml"
    suite.run(outputdir=str(tmp_path), output=str(output), log=None, report=None, console="none")  # fmt: skip
    return ExecutionResult(str(output))


def last(tmp_path: Path) -> dict[str, Any]:
    record: dict[str, Any] = records.read(tmp_path / "measurements.jsonl")[-1]
    jsonschema.Draft202012Validator(records.schema()).validate(record)
    return record


CHECKS = {
    "met": "[NetLibrary._mechanics.verdict.at_least('throughput', 1e6, 2e6, 'bit/s')]",
    "missed": "[NetLibrary._mechanics.verdict.at_most('lost', 1.0, 13.0, '%')]",
}


@pytest.mark.parametrize(
    ("arguments", "status", "recorded", "message"),
    [
        (f"checks=${{{{ {CHECKS['met']} }}}}", "PASS", "passed", ""),
        (f"checks=${{{{ {CHECKS['missed']} }}}}", "FAIL", "failed", "lost at most 1 %: seen 13 %.\nthe cause"),
        (
            f"checks=${{{{ {CHECKS['met']} }}}}    errors=${{{{ ['no server'] }}}}",
            "FAIL", "error", "'n' has no valid result: no server\nthe cause",
        ),
        (f"checks=${{{{ {CHECKS['missed']} }}}}    skip=no second node", "SKIP", "skipped", "no second node"),
        ("", "PASS", "not judged", ""),
    ],
)  # fmt: skip
def test_the_record_has_the_status_of_the_keyword(
    tmp_path: Path, arguments: str, status: str, recorded: str, message: str
) -> None:
    test = run(tmp_path, f"Conclude With    {arguments}").suite.tests[0]
    assert test.status == status
    assert test.message == message
    assert last(tmp_path)["verdict"]["status"] == recorded
    if hasattr(test, "metadata"):  # tests have it from Robot 7.5 on
        assert test.metadata == {"Fact": "1"}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (f"checks=${{{{ {CHECKS['met']} }}}}", "FAIL", "'n' passed. This is not recorded: "),
        (f"checks=${{{{ {CHECKS['missed']} }}}}", "FAIL", "lost at most 1 %: seen 13 %.\nthe cause\nThis is not rec"),
        ("errors=${{ ['no server'] }}", "FAIL", "'n' has no valid result: no server\nthe cause\nThis is not recorded"),
        ("skip=no second node", "SKIP", "no second node\nThis is not recorded: "),
    ],
)
def test_what_was_found_is_told_where_no_record_can_be_written(
    tmp_path: Path, arguments: str, status: str, message: str
) -> None:
    (tmp_path / "measurements.jsonl").mkdir()
    test = run(tmp_path, f"Conclude With    {arguments}").suite.tests[0]
    assert test.status == status
    assert test.message.startswith(message)
    assert test.message.endswith(f"'{tmp_path / 'measurements.jsonl'}' cannot be written: Is a directory.")


def test_checks_are_recorded_with_what_was_expected_and_seen(tmp_path: Path) -> None:
    run(tmp_path, f"Conclude With    checks=${{{{ {CHECKS['missed']} }}}}")
    record = last(tmp_path)
    assert record["checks"] == [
        {"rule": "lost at most", "expected": 1.0, "seen": 13.0, "unit": "%", "passed": False, "text": ""}
    ]
    assert record["causes"] == ["the cause"]
    assert json.dumps(record["verdict"]) == (
        '{"passed": false, "reasons": ["lost at most 1 %: seen 13 %."], "status": "failed"}'
    )


def test_what_was_not_measured_never_passes() -> None:
    for check in (at_least("x", 0, None), at_most("x", 99, None)):
        assert not check.passed
        assert "nothing was measured" in check.sentence
    assert verdict([MET, MISSED]).status is Status.FAILED
    assert verdict([MISSED], errors=["broken"]).passed is None
    assert equal("answers", 3, 3) == Check("answers", 3, 3, "", True)


def test_headlines_stand_once_and_a_comparison_before_what_it_compares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables and pictures stood twice in the log, and the verdict of a comparison far below three pictures."""
    session, logged = Session(timeout=1), list[str]()
    monkeypatch.setattr(_robot, "output_dir", lambda: tmp_path)
    monkeypatch.setattr(_robot, "log_html", logged.append)
    monkeypatch.setattr(_robot, "current_test", lambda: "T")
    for kind in ("throughput", "comparison"):
        conclude(session, kind=kind, name="n", tables=[Table(["a"], [["b"]], kind)])
    assert [word for html in session.headlines for word in ("throughput", "comparison") if word in html] == [
        "comparison",
        "throughput",
    ]
    assert not logged
    monkeypatch.setattr(_robot, "current_test", lambda: "")  # a suite's setup has no top level
    conclude(session, kind="throughput", name="n", tables=[Table(["a"], [["b"]], "in a setup")])
    assert ["in a setup" in html for html in logged] == [True]


def test_a_record_unlike_its_keywords_status_fails_an_acceptance_test(tmp_path: Path) -> None:
    """Acceptance tests run with this listener, so that every topic is held to it in each of its failures."""
    lines = [
        "*** Settings ***", f"Library    {__name__}.Concluding", "*** Test Cases ***", "Right",
        f"    Conclude With    checks=${{{{ {CHECKS['met']} }}}}",
        f"    Run Keyword And Expect Error    *    Conclude With    checks=${{{{ {CHECKS['missed']} }}}}",
        "    Run Keyword And Ignore Error    Conclude With    errors=${{ ['no server'] }}",
        "    Conclude With", "Wrong", "    Record A Failure And Pass", "Right Again", "    Conclude With",
    ]  # fmt: skip
    suite = Suite.from_string("\n".join(lines))
    output = tmp_path / "output.xml"
    listener = str(Path(__file__).parents[1] / "atest" / "recorded.py")
    suite.run(
        outputdir=str(tmp_path), output=str(output), log=None, report=None, console="none", listener=listener
    )  # fmt: skip
    assert {test.name: test.message for test in ExecutionResult(str(output)).suite.tests} == {
        "Right": "",
        "Wrong": "Record A Failure And Pass has status PASS and recorded 'n' as failed.",
        "Right Again": "",
    }


def test_an_old_keyword_name_works_and_warns(tmp_path: Path) -> None:
    result = run(tmp_path, "${got}    Sit Still    timeout=3s    a=b\n    Should Be Equal    ${got}    3 {'a': 'b'}")
    assert result.suite.tests[0].status == "PASS", result.suite.tests[0].message
    assert [m.message for m in result.errors] == [
        "Keyword 'test_conclusion.Concluding.Sit Still' is deprecated. Use [Wait Calmly] instead; this name goes with the next release."
    ]


def test_an_old_argument_name_works_is_converted_and_warns(tmp_path: Path) -> None:
    result = run(tmp_path, "${got}    Wait Calmly    duration=1 min\n    Should Be Equal    ${got}    60 {}")
    assert result.suite.tests[0].status == "PASS", result.suite.tests[0].message
    assert "'duration' is deprecated" in next(iter(result.errors)).message
    both = run(tmp_path, "Wait Calmly    duration=1 min    timeout=2s").suite.tests[0]
    assert both.message == "'duration' is the old name of 'timeout'; give only 'timeout'."
    assert "duration: Deprecated name of `timeout`." in (Concluding.wait_calmly.__doc__ or "")


KEYWORDS = Path(__file__).parents[1] / "NetLibrary" / "keywords"
SOURCES = sorted(path for path in KEYWORDS.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(KEYWORDS)))
def test_nothing_but_the_conclusion_writes_records(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    writing = [call for call in calls if ast.unparse(call.func).endswith("recorder.add")]
    assert not writing or path.name == "_conclude.py"


def test_no_two_keyword_classes_have_a_private_helper_of_one_name() -> None:
    """They share one `self`, so that the helper of one topic would take the place of another's."""
    homes: dict[str, set[str]] = {}
    for base in NetLibrary.__mro__:
        for name, member in vars(base).items():
            if name.startswith("_") and not name.startswith("__") and callable(member) and not _robots_own(name):
                homes.setdefault(name, set()).add(base.__name__)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def _robots_own(name: str) -> bool:
    return name.startswith(("_start_", "_end_")) and name.rsplit("_", 1)[1] in ("suite", "test", "keyword")
