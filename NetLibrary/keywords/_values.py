"""What the variables of our suites may hold: judged when a suite starts, in the words of the keywords that get them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import Enum
from typing import Any, Literal, get_type_hints

from robot.api import TypeInfo

from NetLibrary._mechanics import contract
from NetLibrary._mechanics.errors import InputError
from NetLibrary.keywords._base import allowed_by_name, bounds_of
from NetLibrary.types import CONVERTERS, OutageLimits, OutageTarget, Protocol, ServiceType, durations
from NetLibrary.types.outages import limits_of

# Variable → the method of a keyword and its argument that get the value: their type and bounds are the variable's
ARGUMENTS: dict[str, tuple[str, str]] = {
    "READY_TIMEOUT": ("wait_until_pods_are_ready", "timeout"),
    "TOLERANCE": ("measurement_should_match_baseline", "tolerance"),
    "CYPERF_DURATION": ("set_cyperf_objective", "duration"),
    "CYPERF_PAUSE_BETWEEN_RUNS": ("wait_for_pause_between_cyperf_runs", "pause"),
    "CYPERF_CLIENTS": ("deploy_cyperf_agents", "replicas"),
    "CYPERF_SERVERS": ("deploy_cyperf_agents", "replicas"),
    "E2SAR_MTU": ("transfer_e2sar_events", "mtu"),
    "E2SAR_RATE": ("transfer_e2sar_events", "rate"),
    "E2SAR_LENGTH": ("transfer_e2sar_events", "event_bytes"),
    "E2SAR_NUM_EVENTS": ("transfer_e2sar_events", "events"),
    "E2SAR_BUF_SIZE": ("transfer_e2sar_events", "sender_buffer_bytes"),
    "E2SAR_DURATION": ("transfer_e2sar_events", "duration"),
    "E2SAR_PORT": ("transfer_e2sar_events", "port"),
    "E2SAR_THREADS": ("transfer_e2sar_events", "threads"),
    "HEALTH_RESTARTS_WITHIN": ("pods_should_be_healthy", "restarts_within"),
    "MATRIX_PODS_PER_NODE": ("build_service_matrix", "pods_per_node"),
    "MATRIX_PROBER": ("build_service_matrix", "prober"),
    "MATRIX_TIME_LIMIT": ("build_service_matrix", "silence"),
    "MATRIX_LOAD_BALANCER_TIMEOUT": ("build_service_matrix", "load_balancer_within"),
    "MATRIX_SETTLE": ("service_matrix_case_should_be_right", "settle"),
    "OUTAGE_QUIET": ("start_outage_measurement", "quiet"),
    "OUTAGE_SETTLE": ("start_outage_measurement", "settle"),
    "OUTAGE_RECOVERY": ("start_outage_measurement", "recovery"),
    "OUTAGE_ROLLOUT_TIMEOUT": ("start_outage_measurement", "rollout_within"),
    "OUTAGE_HOST_PORT": ("start_outage_measurement", "host_port"),
    "OUTAGE_OUTSIDE_PORT": ("start_outage_measurement", "outside_port"),
    "OUTAGE_CONNECTIONS": ("start_outage_measurement", "connections"),
    "OUTAGE_ECHO_SIZE": ("start_outage_measurement", "echo_size"),
    "OUTAGE_IPERF_BITRATE": ("start_outage_measurement", "iperf_bitrate"),
    "OUTAGE_COMMAND_TIMEOUT": ("run_command_during_measurement", "timeout"),
    "POLICY_PROBERS": ("network_policies_should_be_enforced", "probers"),
    "SKUPPER_BANDWIDTH": ("measure_throughput", "bitrate"),
    "SKUPPER_DURATION": ("measure_throughput", "duration"),
    "THROUGHPUT_DURATION": ("measure_throughput", "duration"),
    "THROUGHPUT_FAMILY": ("measure_throughput", "family"),
    "THROUGHPUT_P99_AT_MOST": ("measure_request_latency", "p99_at_most"),
    "THROUGHPUT_SHARE_AT_LEAST": ("paths_should_carry_their_share", "share_at_least"),
    "THROUGHPUT_VARIATION_AT_MOST": ("repeats_should_be_steady", "variation_at_most"),
}
QUOTE = "'"
# A word that stands for an empty value
NO_VALUE = {"OUTAGE_IPERF_BITRATE": "none"}


def refused(name: str, value: Any, library: Any, *, from_command_line: bool) -> str:
    """Returns a sentence that says why a variable cannot have a value and what is allowed, an empty text if it can.

    Lists and dictionaries are left to the keywords, and so is what is empty.

    Args:
        name: Name of the variable; others than those of our suites can have any value.
        value: Its value.
        library: The library, whose keywords' types count.
        from_command_line: Whether the command line sets it. Only then must a baseline be there already.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return ""
    judge = OTHERS.get(name)
    try:
        if name in contract.POD_SETTINGS:
            _judge_pod_setting(name, value)
        elif isinstance(value, (list, tuple, Mapping)) or str(value).strip().lower() == NO_VALUE.get(name):
            return ""
        elif name == "BASELINE":
            if from_command_line:
                _judge_baseline(name, value)
        elif judge is not None:
            judge(name, value)
        elif name in ARGUMENTS:
            method, argument = ARGUMENTS[name]
            _judge(f"{name} is '{value}'", value, getattr(library, method).__annotations__[argument], argument)
    except (ValueError, InputError) as error:
        return f"The variable {error}"
    return ""


