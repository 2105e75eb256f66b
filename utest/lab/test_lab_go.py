"""Runs the tests of the lab's own Go code, where its modules are at hand."""

import subprocess

import pytest

from NetLibrary.lab import build


# Compiles client-go for the test binary: two minutes where no build cache is warm
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_go_tests_pass():
    go = build.find_go()
    if go is None or build.built() is None:
        pytest.skip("no Go here, or the lab's programs were never built here: the modules would have to be fetched")
    words = [go.program, "test", "./loadbalancer", "./netpol"]
    done = subprocess.run(
        words, cwd=build.SOURCES, env=build._environment(go), capture_output=True, text=True, timeout=590
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
