"""`netlibrary echo`: the server outside the cluster that breaks are measured against."""

from __future__ import annotations

import click


@click.command()
@click.option("--port", default=7007, show_default=True, type=click.IntRange(1, 65535), help="TCP, UDP and HTTP.")
@click.option("--iperf-port", default=5201, show_default=True, type=click.IntRange(1, 65534), help="First of two.")
@click.option("--no-iperf", is_flag=True, help="No iperf3 servers.")
@click.option("--print", "show", is_flag=True, help="Print the program, for a machine that has only python3, and exit.")
def echo(port: int, iperf_port: int, no_iperf: bool, show: bool) -> None:
    """Echoes TCP and UDP and answers HTTP on one port, IPv4 and IPv6, until it is interrupted.

    Start it on any machine that the cluster reaches, and name that machine with OUTAGE_OUTSIDE_ADDRESS and
    OUTAGE_OUTSIDE_PORT: the outside paths are then probed as all others are. Where there is iperf3, two servers of it
    run beside. `netlibrary echo --print > echo_server.py` gives the program as one file: python3 echo_server.py 7007.
    """
    from NetLibrary._mechanics.outages.run import archive

    if show:
        click.echo(archive.echo_server(), nl=False)
        return
    from NetLibrary._mechanics.outages.run.inpod.echo_server import main

    try:
        main([str(port), *([] if no_iperf else [str(iperf_port), "2"])])
    except OSError as err:
        raise click.ClickException(f"Port {port} cannot be used: {err.strerror}.") from None
