"""Prints the manifests of the stand-in as YAML, for `kubectl apply --server-side -f -`."""

from __future__ import annotations

import argparse
import sys

import yaml

from .manifests import NAMESPACE, manifests


def main(arguments: list[str] | None = None) -> None:
    """Prints the manifests that the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m NetLibrary.standins.skupper", description=__doc__)
    parser.add_argument("--namespace", default=NAMESPACE, help="namespace of the controller (default: %(default)s)")
    parser.add_argument("--scope", choices=("cluster", "namespace"), default="cluster", help="default: %(default)s")
    parser.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="setting of the controller; can be repeated"
    )
    options = parser.parse_args(arguments)
    environment = {}
    for setting in options.env:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            parser.error(f"--env is '{setting}'; a setting is given as NAME=VALUE")
        environment[name] = value
    objects = manifests(namespace=options.namespace, scope=options.scope, environment=environment)
    yaml.safe_dump_all(objects, sys.stdout, sort_keys=False)


if __name__ == "__main__":
    main()
