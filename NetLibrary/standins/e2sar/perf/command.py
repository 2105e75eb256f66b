"""What happens between the command line and the exit code."""

from __future__ import annotations

import ipaddress
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence

from . import uri as uris
from .options import Given, OptionError, check_combinations, help_lines, parse
from .receiver import Post, Receiver, port_count, scarce_processor
from .sender import Job, Outcome, Sender, single, sleep_us
from .styles import SenderFacts, Style014, Style032, style_named
from .wire import LARGEST_DATAGRAM, SHORTEST_EVENT, header_bytes

Style = Style014 | Style032


def main(arguments: Sequence[str]) -> int:
    """Runs `e2sar_perf` with the given arguments and returns its exit code."""
    try:
        style = style_named(os.environ.get("E2SAR_STANDIN_STYLE", ""))
    except ValueError as error:
        complain(str(error))
        return 255
    old = style.version < (0, 2)
    if old and not arguments:
        say(*style.banner(), *help_lines(style.version))
        return 0
    try:
        given = parse(arguments, style.version)
    except OptionError as error:
        if old:
            abort(f"boost::wrapexcept<boost::program_options::{error.what}>", str(error))
        say(f"Unable to parse command line: {error}")
        return 255
    if given.on("help"):
        say(*style.banner(), *help_lines(style.version))
        return 0
    try:
        check_combinations(given, style.version)
    except OptionError as error:
        complain(f"Error processing command-line options: {error}")
        return 255
    if not old and not {"ip", "autoip"} & given.explicit:
        complain("One of --ip or --autoip must be specified. --autoip attempts to auto-detect the address.")
        return 255
    if given.on("withcp"):
        complain("This stand-in has no control plane: leave --withcp away to run in direct mode.")
        return 255
    if not (given.on("send") or given.on("recv")):
        say(*style.banner(), *help_lines(style.version))
        return 0
    try:
        uri = uris.parse(given.text("uri") or os.environ.get("EJFAT_URI", ""))
    except uris.UriError as error:
        complain(f"Error in parsing URI from command-line, error {error}")
        return 255
    return send(given, uri, style) if given.on("send") else receive(given, uri, style)


def say(*lines: str) -> None:
    """Prints to stdout at once, so that a follower of the log sees it."""
    sys.stdout.write("".join(line + "\n" for line in lines))
    sys.stdout.flush()


def complain(*lines: str) -> None:
    """Prints to stderr at once."""
    sys.stderr.write("".join(line + "\n" for line in lines))
    sys.stderr.flush()


def abort(what: str, text: str) -> None:
    """Dies as a C++ program does of an exception that nobody catches: exit status 134 in a shell."""
    complain(f"terminate called after throwing an instance of '{what}'", f"  what():  {text}")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGABRT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGABRT)


def send(given: Given, uri: uris.EjfatUri, style: Style) -> int:
    """The sender role; everything after the option checks ends with 0, as in the original."""
    old, mtu, length = style.version < (0, 2), given.int("mtu"), given.int("length")
    optimizations = ",".join(given["optimize"]) if "optimize" in given.explicit else "none"  # type: ignore[arg-type]
    for name in optimizations.split(","):
        if name not in ("none", "sendmmsg"):
            complain(f"Requested optimization {name} is not available on this platform")
            return 255
    say(*style.banner(optimizations))
    address = uri.data_v6 if given.on("dpv6") or not uri.data_v4 else uri.data_v4
    rate = given.float("rateGbps") if "rateGbps" in given.explicit else given.float("rate")
    if address is None:
        complain("Unable to create segmenter: Data address not present in the URI")
        return 0
    if old and not uri.has_sync:
        complain("Unable to create segmenter: Sync address not present in the URI")
        return 0
    if mtu > LARGEST_DATAGRAM:
        complain(f"Unable to create segmenter: MTU {mtu} exceeds {LARGEST_DATAGRAM}")
        return 0
    if given.int("sockets") > 128 or given.int("sockets") < 1:
        complain("Unable to create segmenter: number of sockets must be 1 to 128")
        return 0
    job = Job(
        address,
        uri.data_port,
        length,
        given.int("num"),
        mtu,
        rate,
        given.int("sockets"),
        given.int("bufsize"),
        given.int("dataid"),
        given.on("multiport"),
        given.on("smooth"),
        given.int("lbhdrversion") if "lbhdrversion" in given.values else 2,
    )
    try:
        sender = Sender(job)
    except OSError as error:
        complain(f"Segmenter encountered an error: Unable to open data socket: {os.strerror(error.errno or 0)}")
        return 0
    # as a background command of a shell it would ignore the signal; the original handles it in both roles
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _send(given, sender, style, optimizations)
    finally:
        sender.close()


