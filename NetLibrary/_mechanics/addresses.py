"""Names and addresses told apart."""

from __future__ import annotations

import ipaddress


def is_address(text: str) -> bool:
    """Tells whether a text is an IPv4 or IPv6 address, and so needs no resolver.

    Example:
        >>> [is_address(text) for text in ("10.0.0.1", "fd00::1", "example.com.", "")]
        [True, True, False, False]
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
