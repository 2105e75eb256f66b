"""Command line in the manner of Boost.Program_options: `--x=v`, `--x v`, `-xv`, sticky flags, unambiguous prefixes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


class OptionError(Exception):
    """A command line that Boost would refuse; `what` names the exception class that 0.1.4 dies of."""

    def __init__(self, text: str, what: str = "invalid_option_value") -> None:
        super().__init__(text)
        self.what = what


@dataclass(frozen=True)
class Option:
    """One option: long name, short name, converter (None for a flag), default, and the versions that have it."""

    name: str
    short: str = ""
    convert: Callable[[str], object] | None = None
    default: object = None
    help: str = ""
    since: tuple[int, int] = (0, 1)
    until: tuple[int, int] = (9, 9)
    many: bool = False


@dataclass
class Given:
    """Values of all options, and which of them stood on the command line."""

    values: dict[str, object]
    explicit: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> object:
        return self.values[name]

    def int(self, name: str) -> int:
        """Value as an integer."""
        return int(self.values[name])  # type: ignore[call-overload]

    def float(self, name: str) -> float:
        """Value as a float."""
        return float(self.values[name])  # type: ignore[arg-type]

    def text(self, name: str) -> str:
        """Value as text."""
        return str(self.values[name])

    def on(self, name: str) -> bool:
        """Whether a flag is set; false when this version has no such option."""
        return bool(self.values.get(name))


def integer(low: int, high: int) -> Callable[[str], int]:
    """A C integer: out of range is refused, except that unsigned ones wrap a negative number as lexical_cast does."""

    def convert(text: str) -> int:
        if not text.lstrip("+-").isascii() or not text.lstrip("+-").isdigit() or text[1:].startswith(("+", "-")):
            raise ValueError(text)
        value = int(text)
        if low == 0 and -high <= value < 0:
            value += high + 1
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return convert


def number(text: str) -> float:
    """A C float."""
    if text != text.strip() or "_" in text:
        raise ValueError(text)
    return float(text)


U16, U32, U64 = integer(0, 2**16 - 1), integer(0, 2**32 - 1), integer(0, 2**64 - 1)
INT = integer(-(2**31), 2**31 - 1)

OPTIONS: tuple[Option, ...] = (
    Option("help", "h", help="show this help message"),
    Option("send", "s", help="send traffic"),
    Option("recv", "r", help="receive traffic"),
    Option("length", "l", integer(0, 2**63), 1048576, "event buffer length in bytes [s]"),
    Option("uri", "u", str, "", "EJFAT URI, overrides EJFAT_URI [s,r]"),
    Option("num", "n", integer(0, 2**63), 10, "number of event buffers to send [s]"),
    Option("enum", "e", U64, 0, "starting event number (has no effect) [s]"),
    Option("mtu", "m", U16, 1500, "size of the IP packet in bytes [s]"),
    Option("src", "", U32, 1234, "event source id [s]"),
    Option("dataid", "", U16, 4321, "data id [s]"),
    Option("threads", "", integer(0, 2**63), 1, "receive threads [r]"),
    Option("sockets", "", integer(0, 2**63), 4, "source sockets [s]"),
    Option("rate", "", number, 1.0, "rate of event bytes in Gbit/s [s]"),
    Option("period", "p", U16, 1000, "milliseconds between reports [r]"),
    Option("bufsize", "b", INT, 3145728, "socket buffer in bytes [s,r]"),
    Option("duration", "d", INT, 0, "seconds to run, 0 until interrupted [r]"),
    Option("withcp", "c", help="use the control plane (not part of this stand-in) [s,r]"),
    Option("ini", "i", str, "", "flags file (has no effect in direct mode) [s,r]"),
    Option("ip", "", str, "127.0.0.1", "address of this side [s,r]"),
    Option("port", "", U16, 10000, "first UDP port [r]"),
    Option("ipv6", "6", help="IPv6 address of the control plane [s,r]"),
    Option("ipv4", "4", help="IPv4 address of the control plane [s,r]"),
    Option("novalidate", "v", help="do not validate certificates [s,r]"),
    Option("deq", "", integer(0, 2**63), 1, "dequeue threads [r]"),
    Option("cores", "", INT, None, "cores to pin threads to [s,r]", many=True),
    Option("zerorate", "z", help="report zero rate in Sync packets [s]", until=(0, 2)),
    Option("seq", "", help="sequential LB event numbers [s]", until=(0, 2)),
    Option("autoip", "", help="find the addresses automatically [s,r]", since=(0, 2)),
    Option("numa", "", INT, -1, "NUMA node [s,r]", since=(0, 2)),
    Option("optimize", "o", str, None, "optimizations [s]", since=(0, 2), many=True),
    Option("multiport", "", help="socket k sends to data port + k [s]", since=(0, 3)),
    Option("smooth", "", help="pace each packet [s]", since=(0, 3)),
    Option("timeout", "", INT, 500, "reassembly timeout in milliseconds [r]", since=(0, 3)),
    Option("quiet", "q", help="no reports while running [r]", since=(0, 3)),
    Option("dpv6", "", help="IPv6 data address [s,r]", since=(0, 3)),
    Option("lbhdrversion", "", U16, 2, "LB header version, 2 or 3 [s]", since=(0, 3)),
    Option("rateGbps", "", number, 1.0, "same as rate [s]", since=(0, 3)),
    Option("realmalloc", "", help="allocate each event (has no effect) [s]", since=(0, 3)),
)


def options_of(style: tuple[int, int]) -> list[Option]:
    """The options that the given (major, minor) version has."""
    return [option for option in OPTIONS if option.since <= style <= option.until]


def _find(name: str, options: Sequence[Option]) -> Option:
    exact = [option for option in options if option.name == name]
    matches = exact or [option for option in options if name and option.name.startswith(name)]
    if len(matches) > 1:
        names = "', '--".join(option.name for option in matches)
        raise OptionError(f"option '--{name}' is ambiguous and matches '--{names}'", "ambiguous_option")
    if not matches:
        raise OptionError(f"unrecognised option '--{name}'", "unknown_option")
    return matches[0]


def _is_option(token: str, options: Sequence[Option]) -> bool:
    """Whether Boost would refuse the token as the value of the option before it."""
    try:
        if token.startswith("--"):
            return bool(_find(token[2:].split("=")[0], options))
        return len(token) > 1 and token[0] == "-" and any(o.short == token[1] for o in options)
    except OptionError:
        return False


def parse(arguments: Sequence[str], style: tuple[int, int]) -> Given:
    """Reads a command line.

    Raises:
        OptionError: When Boost would throw; the text is the one of the Boost exception.
    """
    options = options_of(style)
    given = Given({o.name: ([] if o.many else False if o.convert is None else o.default) for o in options})
    tokens = list(arguments)
    while tokens:
        token = tokens.pop(0)
        value: str | None = None
        if token.startswith("--") and len(token) > 2:
            name, equals, rest = token[2:].partition("=")
            option, shown, value = _find(name, options), f"--{name}", rest if equals else None
        elif token.startswith("-") and len(token) > 1:
            option = next((o for o in options if o.short == token[1]), None) or _unknown_short(token)
            shown = f"-{token[1]}"
            if len(token) > 2 and option.convert is None:
                tokens.insert(0, "-" + token[2:])
            elif len(token) > 2:
                value = token[2:]
        else:
            raise OptionError(
                "too many positional options have been specified on the command line",
                "too_many_positional_options_error",
            )
        _store(given, option, shown, value, tokens, options)
    return given


def _unknown_short(token: str) -> Option:
    raise OptionError(f"unrecognised option '{token}'", "unknown_option")


def _store(
    given: Given, option: Option, shown: str, value: str | None, tokens: list[str], options: list[Option]
) -> None:
    if option.convert is None:
        if value is not None:
            raise OptionError(f"option '{shown}' does not take any arguments", "invalid_command_line_syntax")
        if option.name in given.explicit:
            raise OptionError(f"option '--{option.name}' cannot be specified more than once", "multiple_occurrences")
        given.values[option.name] = True
        given.explicit.add(option.name)
        return
    texts = [value] if value is not None else []
    if not texts:
        if not tokens or _is_option(tokens[0], options):
            raise OptionError(
                f"the required argument for option '--{option.name}' is missing", "invalid_command_line_syntax"
            )
        texts = [tokens.pop(0)]
        while option.many and tokens and not tokens[0].startswith("-"):
            texts.append(tokens.pop(0))
    if option.name in given.explicit and not option.many:
        raise OptionError(f"option '--{option.name}' cannot be specified more than once", "multiple_occurrences")
    for text in texts:
        try:
            converted = option.convert(text) if text else _empty(text)
        except ValueError:
            raise OptionError(f"the argument ('{text}') for option '--{option.name}' is invalid") from None
        if option.many:
            given.values[option.name] = [*given.values[option.name], converted]  # type: ignore[misc]
        else:
            given.values[option.name] = converted
    given.explicit.add(option.name)


def _empty(text: str) -> object:
    raise ValueError(text)


def help_lines(style: tuple[int, int]) -> list[str]:
    """The option list of `--help`."""
    lines = ["Command-line options:"]
    for option in options_of(style):
        left = (f"-{option.short} [ --{option.name} ]" if option.short else f"--{option.name}") + (
            " arg" if option.convert else ""
        )
        default = f" (={option.default})" if option.convert and option.default not in (None, "") else ""
        lines.append(f"  {left + default:<34} {option.help}")
    return lines


CONFLICTS_RECV = ("num", "enum", "length", "mtu", "src", "dataid", "rate", "seq", "multiport", "smooth", "lbhdrversion")
CONFLICTS_SEND = ("threads", "period", "duration", "port", "deq", "quiet", "timeout")


def check_combinations(given: Given, style: tuple[int, int]) -> None:
    """Refuses options that exclude each other or lack one that they need.

    Raises:
        OptionError: With the text that the original prints.
    """
    pairs = [
        ("send", "recv"),
        *(("recv", name) for name in CONFLICTS_RECV),
        *(("send", name) for name in CONFLICTS_SEND),
    ]
    pairs += [
        ("ipv4", "ipv6"),
        ("cores", "threads"),
        ("cores", "send") if style < (0, 2) else ("cores", "sockets"),
        ("rate", "rateGbps"),
    ]
    for one, other in pairs:
        if one in given.explicit and other in given.explicit:
            raise OptionError(f"Conflicting options '{one}' and '{other}'.")
    if style < (0, 2):
        for role, needed in (("send", "ip"), ("recv", "ip"), ("recv", "port")):
            if role in given.explicit and needed not in given.explicit:
                raise OptionError(f"Option '{role}' requires option '{needed}'.")