def _send(given: Given, sender: Sender, style: Style, optimizations: str) -> int:
    job, old = sender.job, style.version < (0, 2)
    if not old and job.mtu == 0:
        job = sender.job = Job(**{**job.__dict__, "mtu": min(sender.interface_mtu or 1500, LARGEST_DATAGRAM)})
    if not old and sender.interface_mtu and job.mtu > sender.interface_mtu:
        complain(
            "Unable to create segmenter: Segmenter flags MTU override value exceeds outgoing interface MTU of "
            f"{sender.interface_mtu}"
        )
        return 0
    if not old and job.mtu == header_bytes(job.family):
        abort("e2sar::E2SARException", "no room for a payload")
    if job.mtu - header_bytes(job.family) < SHORTEST_EVENT:
        complain("Segmenter encountered an error: MTU is too short to send needed payload")
        return 0
    if job.length < SHORTEST_EVENT:
        complain(f"Segmenter encountered an error: this stand-in sends events of {SHORTEST_EVENT} bytes and more")
        return 0
    hertz = single(job.rate) * 1e9 / (job.length * 8) if job.rate > 0 else 0.0
    facts = SenderFacts(
        single(job.rate),
        job.length,
        job.number,
        job.mtu,
        hertz,
        sleep_us(job.rate, job.length),
        job.sockets,
        sender.interface,
        job.multiport,
        job.smooth,
        job.lb_version,
        "cores" in given.explicit,
        given.on("seq"),
        given.on("zerorate"),
        optimizations,
    )
    say(*style.sender_head(facts))
    time.sleep(_seconds("E2SAR_STANDIN_STARTUP"))
    expected = -(-job.length // job.largest_fragment) * job.number
    told = []

    def tell(outcome: Outcome) -> None:
        told.append(outcome.frames)
        say(*style.sender_tail(outcome.frames, expected, outcome.errors, outcome.last_error, outcome.elapsed_us, facts))

    try:
        outcome = sender.send(None if old else tell)
    except KeyboardInterrupt:
        say("Stopping threads")
        outcome = sender.outcome
        outcome.elapsed_us = sender.elapsed_us
    if not told:
        tell(outcome)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    time.sleep(2 * _seconds("E2SAR_STANDIN_LINGER"))
    return 0


def receive(given: Given, uri: uris.EjfatUri, style: Style) -> int:
    """The receiver role."""
    address, port, threads, old = given.text("ip"), given.int("port"), given.int("threads"), style.version < (0, 2)
    if "cores" in given.explicit:
        threads = len(given["cores"])  # type: ignore[arg-type]
    if "autoip" in given.explicit:
        address = uri.data_v4 or uri.data_v6 or address
    say(*style.banner())
    try:
        ipaddress.ip_address(address)
    except ValueError:
        abort("boost::wrapexcept<boost::system::system_error>", "make_address: Invalid argument [system:22]")
    refused = ""
    if uri.data_v4 is None and uri.data_v6 is None:
        refused = "Data address not present in the URI"
    elif port < 1024 or port + port_count(threads) > 65536:
        refused = f"Receive port {port} is outside 1024 to 65535"
    elif not 1 <= threads <= 128:
        refused = "number of receive threads must be 1 to 128"
    elif "timeout" in given.values and not 0 < given.int("timeout") <= 10000:
        refused = "reassembly timeout must be 1 to 10000 ms"
    if refused:
        complain(f"Unable to create reassembler: {refused}")
        return 0
    timeout = given.int("timeout") if "timeout" in given.values else 500
    last = port + port_count(threads) - 1
    say(*style.receiver_head(given.int("duration"), address, (port, last), "cores" in given.explicit, timeout))
    post = Post(
        address,
        port,
        threads,
        given.int("bufsize"),
        max(0, given.int("duration")),
        max(1, given.int("period")) / 1000,
        timeout / 1000,
        not old,
        _spins(),
    )
    try:
        receiver = Receiver(post)
    except OSError as error:
        complain(f"Reassembler encountered an error: Unable to open receive sockets: {os.strerror(error.errno or 0)}")
        return 0
    output = complain if style.to_stderr else say
    stopped = receiver.run(
        lambda counters: None if given.on("quiet") else output(*style.stats(counters)), report_at_once=old
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tail = style.receiver_tail(receiver.per_port, given.int("deq"))
    # The original says that it is done, reads on for a second without reporting, and rests for another one
    pause = _seconds("E2SAR_STANDIN_LINGER", 0.0 if stopped else 1.0)
    done = tail.index("Deregistering worker")
    say(*(["Stopping threads"] if stopped else []), *tail[:done])
    receiver.read_on(pause)
    receiver.close()
    say(*style.receiver_tail(receiver.per_port, given.int("deq"))[done:])
    time.sleep(pause)
    return 0


def _spins() -> bool:
    wish = os.environ.get("E2SAR_STANDIN_SPIN", "")
    return wish != "0" if wish else scarce_processor()


def _seconds(name: str, default: float = 0.0) -> float:
    try:
        return max(0.0, float(os.environ.get(name, "") or default))
    except ValueError:
        return default
