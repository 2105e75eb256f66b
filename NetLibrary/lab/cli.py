"""The lab's command line."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from pathlib import Path

from NetLibrary._mechanics.errors import InputError, NetLibraryError
from NetLibrary.lab import build, doctor, start, status, tools
from NetLibrary.lab.cluster import DEFAULT, NODES, Lab
from NetLibrary.lab.components import Options
from NetLibrary.lab.console import Stopwatch, say
from NetLibrary.lab.networks import LOAD_BALANCERS, NETWORKS
from NetLibrary.lab.plan import IP_FAMILIES


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m NetLibrary.lab", description="A real Kubernetes cluster of several nodes on this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--name", default=DEFAULT, help="name of the lab; labs of different names run side by side")
        return sub

    up = command("up", "Starts a lab and prints the path of its kubeconfig.")
    up.add_argument("--nodes", type=int, default=NODES, help="number of nodes (1 to 16)")
    up.add_argument(
        "--network",
        choices=NETWORKS,
        default="bridge",
        help="network that connects the pods; none: you install one yourself",
    )
    up.add_argument(
        "--proxy",
        "--proxy-mode",
        dest="proxy",
        choices=["iptables", "nftables", "none"],
        default="iptables",
        help="how kube-proxy programs Services; none: without kube-proxy",
    )
    up.add_argument(
        "--load-balancer", choices=LOAD_BALANCERS, default="own", help="what serves Services of type LoadBalancer"
    )
    up.add_argument("--no-load-balancer", action="store_true", help="short for --load-balancer none")
    up.add_argument("--mtu", type=int, default=1500, help="largest packet on the links of the lab")
    up.add_argument(
        "--ip-family", choices=list(IP_FAMILIES), default="ipv4", help="addresses of nodes, pods and Services"
    )
    up.add_argument("--cluster-domain", default="cluster.local", help="domain of Service names")
    up.add_argument(
        "--host-names",
        default="node",
        metavar="PREFIX",
        help="prefix of the nodes' host names, followed by their number",
    )
    up.add_argument("--node-ports", default="", metavar="FIRST-LAST", help="ports that Services of type NodePort get")
    up.add_argument(
        "--pod-security", choices=["", "baseline", "restricted"], default="", help="level that namespaces enforce"
    )
    up.add_argument("--admission", type=Path, metavar="FILE", help="AdmissionConfiguration of the API server")
    _release_argument(up)
    command("down", "Stops a lab and removes all of it.")
    state = command("status", "Shows what is running, with nodes, versions and images.")
    state.add_argument("--json", action="store_true", help="for programs")
    command("doctor", "Checks whether this machine can run a lab, and finds leftovers of dead labs.")
    load = command("load", "Imports image archives on every node.")
    load.add_argument("archives", nargs="+", type=Path, metavar="FILE", help="made by docker save, or an OCI layout")
    install = command("install", "Loads stand-ins for programs that cannot be had.")
    install.add_argument("topic", help="for instance skupper")
    shell = command("shell", "Opens a shell with KUBECONFIG set and kubectl on PATH, on a node if one is given.")
    shell.add_argument("node", nargs="?", help="for instance node2: the shell runs in the node's namespaces")
    command("kubeconfig", "Prints the path of the kubeconfig.")
    making = command("build", "Builds the lab's programs and images without starting anything.")
    _release_argument(making)
    programs = command("programs", "Installs the distribution's programs that a lab needs.")
    programs.add_argument(
        "--if-possible", action="store_true", help="without root or apt-get, only show what is missing"
    )
    return parser


def _release_argument(command: argparse.ArgumentParser) -> None:
    known = ", ".join(sorted(build.releases()))
    text = f"minor version of Kubernetes: {known}; built when it is first requested"
    command.add_argument("--kubernetes", default="", metavar="MINOR", help=text)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the status of the process."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    try:
        return _run(options)
    except NetLibraryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _run(options: argparse.Namespace) -> int:
    lab = Lab(options.name)
    if options.command == "up":
        lab.up(options.nodes, _options(options))
        print(lab.kubeconfig)
    elif options.command == "down":
        lab.down()
    elif options.command == "status":
        return status.report(lab, as_json=options.json)
    elif options.command == "doctor":
        return doctor.examine()
    elif options.command == "load":
        for reference in lab.load(options.archives):
            print(reference)
    elif options.command == "install":
        lab.install(options.topic)
    elif options.command == "shell":
        return _shell(lab, options.node)
    elif options.command == "kubeconfig":
        lab.require_up()
        print(lab.kubeconfig)
    elif options.command == "programs":
        if options.if_possible and not tools.installable():
            absent = ", ".join(sorted(tools.missing())) or "none"
            say(f"programs that are missing and cannot be installed from here: {absent}")
        else:
            tools.ensure(say)
    elif options.command == "build":
        tools.ensure(say)
        print(start.prepare(say, Stopwatch(), _release(options.kubernetes))[0])
    return 0


def _options(given: argparse.Namespace) -> Options:
    """Returns what was chosen about a lab, or says what is wrong with it."""
    if not 1280 <= given.mtu <= 65521:
        raise InputError(f"--mtu is {given.mtu}; allowed: 1280 to 65521.")
    if given.admission and not given.admission.is_file():
        raise InputError(f"--admission names '{given.admission}', which is not a file.")
    if given.admission and given.pod_security:
        raise InputError("--admission and --pod-security both configure the API server's admission; give one of them.")
    for flag, text in (("--cluster-domain", given.cluster_domain), ("--host-names", given.host_names)):
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9-])?", text) or len(text) > 60:
            raise InputError(f"{flag} is '{text}'; allowed: lower-case letters, digits, '-' and '.', as in DNS names.")
    first, _, last = given.node_ports.partition("-")
    if given.node_ports and not (first.isdigit() and last.isdigit() and 1024 <= int(first) < int(last) <= 65535):
        raise InputError(f"--node-ports is '{given.node_ports}'; allowed: two ports from 1024 on, as in 20000-22767.")
    if given.network not in ("bridge", "none") and given.ip_family != "ipv4":
        raise InputError(
            f"--network {given.network} is set up for IPv4 here; --ip-family {given.ip_family} needs bridge."
        )
    if given.proxy == "none" and given.network == "bridge":
        raise InputError(
            "--proxy none needs a --network that serves Services itself, or none, for you to install one that does."
        )
    return Options(
        proxy_mode=given.proxy,
        mtu=given.mtu,
        ip_family=given.ip_family,
        network=given.network,
        load_balancer="none" if given.no_load_balancer else given.load_balancer,
        cluster_domain=given.cluster_domain,
        host_names=given.host_names,
        node_ports=given.node_ports,
        pod_security=given.pod_security,
        admission=given.admission.read_text() if given.admission else "",
        kubernetes=_release(given.kubernetes),
    )


def _release(given: str) -> str:
    """Returns a minor version of Kubernetes when it is another one than the lab's own."""
    return "" if build.modules(given) == build.modules() else given


def _shell(lab: Lab, node: str | None) -> int:
    enter = lab.node(node).enter if node else []
    program = os.environ.get("SHELL", "/bin/sh")
    path = f"{lab.kubectl_program.parent}:{os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}"
    where = f"lab {lab.name}{f' {node}' if node else ''}"
    say(f"{where}: KUBECONFIG is set, kubectl is on PATH; type exit to leave")
    words = [*enter, program]
    os.execvpe(
        words[0], words, {**os.environ, "KUBECONFIG": str(lab.kubeconfig), "PATH": path, "NETLIBRARY_LAB": lab.name}
    )
    return 0
