"""What is shown of a Skupper network: its objects, and the way of the traffic."""

from __future__ import annotations

from pathlib import Path

from NetLibrary._mechanics.skupper.show import draw_ways, status_table, ways

from .network import healthy


def network() -> list[dict[str, object]]:
    objects = healthy()
    objects["pod"]["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    return list(objects.values())


def test_table_has_every_object_in_the_order_of_the_traffic() -> None:
    rows = status_table(network()).rows
    assert [row[0] for row in rows] == [
        "Site", "Site", "Link", "Listener", "AttachedConnector", "AttachedConnectorBinding", "AccessGrant", "AccessToken",
    ]  # fmt: skip
    assert [str(cell) for cell in rows[4]] == [
        "AttachedConnector", "work/iperf3", "Ready", "siteNamespace hub, selector app=iperf3-server, port 5201",
    ]  # fmt: skip


def test_way_leads_from_the_listener_to_the_pods() -> None:
    (way,) = ways(network())
    assert way.connector is not None
    assert way.link is not None
    assert (way.sites, way.pods) == (("client", "hub"), 1)


def test_way_that_ends_nowhere_is_drawn_too(tmp_path: Path) -> None:
    objects = healthy()
    objects["listener"]["spec"]["routingKey"] = "other"
    (way,) = ways(list(objects.values()))
    assert (way.offer, way.pods) == (None, 0)
    assert draw_ways(tmp_path / "a.png", [way]).read_bytes().startswith(b"\x89PNG")


def test_picture_has_the_rates(tmp_path: Path) -> None:
    path = draw_ways(tmp_path / "b.png", ways(network()), through=2.5e8, direct=5e9)
    assert path.stat().st_size > 5000
