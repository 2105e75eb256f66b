"""State of the E2SAR keywords, and how arguments become settings."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from robot.api import logger

from NetLibrary._mechanics.errors import InputError
from NetLibrary.keywords import _robot
from NetLibrary.types import CONVERTERS, Bitrate, Percentage

if TYPE_CHECKING:
    from NetLibrary._mechanics.e2sar import parameters as p
    from NetLibrary._mechanics.e2sar.endpoint import Endpoint
    from NetLibrary._mechanics.e2sar.facts import Limits
    from NetLibrary._mechanics.e2sar.run import RunSettings
    from NetLibrary._mechanics.e2sar.testbed import Testbed
    from NetLibrary.keywords._session import Session

STEP_SECONDS = 2.0
RATE = Bitrate(50e6)
ALL = Percentage(100)


class State:
    """Testbeds by namespace, and which one was prepared last.

    Args:
        session: Clusters, recorder and clean-up of the library.
    """

    def __init__(self, session: Session) -> None:
        self.default_timeout = session.default_timeout
        self.testbeds: dict[str, Testbed] = {}
        self.images = {"sender": "", "receiver": ""}
        self.namespace = ""
        self._said: tuple[str, float] = ("", 0.0)

    def testbed(self, namespace: str | None) -> Testbed:
        """Returns the testbed of a namespace; that of the one prepared last by default."""
        name = namespace or self.namespace
        if name not in self.testbeds:
            known = ", ".join(f"'{each}'" for each in self.testbeds) or "none"
            raise InputError(
                f"namespace is '{name}'; prepared namespaces: {known}. Use 'Prepare E2SAR Namespace' first."
            )
        return self.testbeds[name]

    def endpoint(self, name: str, namespace: str | None) -> Endpoint:
        """Returns a sender or receiver by its name."""
        testbed = self.testbed(namespace)
        if name not in testbed.endpoints:
            known = ", ".join(f"'{each}'" for each in testbed.endpoints) or "none"
            raise InputError(f"name is '{name}'; senders and receivers started in '{testbed.namespace}': {known}.")
        return testbed.endpoints[name]

    def limit(self, timeout: timedelta | None) -> float:
        """Returns the seconds of a wait."""
        return timeout.total_seconds() if timeout else self.default_timeout

    def progress(self, testbed: Testbed) -> None:
        """One console line every two seconds at the most, and only when something changed."""
        parts = []
        for endpoint in testbed.endpoints.values():
            report = endpoint.report
            block = report.final
            if endpoint.role == "receiver" and block and (block.received or block.lost):
                parts.append(f"{endpoint.name} received {block.received}, lost {block.lost}{_speed(endpoint)}")
            elif endpoint.role == "sender" and report.frames_sent is not None:
                parts.append(f"{endpoint.name} sent {report.frames_sent} datagrams")
        text, now = "; ".join(parts), time.monotonic()
        said, at = self._said
        if text and text != said and now - at >= STEP_SECONDS:
            self._said = (text, now)
            _robot.console(f"E2SAR: {text}")


_STATES: WeakKeyDictionary[Session, State] = WeakKeyDictionary()


def state_of(session: Session) -> State:
    """Returns the state that belongs to a library instance."""
    if session not in _STATES:
        _STATES[session] = State(session)
    return _STATES[session]


def _speed(endpoint: Endpoint) -> str:
    """How fast events came in between the last two reports; empty when none did."""
    blocks = endpoint.report.blocks
    if len(blocks) < 2:
        return ""
    one, two = blocks[-2:]
    span = (two.at or 0.0) - (one.at or 0.0)
    return f" ({(two.received - one.received) / span:.0f} events/s)" if span > 0 and two.received > one.received else ""


# --- arguments ------------------------------------------------------------------------------------------------


def gigabits(rate: Bitrate, rate_gbps: float | None = None) -> float:
    """Returns a rate in the unit of e2sar_perf; `rate_gbps` is the argument of the release before, in that unit."""
    if rate_gbps is None:
        if rate.bare and 0 < rate.bits_per_second < 1000:
            raise InputError(f"rate is {rate.bits_per_second:g} bit/s; give the unit, for instance 50 Mbit/s.")
        return rate.bits_per_second / 1e9
    logger.warn(
        "The argument 'rate_gbps' is deprecated and goes with the next release; use 'rate' with a unit, for instance "
        f"rate={rate_gbps * 1000:g}M."
    )
    return rate_gbps


def whole(name: str, value: timedelta) -> int:
    """Returns whole seconds."""
    seconds = value.total_seconds()
    if seconds != int(seconds):
        raise InputError(f"{name} is {seconds:g} s; allowed: whole seconds.")
    return int(seconds)


def within(limit: str, wanted: str) -> str:
    """Returns a request that is not above the limit, which Kubernetes would refuse."""
    from NetLibrary._mechanics.kube.quantities import quantity

    return wanted if not limit or quantity(limit) >= quantity(wanted) else limit


def pod_settings(
    image: str, cpu_limit: str, memory_limit: str, node: str, *, ingress: str = "", egress: str = "",
    environment: Mapping[str, str] | None = None,
) -> p.PodSettings:  # fmt: skip
    """Returns how a pod runs; it asks for less than its limits."""
    from NetLibrary._mechanics.e2sar import parameters as p

    return p.PodSettings(
        image, cpu_limit, memory_limit, within(cpu_limit, "100m"), within(memory_limit, "64Mi"), node, ingress, egress,
        dict(environment or {}),
    )  # fmt: skip


def limits_of(given: Mapping[str, Any]) -> Limits:
    """Returns limits from the arguments that judging keywords share."""
    from NetLibrary._mechanics.e2sar.facts import Limits

    most = given["delivered_at_most"]
    return Limits(
        given["delivered_at_least"].percent, None if most is None else most.percent, given["partial_at_most"].percent,
        given["silent_at_most"].percent, given["mangled_at_most"], given["errors_at_most"],
        given["expected_cause"] or "", tuple(given["causes_allowed"]),
    )  # fmt: skip


def run_settings(state: State, given: Mapping[str, Any]) -> RunSettings:
    """Returns a run's settings from the arguments of `Transfer E2SAR Events`, by their names."""
    from NetLibrary._mechanics.e2sar import parameters as p
    from NetLibrary._mechanics.e2sar.run import FIRST_DATA_ID, RunSettings

    delay = given["start_delay"]
    sender = p.SenderSettings(
        given["events"], given["event_bytes"], gigabits(given["rate"], given["rate_gbps"]), given["mtu"],
        given["sender_buffer_bytes"], given["sockets"], data_id=FIRST_DATA_ID, options=tuple(given["sender_options"]),
    )  # fmt: skip
    receiver = p.ReceiverSettings(
        given["receiver_buffer_bytes"], whole("duration", given["duration"]), given["port"], given["threads"], 250,
        tuple(given["receiver_options"]),
    )  # fmt: skip
    memory, environment = given["memory_limit"], given["environment"]
    return RunSettings(
        sender, receiver,
        pod_settings(state.images["sender"], given["sender_cpu_limit"], memory, given["sender_node"],
                     egress=given["egress_bandwidth"], environment=environment),
        pod_settings(state.images["receiver"], given["receiver_cpu_limit"], memory, given["receiver_node"],
                     ingress=given["ingress_bandwidth"], environment=environment),
        given["senders"], given["receivers"], given["path"], given["placement"], given["send_to_port"],
        None if delay is None else whole("start_delay", delay), given["accept"], limits_of(given),
        state.limit(given["timeout"]), given["keep"],
    )  # fmt: skip


def same_for_all(keyword: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns all arguments of a keyword: those that are given, converted, and the defaults of the others.

    Args:
        keyword: `Transfer E2SAR Events`.
        given: Arguments that Robot could not convert, since they came as free ones.
    """
    from robot.api import TypeInfo

    allowed = inspect.signature(keyword).parameters
    taken = {"mtu", "rate", "rate_gbps", "receiver_buffer_bytes", "name", "namespace", "self", "delivered_at_least"}
    hints = keyword.__annotations__
    made = {name: parameter.default for name, parameter in allowed.items() if name != "self"}
    for key, value in given.items():
        if key not in allowed or key in taken:
            names = ", ".join(sorted(set(allowed) - taken))
            raise InputError(
                f"'{key}' is not an argument of Transfer E2SAR Events that all runs can share; allowed: {names}."
            )
        try:
            info = TypeInfo.from_type_hint(hints[key])
            made[key] = info.convert(value, name=key, custom_converters=CONVERTERS)
        except ValueError as error:
            raise InputError(f"{str(error).rstrip('.')}.") from error
    return made
