"""Options that every command with a cluster takes, and what they lead to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary._mechanics.kube import Choice, Cluster, choose


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--kubeconfig`, `--context` and `--cluster`, which mean what the variables of suites mean."""
    for option in (
        click.option("--cluster", metavar="lab[:NAME]", default=None, help="The lab on this machine."),
        click.option("--context", default=None, help="Context of the kubeconfig; its current one by default."),
        click.option("--kubeconfig", default=None, help="Path of the kubeconfig file."),
    ):
        command = option(command)
    return command


def connect(kubeconfig: str | None, context: str | None, cluster: str | None) -> Cluster:
    """Connects to the cluster that the options name, never starting a lab.

    Raises:
        click.ClickException: Nothing answers there.
    """
    try:
        choice = choose(kubeconfig, context=context, force=cluster)
        if choice.source == "lab":
            from NetLibrary.lab import Lab

            file = Path(Lab(choice.lab).kubeconfig)
            if not file.is_file():
                raise click.ClickException(f"The lab '{choice.lab}' does not run, and not a kubeconfig is named.")
            choice = Choice("kubeconfig", choice.reason, (file,), lab=choice.lab)
        connected = Cluster.connect(choice)
    except NetLibraryError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Cluster {connected.address}, Kubernetes {connected.version} ({choice.reason})")
    return connected
