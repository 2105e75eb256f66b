"""What each router tells the others, and the ways through the network that follow from it."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Advertisement:
    """State of one router, flooded to all others when it changes.

    `neighbours` maps router ids to the cost of the link, `connectors` and `listeners` hold
    a routing key each.
    """

    router: str
    sequence: int = 0
    site: dict[str, str] = field(default_factory=dict)
    neighbours: dict[str, int] = field(default_factory=dict)
    connectors: list[dict[str, str]] = field(default_factory=list)
    listeners: list[dict[str, str]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Gives the form that is sent."""
        return dict(self.__dict__)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Advertisement:
        """Reads the form that is sent."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__})


class Routes:
    """All known routers and the shortest ways to them."""

    def __init__(self, own: Advertisement) -> None:
        self.own = own
        self.known: dict[str, Advertisement] = {own.router: own}
        self.next_hop: dict[str, str] = {}
        self.cost: dict[str, int] = {own.router: 0}

    def learn(self, news: Advertisement) -> bool:
        """Takes in an advertisement; false when it is no news."""
        old = self.known.get(news.router)
        if news.router == self.own.router or (old and old.sequence >= news.sequence):
            return False
        self.known[news.router] = news
        return True

    def compute(self) -> None:
        """Works out costs and next hops (Dijkstra); a link counts when both ends report it.

        What was known of a router that cannot be reached any more is dropped: when it comes back, it would look usable
        for a moment, before its first words say that it has no links yet. Its news comes anew with its next link.
        """
        before = self.cost
        self.cost, self.next_hop = {}, {}
        heap: list[tuple[int, str, str]] = [(0, self.own.router, "")]
        while heap:
            cost, router, hop = heapq.heappop(heap)
            if router in self.cost:
                continue
            self.cost[router] = cost
            if hop:
                self.next_hop[router] = hop
            for other, price in self.known[router].neighbours.items():
                there = self.known.get(other)
                if there is not None and other not in self.cost and router in there.neighbours:
                    heapq.heappush(heap, (cost + price, other, hop or other))
        for router in before.keys() - self.cost.keys():
            del self.known[router]

    def reachable(self) -> list[Advertisement]:
        """Gives the advertisements of all routers that can be reached, the own one first."""
        return [self.known[router] for router in self.cost]

    def destinations(self, key: str) -> dict[str, int]:
        """Gives the routers with a connector for a routing key, with the cost of the way."""
        return {
            router: cost
            for router, cost in self.cost.items()
            if any(connector["key"] == key for connector in self.known[router].connectors)
        }