def _judge(said: str, value: Any, kind: TypeInfo, argument: str = "") -> None:
    """Converts a value as Robot does for an argument of a keyword.

    Args:
        said: What the variable says, for the message.
        value: The value.
        kind: The argument's type.
        argument: Its name, which may have bounds.
    Raises:
        ValueError: It cannot be converted, or is out of the argument's bounds.
    """
    try:
        right = kind.convert(value, custom_converters=CONVERTERS)
    except ValueError as error:
        raise ValueError(f"{said}{_allowed(value, kind, argument) or f': {error}'}") from None
    if allowed := allowed_by_name(argument, right):
        raise ValueError(f"{said}; allowed: {allowed}.")


def _allowed(value: Any, kind: TypeInfo, argument: str) -> str:
    """Returns the end of a sentence about a value that could not be converted."""
    if kind.type in CONVERTERS:
        try:
            CONVERTERS[kind.type](value)
        except ValueError as error:
            words = str(error)
            return f"; allowed: {words.partition('; allowed: ')[2]}" if "; allowed: " in words else f". {words}"
    if kind.type is timedelta:
        return f"; allowed: {durations.ALLOWED}."
    if kind.type is int:
        return f"; allowed: {bounds_of(argument) or 'a whole number'}."
    if inspect.isclass(kind.type) and issubclass(kind.type, Enum):
        return f"; allowed: {', '.join(str(each.value) for each in kind.type)}."
    if kind.type is Literal:
        return f"; allowed: {', '.join(each.name.strip(QUOTE) for each in kind.nested or ())}."
    return ""


def _judge_pod_setting(name: str, value: Any) -> None:
    from NetLibrary._mechanics.kube.pods import PodSettings

    PodSettings.of_variables({name: value}.get)


def _judge_baseline(name: str, value: Any) -> None:
    from pathlib import Path

    from NetLibrary._mechanics.baselines import unreadable

    if wrong := unreadable(Path(str(value))):
        raise ValueError(f"{name} is '{value}', which {wrong}; give the file of an earlier run.")


def _judge_number_above_zero(name: str, value: Any) -> None:
    try:
        right = TypeInfo.from_type_hint(int).convert(value)
    except ValueError:
        right = 0
    if not isinstance(right, int) or right < 1:
        raise ValueError(f"{name} is '{value}'; allowed: {bounds_of('connections')}.")


def _judge_quantity(name: str, value: Any) -> None:
    from NetLibrary._mechanics.kube.quantities import quantity

    quantity(str(value), name)


def _judge_limits(name: str, value: Any) -> None:
    kinds = get_type_hints(OutageLimits)
    for key, text in limits_of(str(value)).items():
        if key not in kinds:
            raise ValueError(f"{name} has '{key}'; allowed: {', '.join(kinds)}.")
        _judge(f"{name} has '{key}={text}'", text, TypeInfo.from_type_hint(kinds[key]), key)


def _judge_targets(name: str, value: Any) -> None:
    for word in str(value).split():
        try:
            OutageTarget.parse(word)
        except ValueError as error:
            raise ValueError(f"{name} has '{word}'. {error}") from None


def _judge_service_type(name: str, value: Any) -> None:
    _judge(f"{name} is '{value}'", value, TypeInfo.from_type_hint(ServiceType))


def _judge_protocols(name: str, value: Any) -> None:
    for word in str(value).split(","):
        _judge(f"{name} has '{word.strip()}'", word.strip(), TypeInfo.from_type_hint(Protocol))


def _judge_labels(name: str, value: Any) -> None:
    for pair in filter(str.strip, str(value).split(",")):
        key, separator, _ = pair.strip().partition("=")
        if not separator or not key:
            raise ValueError(f"{name} has '{pair.strip()}'; allowed: pairs such as pool=workers, separated by commas.")


def _judge_ports(name: str, value: Any) -> None:
    from NetLibrary._mechanics.policies.subjects import Port

    for port in filter(str.strip, str(value).split(",")):
        try:
            Port.parse(port)
        except InputError as error:
            raise ValueError(str(error).replace("ports", name, 1)) from None


def _judge_address(name: str, value: Any) -> None:
    from NetLibrary._mechanics.addresses import is_address

    if not is_address(str(value).strip()):
        raise ValueError(f"{name} is '{value}'; allowed: an IPv4 or IPv6 address.")


# What no argument of a keyword gets as it is
OTHERS: dict[str, Callable[[str, Any], None]] = {
    **dict.fromkeys(("OUTAGE_REPEATS", "OUTAGE_SOURCES", "THROUGHPUT_REPEATS"), _judge_number_above_zero),
    **dict.fromkeys(
        (
            "OUTAGE_PROBE_CPU", "CYPERF_AGENT_MEMORY", "CYPERF_MEMORY_REQUEST", "CYPERF_MEMORY_LIMIT",
            "CYPERF_CPU_REQUEST", "CYPERF_CPU_LIMIT",
        ),
        _judge_quantity,
    ),
    "CLIENT_LABELS": _judge_labels,
    "MATRIX_EXTERNAL_IP": _judge_address,
    "MATRIX_NODE_LABELS": _judge_labels,
    "POLICY_PORTS": _judge_ports,
    "OUTAGE_IPERF_PROTOCOLS": _judge_protocols,
    "OUTAGE_LIMITS": _judge_limits,
    "OUTAGE_SERVICE_TYPE": _judge_service_type,
    "OUTAGE_TARGETS": _judge_targets,
}  # fmt: skip
JUDGED = frozenset({*ARGUMENTS, *OTHERS, *contract.POD_SETTINGS, "BASELINE"})
