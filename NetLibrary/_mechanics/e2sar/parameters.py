"""What a run is made of, and whether it can work, checked before anything is started."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from NetLibrary._mechanics.defaults import E2SAR_BUFFER_BYTES, E2SAR_PORT
from NetLibrary._mechanics.e2sar import arithmetic
from NetLibrary._mechanics.errors import InputError
from NetLibrary.types import E2SARRisk as Risk


@dataclass(frozen=True)
class SenderSettings:
    """Parameters of a sender, each with its unit in the name.

    `rate_gbps` counts event bytes, not headers. `data_id` is made different for each sender of a receiver, because an
    event is known by its number and data id.
    """

    events: int = 1000
    event_bytes: int = 1024
    rate_gbps: float = 0.05
    mtu: int = 1400
    buffer_bytes: int = E2SAR_BUFFER_BYTES
    sockets: int = 4
    source_id: int = 1234
    data_id: int = 4321
    port: int = E2SAR_PORT
    options: tuple[str, ...] = ()

    @property
    def fragments(self) -> int:
        """Datagrams per event."""
        return arithmetic.fragments(self.event_bytes, self.mtu)

    @property
    def frames(self) -> int:
        """Datagrams of the whole run."""
        return self.events * self.fragments

    @property
    def send_seconds(self) -> float:
        """Nominal time of sending."""
        return arithmetic.send_seconds(self.rate_gbps, self.event_bytes, self.events)

    @property
    def wire_bits_per_second(self) -> float:
        """Rate of IP packets."""
        return arithmetic.wire_bits_per_second(self.rate_gbps, self.event_bytes, self.mtu)


@dataclass(frozen=True)
class ReceiverSettings:
    """Parameters of a receiver. `duration_seconds` 0 means until it is stopped."""

    buffer_bytes: int = E2SAR_BUFFER_BYTES
    duration_seconds: int = 0
    port: int = E2SAR_PORT
    threads: int = 1
    period_ms: int = 1000
    options: tuple[str, ...] = ()

    @property
    def ports(self) -> range:
        """The UDP ports that the receiver opens."""
        return range(self.port, self.port + arithmetic.port_count(self.threads))


@dataclass(frozen=True)
class PodSettings:
    """How a pod runs. CPU and memory as Kubernetes writes them; an empty text means no limit."""

    image: str = ""
    cpu_limit: str = "1"
    memory_limit: str = "512Mi"
    cpu_request: str = "100m"
    memory_request: str = "128Mi"
    node: str = ""
    ingress_bandwidth: str = ""
    egress_bandwidth: str = ""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Surroundings:
    """What is known of the place where a run happens; None means unknown and is not checked."""

    pod_mtu: int | None = None
    rmem_max: int | None = None
    wmem_max: int | None = None
    bandwidth_bits_per_second: float | None = None
    sender_startup_seconds: float = 10.0


def check_sender(sender: SenderSettings) -> None:
    """Refuses what `e2sar_perf` cannot send.

    Raises:
        InputError: Names the argument and what is allowed.
    """
    _within(
        "mtu",
        sender.mtu,
        arithmetic.smallest_mtu(),
        arithmetic.LARGEST_DATAGRAM,
        "bytes of IP packet, 64 of them headers",
    )
    _within(
        "event_bytes",
        sender.event_bytes,
        arithmetic.SHORTEST_EVENT,
        2**32 - 1,
        "bytes; e2sar_perf writes outside its buffer below",
    )
    _within("events", sender.events, 1, 10**9, "events")
    _within("sockets", sender.sockets, 1, 128, "source sockets")
    _within("source_id", sender.source_id, 0, 2**32 - 1, "a 32-bit number")
    _within("data_id", sender.data_id, 0, 2**16 - 1, "a 16-bit number")
    _within("port", sender.port, 1024, 65535, "e2sar_perf refuses lower ones")
    _within("buffer_bytes", sender.buffer_bytes, 1024, 2**31 - 1, "bytes")
    if not 0 <= sender.rate_gbps <= 10_000:
        raise InputError(
            f"rate is {sender.rate_gbps:g} Gbit/s; allowed: 0 (as fast as possible, from e2sar_perf 0.2.1 on) to "
            "10000 Gbit/s of event bytes."
        )
    if sender.rate_gbps and arithmetic.sleep_microseconds(sender.rate_gbps, sender.event_bytes) > 2**31:
        raise InputError(
            f"rate is {sender.rate_gbps:g} Gbit/s: an event of {sender.event_bytes} bytes would take more than half "
            "an hour."
        )


def check_receiver(receiver: ReceiverSettings) -> None:
    """Refuses what `e2sar_perf` cannot receive with.

    Raises:
        InputError: Names the argument and what is allowed.
    """
    _within("port", receiver.port, 1024, 65535, "e2sar_perf refuses lower ones")
    _within("threads", receiver.threads, 1, 128, "receive threads")
    _within("buffer_bytes", receiver.buffer_bytes, 256, 2**31 - 1, "bytes")
    _within("period_ms", receiver.period_ms, 50, 65535, "milliseconds between two reports")
    _within("duration", receiver.duration_seconds, 0, 7 * 86400, "seconds, 0 until it is stopped")
    last = receiver.ports[-1]
    if last > 65535:
        raise InputError(
            f"threads is {receiver.threads}: the receiver would need the ports {receiver.port} to {last}; 65535 is "
            "the last one."
        )


def check_run(
    sender: SenderSettings, receiver: ReceiverSettings, around: Surroundings, accept: frozenset[Risk] = frozenset()
) -> None:
    """Refuses a pair of sender and receiver that cannot work where it shall run.

    Args:
        sender: What is sent.
        receiver: What listens.
        around: What is known of the place.
        accept: Mistakes that are meant.
    Raises:
        InputError: Names the argument, what is allowed, and the word that accepts the risk.
    """
    check_sender(sender)
    check_receiver(receiver)
    if Risk.FRAGMENTATION not in accept and around.pod_mtu and sender.mtu > around.pod_mtu:
        raise _risky(
            "mtu",
            f"{sender.mtu}, but the pods' interfaces take {around.pod_mtu} bytes",
            f"up to {around.pod_mtu}",
            Risk.FRAGMENTATION,
        )
    if Risk.OVERLOAD not in accept and around.bandwidth_bits_per_second and sender.rate_gbps:
        limit, wire = around.bandwidth_bits_per_second, sender.wire_bits_per_second
        if wire > limit:
            fitting = sender.rate_gbps * limit / wire
            text = (
                f"{sender.rate_gbps:g} Gbit/s, which is {wire / 1e6:.4g} Mbit/s of IP packets, "
                f"but the path carries {limit / 1e6:.4g} Mbit/s"
            )
            raise _risky("rate", text, f"up to {arithmetic.rate_text(fitting)}", Risk.OVERLOAD)
    if Risk.CAPPED_BUFFER not in accept:
        for name, size, most, knob in (
            ("buffer_bytes of the receiver", receiver.buffer_bytes, around.rmem_max, "rmem_max"),
            ("buffer_bytes of the sender", sender.buffer_bytes, around.wmem_max, "wmem_max"),
        ):
            if most and size > most:
                raise _risky(
                    name,
                    f"{size}, but net.core.{knob} of the node is {most} and the kernel silently reduces it",
                    f"up to {most}",
                    Risk.CAPPED_BUFFER,
                )
    needed = around.sender_startup_seconds + sender.send_seconds + 2
    if Risk.SHORT_RECEIVER not in accept and 0 < receiver.duration_seconds < needed:
        text = (
            f"{receiver.duration_seconds} s, but the sender needs {needed:.0f} s "
            f"({around.sender_startup_seconds:g} s to start, "
            f"{sender.send_seconds:.3g} s to send, and 2 s for the last report)"
        )
        raise _risky(
            "duration", text, f"{needed:.0f} s and more, or 0 for a receiver that is stopped", Risk.SHORT_RECEIVER
        )


def check_several(senders: list[SenderSettings]) -> None:
    """Refuses senders of one receiver that could not be told apart."""
    ids = [sender.data_id for sender in senders]
    twice = sorted({value for value in ids if ids.count(value) > 1})
    if twice:
        raise InputError(
            f"data_id {twice[0]} is used by {ids.count(twice[0])} senders of one receiver; each needs its own, "
            "because an event is known by its number and data id."
        )


def describe(sender: SenderSettings) -> dict[str, float]:
    """What a sender puts on the wire, for tables and records."""
    return {
        "fragments_per_event": sender.fragments,
        "frames": sender.frames,
        "ip_bytes_per_event": arithmetic.wire_bytes(sender.event_bytes, sender.mtu),
        "wire_bits_per_second": sender.wire_bits_per_second,
        "event_hertz": arithmetic.event_hertz(sender.rate_gbps, sender.event_bytes),
        "sleep_microseconds": arithmetic.sleep_microseconds(sender.rate_gbps, sender.event_bytes),
        "send_seconds": sender.send_seconds,
    }


def plain(settings: SenderSettings | ReceiverSettings | PodSettings) -> dict[str, object]:
    """Settings as plain data for a record."""
    return asdict(settings)


def _within(name: str, value: int, low: int, high: int, unit: str) -> None:
    if not low <= value <= high:
        raise InputError(f"{name} is {value}; allowed: {low} to {high} ({unit}).")


def _risky(name: str, text: str, allowed: str, risk: Risk) -> InputError:
    return InputError(f"{name} is {text}; allowed: {allowed}. Give accept={risk.name} to try it anyway.")
