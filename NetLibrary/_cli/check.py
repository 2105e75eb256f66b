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
@click.option("--namespace", default=None, help="The only namespace to work in; without it, suites create their own.")
def check(
    kubeconfig: str | None, context: str | None, cluster: str | None, suite: tuple[str, ...], namespace: str | None
) -> None:
    """Tells which rights the account lacks, and which file grants them. Makes nothing.

    Ends with status 1 when a suite cannot run.
    """
    from NetLibrary._mechanics.kube import rights

    hopeless = False
    try:
        wanted = {name: rights.needed(name, namespace) for name in suite or rights.suites()}
        connected = connect(kubeconfig, context, cluster)
        for name, those in wanted.items():
            lacking = rights.missing(connected, those)
            needed = [right for right in lacking if not right.optional]
            hopeless = hopeless or any(right.rows == "*" for right in needed)
            state = "can run" if not lacking else "can run in part" if not needed else "cannot run"
            if needed and not any(right.rows == "*" for right in needed):
                state = "can run without some rows"
            click.echo(f"{name}: {state}")
            if namespace and (about := rights.about_namespace(name)):
                click.echo(about)
            if lacking:
                click.echo(text_table(["Missing right", "Needed by", "Granted by"], rights.table(lacking)))
                cause = rights.likely_cause(name, namespace, lacking)
                click.echo(f"See manifests/access/{name}.yaml. {cause}".rstrip())
    except NetLibraryError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(1 if hopeless else 0)
