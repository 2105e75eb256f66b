"""Files in which the kernel counts what a network namespace sent, received and threw away.

Names decide, never positions: kernels add columns, leave out groups, and print `IcmpMsg` in several pairs of lines.
"""

from __future__ import annotations


def parse_groups(text: str) -> dict[str, int]:
    r"""Reads `snmp` or `netstat`: pairs of lines, names and values, that begin with the group.

    Args:
        text: Content of the file.

    Returns:
        Values by `Group.Name`.

    Raises:
        ValueError: The text is not of this form.

    >>> parse_groups("Tcp: OutSegs MaxConn\nTcp: 12 -1\n")
    {'Tcp.OutSegs': 12, 'Tcp.MaxConn': -1}
    """
    found: dict[str, int] = {}
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) % 2:
        raise ValueError("counter lines do not come in pairs of names and values")
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        if names[0] != values[0] or not names[0].endswith(":") or len(names) != len(values):
            raise ValueError(f"the names of group {names[0]!r} do not match the values of {values[0]!r}")
        group = names[0][:-1]
        for name, value in zip(names[1:], values[1:], strict=True):
            found[f"{group}.{name}"] = int(value)
    return found


def parse_snmp6(text: str) -> dict[str, int]:
    r"""Reads `snmp6`: a name and a value per line.

    >>> parse_snmp6("Icmp6OutEchos  3\n")
    {'Icmp6OutEchos': 3}
    """
    found: dict[str, int] = {}
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if len(words) != 2:
            raise ValueError(f"not a counter of snmp6: {line!r}")
        found[words[0]] = int(words[1])
    return found
