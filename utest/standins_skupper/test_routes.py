"""What a router knows of the others, and what it forgets."""

from __future__ import annotations

from NetLibrary.standins.skupper.runtime.routes import Advertisement, Routes


def told(router: str, sequence: int, *neighbours: str, key: str = "") -> Advertisement:
    connectors = [{"key": key, "name": "c", "host": "h"}] if key else []
    return Advertisement(router, sequence, neighbours=dict.fromkeys(neighbours, 1), connectors=connectors)


def linked() -> Routes:
    routes = Routes(told("client", 1, "hub"))
    routes.learn(told("hub", 1, "client", key="k"))
    routes.compute()
    return routes


def test_a_link_counts_when_both_ends_report_it() -> None:
    routes = Routes(told("client", 1, "hub"))
    routes.learn(told("hub", 1, key="k"))
    routes.compute()
    assert routes.destinations("k") == {}
    routes.learn(told("hub", 2, "client", key="k"))
    routes.compute()
    assert routes.destinations("k") == {"hub": 1}


def test_old_news_is_no_news() -> None:
    routes = linked()
    assert not routes.learn(told("hub", 1))
    assert routes.learn(told("hub", 2))


def test_a_router_that_comes_back_counts_only_after_its_own_words() -> None:
    routes = linked()
    routes.own.neighbours = {}
    routes.compute()
    routes.own.neighbours = {"hub": 1}
    routes.compute()
    assert routes.destinations("k") == {}, "it is believed what it said before it went away"
    routes.learn(told("hub", 5, "client", key="k"))
    routes.compute()
    assert routes.destinations("k") == {"hub": 1}


def test_what_comes_before_the_way_to_it_is_kept() -> None:
    routes = Routes(told("client", 1, "middle"))
    routes.learn(told("hub", 1, "middle", key="k"))
    routes.compute()
    routes.learn(told("middle", 1, "client", "hub"))
    routes.compute()
    assert routes.destinations("k") == {"hub": 2}
