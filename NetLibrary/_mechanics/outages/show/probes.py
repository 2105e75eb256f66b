"""Every probe of a measurement as compressed JSON Lines."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from NetLibrary._mechanics.outages.results.outcome import OutageResult
from NetLibrary._mechanics.outages.types import NS


def write_probes(path: Path, result: OutageResult) -> int:
    """Writes one line per probe, and steps and windows at the head; returns the number of probes.

    Times are seconds since the start of the measurement on the controller's clock. A line of a probe is
    `{"stream": "service udp", "n": 12, "t": 1.234567, "outcome": "OK", "ms": 0.231}`, with `errno` where there was
    an error.

    Args:
        path: File to write, `….jsonl.gz`.
        result: The measurement.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=4) as out:
        head = {"measurement": result.name, "duration": round((result.end_ns - result.start_ns) / NS, 6)}
        out.write(json.dumps(head) + "\n")
        for step in result.steps:
            entry = {
                "step": step.name,
                "start": round((step.start_ns - result.start_ns) / NS, 6),
                "end": None if step.end_ns is None else round((step.end_ns - result.start_ns) / NS, 6),
                "error": step.error,
            }
            out.write(json.dumps(entry) + "\n")
        for source, log, shift in result.logs:
            head = {"stream": log.spec.name, "source": source, "address": log.spec.address, "port": log.spec.port}
            out.write(json.dumps({**head, "period_ms": log.spec.period_ms}) + "\n")
            name = json.dumps(log.spec.name)
            base = shift + result.start_ns
            for probe in log.probes:
                # By hand, as this is most of the time that writing a measurement takes
                error = f',"errno":{probe.code}' if probe.code else ""
                out.write(
                    f'{{"stream":{name},"n":{probe.sequence},"t":{(probe.sent_ns - base) / NS:.6f},'
                    f'"outcome":"{probe.outcome.name}","ms":{probe.elapsed_ns / 1e6:.3f}{error}}}\n'
                )
                count += 1
    return count
