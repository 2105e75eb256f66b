"""The command line: `netlibrary COMMAND`. Each command's module is imported when the command is called."""

from __future__ import annotations

import importlib
import platform
import sys
from importlib import metadata
from typing import Any

import click

from NetLibrary._version import __version__

# Name of a command → module and attribute of its click command, and the line for the overview, which imports nothing.
COMMANDS = {
    "lab": ("NetLibrary.cli:lab", "Starts, inspects and stops a Kubernetes cluster of several nodes on this machine."),
    "check": ("NetLibrary._cli.check:check", "Shows which rights that suites need the account lacks."),
    "echo": (
        "NetLibrary._cli.echo:echo",
        "Serves as the machine outside the cluster for outage measurements.",
    ),
    "images": ("NetLibrary._cli.images:images", "Lists, exports and builds the images that the suites need."),
    "sweep": ("NetLibrary._cli.sweep:sweep", "Removes what killed runs left in a cluster."),
    "version": ("NetLibrary.cli:version", "Prints the versions of the library and of the programs it works with."),
}
# What the version of a result may depend on.
OTHER_PACKAGES = ("robotframework", "kubernetes", "robotframework-kubelibrary", "robotframework-requests")


class _LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; no secret gets into what it says when it fails."""
        from NetLibrary._mechanics import secrets

        secrets.learn_environment()
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            if type(error) is not click.ClickException:
                raise  # about the use of the command
            raise click.ClickException(secrets.hide(error.message)) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="netlibrary")
def main() -> None:
    """Tools around NetLibrary, the Robot Framework library that proves a Kubernetes network end to end."""


@click.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(arguments: tuple[str, ...]) -> None:
    """Starts, inspects and stops a Kubernetes cluster of several nodes on this machine."""
    from NetLibrary.lab.cli import main as lab_main

    sys.exit(lab_main(list(arguments)))


@click.command()
def version() -> None:
    """Prints the versions of the library and of the programs it works with."""
    from NetLibrary.lab.build import kubernetes_version

    click.echo(f"netlibrary {__version__}")
    click.echo(f"Python {platform.python_version()}")
    for name in OTHER_PACKAGES:
        try:
            click.echo(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            click.echo(f"{name} is not installed")
    click.echo(f"Kubernetes of the lab {kubernetes_version()}")


if __name__ == "__main__":
    main()
