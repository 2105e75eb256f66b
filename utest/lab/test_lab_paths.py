"""Locks: they exclude, end with their holder, and leave no file."""

import subprocess
import sys
import threading
import time

import pytest

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary.lab.paths import Paths, lock


def test_lock_excludes_and_leaves_nothing(tmp_path):
    path, order = tmp_path / "labs" / "x.lock", []

    def work(name):
        with lock(path):
            order.append(f"{name} in")
            time.sleep(0.02)
            order.append(f"{name} out")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(order) == 16
    assert all(order[i].split()[0] == order[i + 1].split()[0] for i in range(0, 16, 2))
    assert not path.parent.exists()


def test_lock_of_a_killed_holder_is_free(tmp_path):
    path = tmp_path / "x.lock"
    code = (
        "import sys, time, pathlib; from NetLibrary.lab.paths import lock\n"
        "with lock(pathlib.Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(EnvironmentProblem, match=r"still locked after 0\.2 s"), lock(path, wait=0.2, waiting="lab x"):
        pass
    holder.kill()
    holder.wait()
    with lock(path, wait=2):
        assert path.exists()
    assert not path.exists()


def test_waiting_is_told_once(tmp_path):
    told = []
    second = lock(tmp_path / "x", wait=0.3, waiting="somebody builds", tell=told.append)
    with lock(tmp_path / "x"), pytest.raises(EnvironmentProblem), second:
        pass
    assert told == ["waiting: somebody builds"]


def test_removing_the_last_lab_removes_the_folder_of_all(tmp_path):
    one, other = Paths(tmp_path / "labs" / "a"), Paths(tmp_path / "labs" / "b")
    for paths in (one, other):
        paths.base.mkdir(parents=True)
        paths.state.write_text("{}")
    one.remove()
    assert other.state.exists()
    other.remove()
    assert not (tmp_path / "labs").exists()
