"""`netlibrary check`: whether an account may do what suites need."""

from __future__ import annotations

import sys

import click

from NetLibrary._cli.connecting import cluster_options, connect
from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary._mechanics.report import text_table


@click.command()
@cluster_options
@click.option("--suite", multiple=True, help="Name of a suite; may be given several times; all by default.")
@click.option(
    "--namespace", "namespaces", multiple=True,
    help="An existing namespace to work in; several times for a suite that needs several. Without it, suites create "
    "their own.",
)  # fmt: skip
def check(
    kubeconfig: str | None, context: str | None, cluster: str | None, suite: tuple[str, ...],
    namespaces: tuple[str, ...],
) -> None:  # fmt: skip
    """Tells which rights the account lacks, and which file grants them. Makes nothing.

    Ends with status 1 when a suite cannot run.
    """
    from NetLibrary._mechanics.kube import rights

    hopeless = False
    try:
        names = suite or rights.suites()
        for name in names:
            rights.needed(name)  # a misspelt one is told before anybody is asked
        connected = connect(kubeconfig, context, cluster)
        for name in names:
            verdict = rights.judge(connected, name, namespaces)
            hopeless = hopeless or verdict.hopeless
            click.echo(f"{name}: {verdict.state}")
            if verdict.doubt:
                click.echo(verdict.doubt)  # alone: the rights that lack in a namespace of a wrong name tell nothing
                continue
            if verdict.about:
                click.echo(verdict.about)
            if verdict.lacking:
                click.echo(text_table(["Missing right", "Needed by", "Granted by"], rights.table(verdict.lacking)))
                click.echo(f"See manifests/access/{name}.yaml. {verdict.cause}".rstrip())
    except NetLibraryError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(1 if hopeless else 0)
