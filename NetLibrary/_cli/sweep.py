"""`netlibrary sweep`: removes what killed runs left in a cluster."""

from __future__ import annotations

import click

from NetLibrary._cli.connecting import cluster_options, connect
from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary.types import durations


@click.command()
@cluster_options
@click.option("--dry-run", is_flag=True, help="Only list, change nothing.")
@click.option(
    "--older-than", default="1h", show_default=True, help="Minimum time without a sign of life; at least 80 s."
)
@click.option("--run", default="", metavar="ID", help="Only what the run with this ID left behind.")
@click.option("--namespace", default=None, help="The only namespace to sweep, for an account without rights elsewhere.")
def sweep(
    kubeconfig: str | None, context: str | None, cluster: str | None, dry_run: bool, older_than: str, run: str,
    namespace: str | None,
) -> None:  # fmt: skip
    """Removes what killed runs left in a cluster: namespaces, other objects, and changes on nodes.

    Only what a run created is removed, and only what a run changed is put back. Runs that live are left alone.
    """
    from NetLibrary._mechanics.kube.sweep import LEAST_AGE
    from NetLibrary._mechanics.kube.sweep import sweep as swept_in

    try:
        seconds = durations.parse(older_than, "--older-than").total_seconds()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--older-than") from error
    if seconds < LEAST_AGE:
        text = (
            f"'{older_than}' is {seconds:g} s; allowed: {LEAST_AGE:g} s and more, since live runs show a sign of "
            "life only now and then."
        )
        raise click.BadParameter(text, param_hint="--older-than")
    try:
        swept = swept_in(
            connect(kubeconfig, context, cluster), older_than=seconds, run=run, dry_run=dry_run, namespace=namespace,
            say=click.echo,
        )  # fmt: skip
    except NetLibraryError as error:
        raise click.ClickException(str(error)) from error
    for title, lines in (("Removed", swept.removed), ("Left", swept.left), ("Not checked", swept.unseen)):
        if lines:
            click.echo(("Would be removed" if dry_run and title == "Removed" else title) + ":")
            click.echo("\n".join(f"  {line}" for line in lines))
    if not (swept.removed or swept.left):
        where = "in what was looked at" if swept.unseen else "there"
        advice = " With --namespace it looks in one namespace." if swept.unseen and not namespace else ""
        click.echo(f"Nothing of any run is {where}.{advice}")
