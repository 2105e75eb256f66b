"""Datagrams that a full receive buffer of prober or echo server threw away are charged to no path."""

from __future__ import annotations

import select
import signal
import socket
import threading
import time
from pathlib import Path

from NetLibrary._mechanics.outages.results.stream import evaluate
from NetLibrary._mechanics.outages.run.clock import SAME_CLOCK
from NetLibrary._mechanics.outages.run.echoes import lapses_in
from NetLibrary._mechanics.outages.run.inpod.wire import Outcome
from NetLibrary._mechanics.outages.run.logs import ProberLog
from NetLibrary._mechanics.outages.types import OutageKind, ProbeKind, StreamLog, StreamResult, StreamSpec, Window

from .conftest import MS, T0
from .test_prober import echo_server, free_port, prober_process, run_prober

#: More than any receive buffer that the kernel grants holds.
MANY = 8_000


def outages(result: StreamResult) -> list[Window]:
    """Those of a stream in which something was lost; on a busy machine some answers are slow besides."""
    return [window for window in result.windows if window.is_outage and set(window.outcomes) != {"SLOW"}]


def test_requests_that_found_the_buffer_of_a_paused_server_full_are_no_outage(tmp_path: Path) -> None:
    port = free_port()
    spec = StreamSpec(1, "path", ProbeKind.UDP, "127.0.0.1", port, 10, 300)
    with echo_server(port) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:

        def overrun() -> None:
            for _ in range(2):  # on a busy machine the prober may begin after the first
                time.sleep(0.8)
                server.send_signal(signal.SIGSTOP)
                for _ in range(MANY):
                    other.sendto(b"x", ("127.0.0.1", port))
                time.sleep(0.3)
                server.send_signal(signal.SIGCONT)

        beside = threading.Thread(target=overrun)
        beside.start()
        stream = run_prober(tmp_path, [spec], 3).stream_logs()[0]
        beside.join()
        server.terminate()
        assert server.stdout is not None
        lapses = lapses_in(server.stdout.read(), SAME_CLOCK)
    stream.paused += lapses.paused
    alone = evaluate(stream)
    assert OutageKind.SILENT_DROP in [window.kind for window in alone.windows], "nothing was overrun"
    assert lapses.overflows
    stream.overflows += lapses.overflows
    found = evaluate(stream)
    assert not outages(found), (found.windows, lapses)
    assert f"{found.excused} attempts found a receive buffer of prober or echo server full" in " ".join(found.notes)
    assert found.excused == found.outcomes["LOST"]


def test_answers_that_found_the_buffer_of_a_paused_prober_full_are_no_outage(tmp_path: Path) -> None:
    """The server had no processor and then answers all at once, to a prober that has none now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        spec = StreamSpec(1, "path", ProbeKind.UDP, "127.0.0.1", server.getsockname()[1], 10, 600)
        prober = prober_process(tmp_path, [spec], 3)
        began, held, overrun = 0.0, [], False
        while prober.poll() is None:
            if not select.select([server], [], [], 0.1)[0]:
                continue
            data, peer = server.recvfrom(9000)
            began = began or time.monotonic()
            if 0.5 < time.monotonic() - began < 0.8:
                held.append(data)
                continue
            if held and not overrun:
                overrun = True
                prober.send_signal(signal.SIGSTOP)
                time.sleep(0.05)
                for _ in range(MANY):
                    server.sendto(b"x", peer)
                for answer in held:
                    server.sendto(answer, peer)
                prober.send_signal(signal.SIGCONT)
            server.sendto(data, peer)
        out, err = prober.communicate(timeout=10)
    assert not err
    log = ProberLog("test", [spec])
    log.feed(out)
    stream = log.stream_logs()[0]
    found = evaluate(stream)
    assert stream.overflows
    assert found.outcomes["LOST"] >= len(held) - 2
    assert not outages(found), (found.windows, stream.overflows)
    stream.overflows = []
    assert outages(evaluate(stream))


def test_more_losses_than_the_buffers_threw_away_stay_an_outage(timeline) -> None:
    """A path that broke while nobody read is not hidden by what the buffer lost besides."""
    line = timeline(ProbeKind.UDP, 10)
    probes = line.probes(6, [(1000, 500)])
    lost = sum(1 for probe in probes if probe.outcome is Outcome.LOST)
    within = (T0 + 900 * MS, T0 + 1600 * MS)
    assert not evaluate(StreamLog(line.spec, probes, overflows=[(*within, lost)])).windows
    assert evaluate(StreamLog(line.spec, probes, overflows=[(*within, lost - 1)])).windows
    assert evaluate(StreamLog(line.spec, probes, overflows=[(T0, T0 + 900 * MS, lost)])).windows
