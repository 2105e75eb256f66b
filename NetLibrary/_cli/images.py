"""`netlibrary images`: which images the suites need."""

from __future__ import annotations

import click

from NetLibrary._mechanics.images import rows
from NetLibrary._mechanics.report import text_table


@click.group()
def images() -> None:
    """Shows which images the suites need."""


@images.command(name="list")
@click.option("--registry", default="", help="Show them as the variable REGISTRY of this value has them.")
@click.option("--suite", default="", help="Only those of one suite, for instance e2sar.")
@click.option("--plain", is_flag=True, help="References only, one a line, for scripts that mirror them.")
def list_images(registry: str, suite: str, plain: bool) -> None:
    """Lists every image with the variable that names another one."""
    table = rows(registry.rstrip("/"), suite)
    if plain:
        click.echo("\n".join(row[0] for row in table))
    else:
        click.echo(text_table(["Image", "Variable", "Suites", "Needs", "From"], table))
