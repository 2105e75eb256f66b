"""The cluster that benchmarks run on: the one of a kubeconfig, else a lab, which starts where it does not run."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from NetLibrary._mechanics.kube import Cluster, choose
from NetLibrary.lab import Lab


def options(about: str) -> argparse.ArgumentParser:
    """Returns a parser of the options that say where."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lab", default="default", help="name of the lab, where no kubeconfig is given")
    parser.add_argument("--kubeconfig", help="file that names a cluster")
    return parser


@contextmanager
def connected(given: argparse.Namespace) -> Iterator[Cluster]:
    """Connects to the cluster of the options, under a run id of its own; a lab is in use until the end."""
    lab = None if given.kubeconfig else Lab(given.lab)
    use = lab.use() if lab else None
    try:
        path = str(lab.kubeconfig) if lab else given.kubeconfig
        cluster = Cluster.connect(choose(path), run_id=f"bench-{secrets.token_hex(3)}")
        cluster.lab = lab
        yield cluster
    finally:
        if use is not None:
            use.release()
