"""Processes are known by pid and start time, and never by name."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary.lab.processes import CommandFailed, Component, Identity, run, start_time


@pytest.fixture
def component(tmp_path):
    group = tmp_path / "group"
    group.mkdir()
    made = Component("program", tmp_path)
    made.define(["sleep", "60"], cgroup=group)
    yield made
    made.stop(kill=True)


def test_program_starts_in_its_control_group(component, tmp_path):
    component.start()
    joined, deadline = tmp_path / "group" / "cgroup.procs", time.monotonic() + 5
    while not (joined.exists() and joined.read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert joined.read_text().strip() == str(component.pid)
    assert component.alive()


def test_starting_twice_keeps_the_first(component):
    component.start()
    pid = component.pid
    component.start()
    assert component.pid == pid


def test_stopping_ends_it_and_stopping_again_does_nothing(component):
    component.start()
    component.stop()
    assert not component.alive()
    component.stop()


def test_real_time_policy_of_the_caller_is_not_handed_on(component, tmp_path):
    lines = [
        "import sys; from pathlib import Path; from NetLibrary.lab.processes import Component",
        f"component = Component({component.name!r}, Path({str(component.log.parent)!r}))",
        "component.start(); print(component.pid)",
    ]
    command = ["chrt", "--rr", "1", sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "failed to set" in done.stderr:
        pytest.skip("this user may not use real-time scheduling")
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 5
    while (policy := os.sched_getscheduler(int(done.stdout))) != os.SCHED_OTHER and time.monotonic() < deadline:
        time.sleep(0.01)  # the shell that starts the program gives the policy back on its way
    assert policy == os.SCHED_OTHER


def test_another_program_can_restart_it(component, tmp_path):
    component.start()
    before = component.pid
    Component("program", tmp_path).restart()
    assert component.pid not in (None, before)


def test_a_program_that_ignores_sigterm_is_killed(component, tmp_path):
    component.define(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"], cgroup=tmp_path / "group")
    component.start()
    while "ready" not in component.log.read_text():
        time.sleep(0.01)
    component.stop(timeout=0.2)
    assert not component.alive()


def test_a_paused_program_is_alive_and_can_be_stopped(component):
    component.start()
    component.pause()
    assert Path(f"/proc/{component.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    assert component.alive()
    component.stop()
    assert not component.alive()


def test_pausing_what_does_not_run_is_an_error(component):
    with pytest.raises(EnvironmentProblem, match="program is not running"):
        component.pause()


def test_pid_given_to_another_process_is_not_ours():
    other = subprocess.Popen(["sleep", "60"])
    try:
        stale = Identity(other.pid, (start_time(other.pid) or 0) - 1)
        assert not stale.alive()
        assert not stale.signal(9)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_zombie_is_not_alive():
    child = subprocess.Popen(["true"])
    identity = Identity(child.pid, start_time(child.pid) or 0)
    deadline = time.monotonic() + 5
    while identity.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not identity.alive()
    child.wait()


def test_program_that_ends_at_once_is_reported_with_its_log(tmp_path):
    group = tmp_path / "group"
    group.mkdir()
    made = Component("broken", tmp_path)
    made.define(["sh", "-c", "echo it is the disk >&2; exit 3"], cgroup=group)
    with contextlib.suppress(EnvironmentProblem):  # or it is gone a moment later
        made.start()
    deadline = time.monotonic() + 5
    while made.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not made.alive()
    assert "it is the disk" in made.tail()


def test_run_names_command_status_and_words():
    with pytest.raises(CommandFailed, match=r"'sh -c echo no >&2; exit 4' ended with status 4 and printed: no"):
        run("sh", "-c", "echo no >&2; exit 4")
    with pytest.raises(CommandFailed, match="'no-such-program' is not installed"):
        run("no-such-program")
    with pytest.raises(CommandFailed, match=r"did not end within 0\.1 s"):
        run("sleep", "5", timeout=0.1)


def test_identity_of_this_process():
    me = Identity.of(os.getpid())
    assert me is not None
    assert me.alive()
    assert Identity.of(2**22 + 1) is None
