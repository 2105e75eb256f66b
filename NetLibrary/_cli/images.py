"""`netlibrary images`: which images the suites need, and archives of them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary._mechanics.images import IMAGES, Image, rows
from NetLibrary._mechanics.report import text_table

BUILDERS = ("podman", "docker", "nerdctl", "skopeo")


def _registry(context: click.Context, parameter: click.Parameter, value: str) -> str:
    from NetLibrary._mechanics.kube.pods import registry_of

    try:
        return registry_of(value, "--registry")
    except NetLibraryError as error:
        raise click.BadParameter(str(error)) from error


_REGISTRY = click.option(
    "--registry",
    default="",
    callback=_registry,
    help="Show the names that images have with this value of the variable REGISTRY.",
)
_SUITE = click.option("--suite", default="", help="Only the images of one suite, for instance e2sar.")


@click.group()
def images() -> None:
    """Shows which images the suites need, and makes archives of them."""


@images.command(name="list")
@_REGISTRY
@_SUITE
@click.option("--plain", is_flag=True, help="References only, one per line, for scripts that mirror them.")
def list_images(registry: str, suite: str, plain: bool) -> None:
    """Lists every image with the variable that names another one."""
    _chosen(suite)
    table = rows(registry, suite)
    if plain:
        click.echo("\n".join(row[0] for row in table))
    else:
        click.echo(text_table(["Image", "Variable", "Suites", "Needs", "From"], table))


@images.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@_REGISTRY
@_SUITE
@click.option(
    "--with", "program", type=click.Choice(BUILDERS), default=None,
    help="Program that copies published images. Without it, equivalents are assembled where the lab knows how.",
)  # fmt: skip
def export(folder: Path, registry: str, suite: str, program: str | None) -> None:
    """Writes archives of the images into a folder, for a registry without a way to others.

    Each archive is one that `docker load`, `ctr images import` and `skopeo copy docker-archive:FILE` read; images.json
    has their names and ids. Ends with status 1 when an image could not be had.
    """
    _write(_chosen(suite), registry, folder, program or "")


@images.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@_REGISTRY
@_SUITE
def build(folder: Path, registry: str, suite: str) -> None:
    """Builds the images that nobody publishes, from programs of this machine, as archives in a folder.

    No registry and no builder is needed. containers/probe has a Containerfile for those who would rather build it with
    theirs.
    """
    _write([image for image in _chosen(suite) if image.origin != "public"], registry, folder, "")


def _chosen(suite: str) -> list[Image]:
    found = [image for image in IMAGES if not suite or suite in image.suites]
    if not found:
        known = ", ".join(sorted({name for image in IMAGES for name in image.suites}))
        raise click.UsageError(f"suite is '{suite}'; suites with images: {known}.")
    return found


def _write(chosen: list[Image], registry: str, folder: Path, program: str) -> None:
    from NetLibrary.lab.export import export as export_images

    try:
        done = export_images(chosen, registry, folder, lambda line: click.echo(line, err=True), program)
    except NetLibraryError as error:
        raise click.ClickException(str(error)) from error
    table = [[each.reference, each.archive or "-", each.id[:19] or "-", each.origin] for each in done]
    click.echo(text_table(["Image", "Archive", "Id", "From"], table))
    sys.exit(0 if all(each.archive for each in done) else 1)
