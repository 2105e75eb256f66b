"""What an agent says of its machine: interfaces, processors, memory, kernel. Linux only."""

from __future__ import annotations

import fcntl
import os
import platform
import socket
import struct
from pathlib import Path
from typing import Any

_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B


def _ioctl_address(name: str, request: int) -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            answer = fcntl.ioctl(sock, request, struct.pack("256s", name.encode()[:15]))
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])


def address_of(interface: str) -> str:
    """Returns the IPv4 address of an interface.

    Raises:
        SystemExit: When there is none.
    """
    address = _ioctl_address(interface, _SIOCGIFADDR)
    if address is None:
        raise SystemExit(f"Interface '{interface}' has no IPv4 address.")
    return address


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _gateways() -> dict[str, str]:
    found = {}
    for line in _read("/proc/net/route").splitlines()[1:]:
        fields = line.split()
        if len(fields) > 2 and fields[1] == "00000000":
            found[fields[0]] = socket.inet_ntoa(struct.pack("<I", int(fields[2], 16)))
    return found


def interfaces() -> list[dict[str, Any]]:
    """Returns the interfaces with addresses in the controller's form."""
    gateways = _gateways()
    found = []
    for _, name in socket.if_nameindex():
        address = _ioctl_address(name, _SIOCGIFADDR)
        if address is None or name == "lo":
            continue
        mask = _ioctl_address(name, _SIOCGIFNETMASK) or "255.255.255.255"
        found.append(
            {
                "Name": name,
                "Mac": _read(f"/sys/class/net/{name}/address"),
                "MTU": int(_read(f"/sys/class/net/{name}/mtu") or 0),
                "Gateway": gateways.get(name, ""),
                "IP": [{"IP": address, "NetMask": bin(int.from_bytes(socket.inet_aton(mask), "big")).count("1")}],
            }
        )
    return found


def management_address(controller: str, port: int) -> str:
    """Returns the local address that packets to the controller leave from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((controller, port))
            return str(sock.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def describe(controller: str, port: int, management: str) -> dict[str, Any]:
    """Returns the identity of this machine."""
    cores = os.cpu_count() or 1
    model = next(
        (
            line.partition(":")[2].strip()
            for line in _read("/proc/cpuinfo").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    address = os.environ.get("POD_IP") or (
        address_of(management) if management else management_address(controller, port)
    )
    return {
        "ip": address,
        "hostname": socket.gethostname(),
        "interfaces": interfaces(),
        "cpu": [{"CPUCoreCount": cores, "ModelName": model, "VendorID": platform.machine()}],
        "memory_mb": memory().get("MemTotal", 0) // 1_048_576,
        "arch": platform.machine(),
        "kernel": platform.release(),
        "os": "stand-in on " + platform.system(),
    }


def memory() -> dict[str, int]:
    """Returns the machine's memory in bytes, by the names of /proc/meminfo."""
    wanted = ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")
    found = {}
    for line in _read("/proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name in wanted:
            found[name] = int(rest.split()[0]) * 1024
    return found


def network() -> dict[str, list[int]]:
    """Returns received and sent bytes and packets and drops by interface (/proc/net/dev)."""
    found = {}
    for line in _read("/proc/net/dev").splitlines():
        name, colon, rest = line.partition(":")
        fields = rest.split()
        if colon and len(fields) >= 12 and name.strip() != "lo":
            received, packets, _, dropped = map(int, fields[:4])
            sent, sent_packets, _, sent_dropped = map(int, fields[8:12])
            found[name.strip()] = [received, packets, dropped, sent, sent_packets, sent_dropped]
    return found


class Cpu:
    """Busy share of each processor since the last question."""

    def __init__(self) -> None:
        self._before = self._times()

    @staticmethod
    def _times() -> dict[str, tuple[int, int]]:
        found = {}
        for line in _read("/proc/stat").splitlines():
            fields = line.split()
            if fields and fields[0].startswith("cpu") and fields[0] != "cpu":
                numbers = [int(field) for field in fields[1:9]]
                found[fields[0]] = (sum(numbers), numbers[3] + numbers[4])
        return found

    def percent(self) -> dict[str, float]:
        """Returns percent by processor name."""
        now, before, self._before = self._times(), self._before, self._times()
        shown = {}
        for name, (total, idle) in now.items():
            total_before, idle_before = before.get(name, (0, 0))
            spent = total - total_before
            shown[name] = round(100.0 * (1 - (idle - idle_before) / spent), 2) if spent > 0 else 0.0
        return shown
