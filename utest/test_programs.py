"""Programs of this machine, run at the vantage point outside and on the lab's nodes alike."""

from __future__ import annotations

import pytest

from NetLibrary._mechanics.errors import ToolMissing, WaitTimeout
from NetLibrary._mechanics.programs import Ran, run_here


def test_status_and_both_outputs_are_told_apart() -> None:
    found = run_here(["sh", "-c", "cat; echo no >&2; exit 3"], where="here", stdin="yes", timeout=10)
    assert found == Ran("yes", "no\n", 3)


def test_output_that_is_no_text_is_no_error() -> None:
    assert run_here(["printf", r"\377"], where="here", timeout=10).stdout == "�"


def test_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ToolMissing, match=r"^'no-such-program' is not on this machine\.$"):
        run_here(["no-such-program", "-x"], where="outside", timeout=10)


def test_program_that_does_not_end_is_named_with_its_place() -> None:
    with pytest.raises(WaitTimeout, match=r"^'sleep 9' on node1 did not end within 0\.1 s\.$"):
        run_here(["sleep", "9"], where="on node1", enter=["env"], timeout=0.1)
