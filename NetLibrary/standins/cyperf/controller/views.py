"""Views and columns, named as in the CSV exports of real runs; values from real counters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .plan import STRIKE
from .samples import AgentSample, Measured, Sample

Row = list[Any]


@dataclass(frozen=True)
class View:
    """One view: key columns, metric columns, and how its rows are made."""

    name: str
    keys: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: Callable[[Sample], list[Row]]
    rate: bool = False

    def described(self) -> dict[str, Any]:
        """Returns name and columns as `stats` lists them."""
        columns = list(self.keys) if self.keys else ["timestamp"]
        return {"name": self.name, "columns": columns + list(self.metrics), "availableFilters": []}


def _sum(entries: Iterable[Measured], name: str) -> int:
    return sum(entry.total.get(name, 0) for entry in entries)


def _rate(entries: Iterable[Measured], *names: str) -> float:
    return sum(entry.rate(name) for entry in entries for name in names)


def _share(entries: list[Measured], total: str, count: str) -> float | None:
    number = sum(entry.delta.get(count, 0) for entry in entries)
    return sum(entry.delta.get(total, 0) for entry in entries) / number if number else None


def _applications(sample: Sample) -> list[str]:
    return sorted({name for each in sample.agents for name in each.client})


def _ports(sample: Sample) -> list[str]:
    return sorted({name for each in sample.agents for name in each.server}, key=int)


def _throughput(side: str) -> Callable[[Sample], list[Row]]:
    def rows(sample: Sample) -> list[Row]:
        entries = sample.clients() if side == "client" else sample.servers()
        if not entries:
            return []
        bits = 8 * _rate(entries, "bytes_sent", "bytes_received")
        return [[bits, bits]]

    return rows


def _layer_throughput(side: str) -> Callable[[Sample], list[Row]]:
    def rows(sample: Sample) -> list[Row]:
        entries = [
            measured
            for each in sample.agents
            if (each.client if side == "client" else each.server)
            for measured in each.network.values()
        ]
        if not entries:
            return []
        received, sent = 8 * _rate(entries, "received"), 8 * _rate(entries, "sent")
        return [["All", received, sent, received + sent]]

    return rows


def _when_client(make: Callable[[list[Measured]], Row]) -> Callable[[Sample], list[Row]]:
    def rows(sample: Sample) -> list[Row]:
        entries = sample.clients()
        return [make(entries)] if entries else []

    return rows


def _connection_rate(entries: list[Measured]) -> Row:
    return ["All", _rate(entries, "conn_failed"), _rate(entries, "conn_initiated"), _rate(entries, "conn_succeeded")]


def _latency(entries: list[Measured]) -> Row:
    minima = [each.total["first_byte_min"] for each in entries if each.total.get("first_byte_min")]
    maxima = [each.total["first_byte_max"] for each in entries if each.total.get("first_byte_max")]
    return [
        _share(entries, "connect_us", "conn_succeeded"),
        _share(entries, "first_byte_us", "first_byte_count"),
        _share(entries, "last_byte_us", "last_byte_count"),
        max(maxima) if maxima else None,
        min(minima) if minima else None,
    ]


def _traffic_profile(sample: Sample) -> list[Row]:
    rows = []
    for name in _applications(sample):
        entries = sample.clients(name)
        rows.append(
            [
                "Application Profile",
                name,
                *(
                    _sum(entries, each)
                    for each in (
                        "timed_out", "apps_failed", "apps_initiated", "apps_succeeded", "bytes_received",
                        "bytes_sent", "conn_aborted", "conn_failed", "conn_initiated", "conn_succeeded",
                    )
                ),
            ]
        )  # fmt: skip
    return rows


def _streams_sent(sample: Sample, make: Callable[[str, list[Measured]], Row]) -> list[Row]:
    every = [(name, sample.clients(name)) for name in _applications(sample)]
    return [make(name, entries) for name, entries in every if _sum(entries, "stream_sent")]


def _streams_received(sample: Sample, make: Callable[[str, list[Measured]], Row]) -> list[Row]:
    ports = sorted({port for each in sample.agents for port in each.streams}, key=int)
    return [make(port, [each.streams[port] for each in sample.agents if port in each.streams]) for port in ports]


def _strikes(sample: Sample) -> list[Row]:
    """A strike that was answered was allowed; one that got no answer was blocked on its way."""
    rows = []
    for name in _applications(sample):
        if name.startswith(STRIKE):
            entries = sample.clients(name)
            counts = (_sum(entries, each) for each in ("apps_succeeded", "apps_failed", "apps_initiated"))
            rows.append([name.removeprefix(STRIKE), *counts])
    return rows


def _tcp(entries: list[Measured], side: str) -> Row:
    opened = _sum(entries, "conn_succeeded" if side == "client" else "conn_received")
    tried = _sum(entries, "conn_initiated" if side == "client" else "conn_received")
    failed = _sum(entries, "conn_failed")
    return [opened, failed, _sum(entries, "retransmitted"), tried, opened, _sum(entries, "resets")]


def _server_tcp(sample: Sample) -> list[Row]:
    return [[port, *_tcp(sample.servers(port), "server")] for port in _ports(sample)]


def _server_profile(sample: Sample) -> list[Row]:
    rows = []
    for port in _ports(sample):
        entries = sample.servers(port)
        sent, received = _sum(entries, "bytes_sent"), _sum(entries, "bytes_received")
        rows.append([f"port {port}", received, sent, sent + received, _sum(entries, "conn_received")])
    return rows


def _client_http(sample: Sample) -> list[Row]:
    rows = []
    for name in _applications(sample):
        entries = sample.clients(name)
        rows.append(
            [
                name,
                *(
                    _sum(entries, each)
                    for each in (
                        "payload_received", "payload_sent", "premature", "last_byte_count", "responses_1xx",
                        "responses_2xx", "responses_3xx", "responses_404", "responses_4xx", "responses_503",
                        "responses_5xx",
                    )
                ),
            ]
        )  # fmt: skip
    return rows


def _server_http(sample: Sample) -> list[Row]:
    rows = []
    for port in _ports(sample):
        entries = sample.servers(port)
        rows.append(
            [
                f"port {port}",
                *(
                    _sum(entries, each)
                    for each in (
                        "payload_received", "payload_sent", "requests", "responses_404", "responses", "aborted",
                    )
                ),
            ]
        )  # fmt: skip
    return rows


def _per_agent(make: Callable[[AgentSample], Row | None]) -> Callable[[Sample], list[Row]]:
    def rows(sample: Sample) -> list[Row]:
        found = []
        for each in sample.agents:
            row = make(each)
            if row is not None:
                found.append([each.agent.ip, each.agent.name, *row])
        return found

    return rows


def _both(each: AgentSample) -> list[Measured]:
    return [*each.client.values(), *each.server.values()]


def _agent_totals(each: AgentSample) -> Row | None:
    entries = _both(each)
    names = ("bytes_received", "bytes_sent", "conn_initiated", "conn_received", "conn_succeeded")
    return [_sum(entries, name) for name in names]


def _agent_rates(each: AgentSample) -> Row | None:
    entries = _both(each)
    return [_rate(entries, "bytes_received"), _rate(entries, "bytes_sent")]


def _agent_applications(each: AgentSample) -> Row | None:
    if not each.client:
        return None
    entries = list(each.client.values())
    names = ("apps_failed", "apps_initiated", "apps_succeeded")
    return ["Application Profile - IP Network", *(_sum(entries, name) for name in names)]


def _agent_dns(each: AgentSample) -> Row | None:
    if not each.client:
        return None
    return [each.dns.get(name, 0) for name in ("refused", "sent", "timed_out", "resolved", "cached", "server_failure")]


def _memory(each: AgentSample) -> Row | None:
    memory = each.host.get("memory")
    if not memory:
        return None
    total, free = memory.get("MemTotal", 0), memory.get("MemAvailable", 0)
    return [free, total, total - free, memory.get("SwapFree", 0), memory.get("SwapTotal", 0)]


def _cpu(sample: Sample) -> list[Row]:
    return [
        [each.agent.ip, each.agent.name, core, percent]
        for each in sample.agents
        for core, percent in each.host.get("cpu", {}).items()
    ]


def _interfaces(sample: Sample) -> list[Row]:
    names = ("received", "sent", "dropped_out", "dropped_in", "packets_received", "packets_sent")
    return [
        [each.agent.ip, each.agent.name, interface, *(measured.total.get(name, 0) for name in names)]
        for each in sample.agents
        for interface, measured in each.network.items()
    ]


def _interface_rates(sample: Sample) -> list[Row]:
    names = ("received", "sent", "packets_received", "packets_sent")
    return [
        [each.agent.ip, each.agent.name, interface, *(measured.rate(name) for name in names)]
        for each in sample.agents
        for interface, measured in each.network.items()
    ]


def _number_of(side: str) -> Callable[[Sample], list[Row]]:
    def rows(sample: Sample) -> list[Row]:
        return [[sum(1 for each in sample.agents if each.host and (each.client if side == "client" else each.server))]]

    return rows


_BITS = ("Throughput", "Throughput (bps)")
_TCP = ("Connections Established", "Connections Initiation Failed", "Data Retransmitted", "SYN Sent",
        "SYN-ACK Received", "RST Received")  # fmt: skip
_SERVER_TCP = ("Connections Established", "Connections Initiation Failed", "Data Retransmitted", "SYN Received",
               "SYN ACK Sent", "RST Received")  # fmt: skip
_LATENCY = ("Avg Connection Latency", "Avg Time to First Byte", "Avg Time to Last Byte",
            "Max Time To First Byte", "Min Time To First Byte")  # fmt: skip
_AGENT = ("IP", "Agent")

VIEWS = (
    View("client-throughput", (), _BITS, _throughput("client"), rate=True),
    View("server-throughput", (), _BITS, _throughput("server"), rate=True),
    View("client-application-throughput", (), _BITS, _throughput("client"), rate=True),
    View("client-l23-throughput", ("filter",), ("Received (bps)", "Sent (bps)", "Throughput (bps)"),
         _layer_throughput("client"), rate=True),
    View("server-l23-throughput", ("filter",), ("Received (bps)", "Sent (bps)", "Throughput (bps)"),
         _layer_throughput("server"), rate=True),
    View("client-application-connection-rate", ("filter",),
         ("Connections Failed Per Second", "Connections Initiated Per Second", "Connections Succeeded Per Second"),
         _when_client(_connection_rate), rate=True),
    View("client-application-concurrent-connections", ("filter", "Profile"), ("Concurrent Connections",),
         _when_client(lambda entries: ["All", "Application Profile", _sum(entries, "open")]), rate=True),
    View("client-application-user-count", ("filter", "Profile"), ("User Count Per Second",),
         _when_client(lambda entries: ["All", "Application Profile", _sum(entries, "users")]), rate=True),
    View("client-latency", (), _LATENCY, _when_client(_latency), rate=True),
    View("client-traffic-profile-latency", (), _LATENCY, _when_client(_latency), rate=True),
    View("client-traffic-profile", ("Profile", "Application"),
         ("Actions Timed Out", "Applications Failed", "Applications Initiated", "Applications Succeeded",
          "Bytes Received", "Bytes Sent", "Connections Aborted", "Connections Failed", "Connections Initiated",
          "Connections Succeeded"), _traffic_profile),
    View("client-traffic-profile-tcp", ("filter", "Profile"), _TCP,
         _when_client(lambda entries: ["All", "Application Profile", *_tcp(entries, "client")])),
    View("all-strikes-attack", ("Strike",), ("Strikes Allowed", "Strikes Blocked", "Strikes Initiated"), _strikes),
    View("client-streaming-rate", ("Application",), ("Packets Sent Per Second",),
         lambda sample: _streams_sent(sample, lambda name, each: [name, _rate(each, "stream_sent")]), rate=True),
    View("server-streaming-rate", ("Port",), ("Bytes Received Per Second", "Packets Received Per Second"),
         lambda sample: _streams_received(
             sample, lambda port, each: [port, _rate(each, "bytes_received"), _rate(each, "received")]), rate=True),
    View("client-streaming-statistics", ("Application",), ("Packets Sent",),
         lambda sample: _streams_sent(sample, lambda name, each: [name, _sum(each, "stream_sent")])),
    View("server-streaming-statistics", ("Port",),
         ("Packets Duplicate", "Packets Lost", "Packets Misordered", "Packets Received"),
         lambda sample: _streams_received(sample, lambda port, each: [
             port, *(_sum(each, what) for what in ("duplicate", "lost", "misordered", "received"))])),
    View("server-tcp", ("Port",), _SERVER_TCP, _server_tcp),
    View("server-profile", ("Application&Attack",),
         ("Bytes Received", "Bytes Sent", "Bytes Sent&Received", "Connections Received"), _server_profile),
    View("client-http-statistics", ("Application/Attack",),
         ("Payload Bytes Received", "Payload Bytes Sent", "Premature Responses Received", "Requests Completed",
          "Responses Received 1xx", "Responses Received 2xx", "Responses Received 3xx", "Responses Received 404",
          "Responses Received 4xx", "Responses Received 503", "Responses Received 5xx"), _client_http),
    View("server-http-statistics", ("Application/Attack",),
         ("Payload Bytes Received", "Payload Bytes Sent", "Requests Received", "Responses Sent 404",
          "Responses Sent Successfully", "Responses Aborted"), _server_http),
    View("http-requests-rate", (), ("Requests Per Second",),
         _when_client(lambda entries: [_rate(entries, "last_byte_count")]), rate=True),
    View("traffic-agents", _AGENT, ("Bytes Received", "Bytes Sent", "Connections Initiated", "Connections Received",
         "Connections Succeeded"), _per_agent(_agent_totals)),
    View("traffic-agents-instant", _AGENT, ("Bytes Received Per Second", "Bytes Sent Per Second"),
         _per_agent(_agent_rates), rate=True),
    View("traffic-agents-l23", (*_AGENT, "Interface"), ("Bytes Received", "Bytes Sent", "Egress dropped packets",
         "Ingress dropped packets", "Packets Received", "Packets Sent"), _interfaces),
    View("traffic-agents-l23-instant", (*_AGENT, "Interface"), ("Bytes Received Per Second", "Bytes Sent Per Second",
         "Packets Received Per Second", "Packets Sent Per Second"), _interface_rates, rate=True),
    View("traffic-agents-client-applications", (*_AGENT, "Profile - Network Segment"),
         ("Applications Failed", "Applications Initiated", "Applications Succeeded"), _per_agent(_agent_applications)),
    View("traffic-agents-dns", _AGENT, ("DNS Query Refused", "DNS Query Sent", "DNS Query Timed Out",
         "Name Resolved", "Served From Cache", "Server Failure"), _per_agent(_agent_dns)),
    View("client-agents-number", (), ("Value",), _number_of("client"), rate=True),
    View("server-agents-number", (), ("Value",), _number_of("server"), rate=True),
    View("agent-metrics-cpu", (*_AGENT, "CPU"), ("CPU Percent",), _cpu, rate=True),
    View("agent-metrics-memory", _AGENT, ("Memory Available", "Memory Total", "Memory Used", "Swap Memory Free",
         "Swap Memory Total"), _per_agent(_memory), rate=True),
    View("agent-clock-offset", _AGENT, ("Clock offset sec",), _per_agent(lambda each: [each.clock_offset])),
)  # fmt: skip
BY_NAME = {view.name: view for view in VIEWS}
