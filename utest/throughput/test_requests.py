"""Latency of requests and new connections: what fortio printed, and what follows from it."""

from __future__ import annotations

import json

import pytest

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary._mechanics.throughput.requests.judge import RequestLimits, judge
from NetLibrary._mechanics.throughput.requests.objects import Load, client_job, server_manifests
from NetLibrary._mechanics.throughput.requests.results import RequestRun, read

REFUSED = (
    '{"ts":1.2,"level":"err","r":1,"file":"http_client.go","line":954,"msg":"Unable to connect",'
    '"err":"dial tcp 10.0.0.7:81: connect: connection refused","numfd":9,"thread":0,"run":0}\n'
)


def printed(codes: dict[str, int], *, before: str = "Fortio 1.68.2 running at 0 queries per second\n") -> str:
    """What fortio prints: lines of its log, the document, and a summary after it."""
    document = {
        "RunType": "HTTP", "ActualDuration": 2_000_000_000, "Version": "1.68.2", "RetCodes": codes, "SocketCount": 1,
        "DurationHistogram": {
            "Count": sum(codes.values()), "Max": 0.05, "Avg": 0.001,
            "Percentiles": [
                {"Percentile": 50, "Value": 0.0005}, {"Percentile": 99, "Value": 0.002},
                {"Percentile": 99.9, "Value": 0.01},
            ],
        },
    }  # fmt: skip
    return f"{before}{json.dumps(document, indent=2)}\nAll done 9 calls\n"


def test_figures_come_from_the_document() -> None:
    run = read(printed({"200": 20_000}))
    assert (run.answers, run.failed, run.requests_per_second) == (20_000, 0, 10_000)
    assert (run.p50_ms, run.p99_ms, run.p999_ms, run.max_ms) == (0.5, 2.0, 10.0, 50.0)


def test_failures_are_told_by_their_kind() -> None:
    run = read(printed({"200": 90, "503": 4, "-1": 6}, before=REFUSED * 6))
    assert run.failures == {"status 503": 4, "connection refused": 6}
    assert (run.answers, run.failed) == (90, 10)


def test_lines_of_the_other_stream_within_the_document_are_left_out() -> None:
    """In a pod's log, fortio's summary on standard error came in the middle of its document."""
    text = printed({"200": 20_000})
    half = text.index('  "RetCodes"')
    mixed = f'{text[:half]}Aggregated Function Time : count 9\n{{"ts":1.2,"level":"warn"}}\n# target 50%\n{text[half:]}'
    assert read(mixed) == read(text)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("", "it printed nothing"),
        ('{"level":"err","msg":"Unable to lookup"}\nAborting because of lookup x: no such host', "Unable to lookup"),
        ('{\n "RunType": "HTTP"\n}\n', "cannot be read"),
    ],
)
def test_without_a_document_there_is_no_result(output: str, words: str) -> None:
    with pytest.raises(EnvironmentProblem, match=words):
        read(output)


def sentences(run: RequestRun, **limits: float) -> list[str]:
    checks, errors = judge(run, RequestLimits(**limits), "web:80")
    return [*errors, *(check.sentence for check in checks if not check.passed)]


def test_each_limit_has_its_sentence_and_is_silent_when_it_is_met() -> None:
    run = read(printed({"200": 19_800, "503": 200}))
    assert sentences(run, p50_at_most=1, p99_at_most=3, p999_at_most=20, rate_at_least=9000, failed_at_most=2) == []
    assert sentences(run, p50_at_most=0.1, p99_at_most=1, p999_at_most=5, rate_at_least=11_000, failed_at_most=0.5) == [
        "'web:80': half of the answers took up to 0.500 ms; at most 0.1 ms is allowed.",
        "'web:80': 99 % of the answers took up to 2.000 ms; at most 1 ms is allowed.",
        "'web:80': 99.9 % of the answers took up to 10.000 ms; at most 5 ms is allowed.",
        "'web:80' answered 9900 requests per second; expected at least 11000.",
        "'web:80': 200 of 20000 requests failed (status 503 200); at most 0.5 %.",
    ]


def test_a_server_that_answers_nothing_fails_whatever_was_asked() -> None:
    run = read(printed({"-1": 30}, before=REFUSED))
    assert sentences(run) == ["'web:80' answered none of 30 requests: connection refused 30."]


def test_the_slowest_thousandth_of_a_few_requests_is_no_figure() -> None:
    (text,) = sentences(read(printed({"200": 900})), p999_at_most=50)
    assert text.startswith("p99.9 of 900 requests depends on only a few of them; measure longer")


def test_a_client_is_the_program_and_nothing_else() -> None:
    load = Load("fd00::7", 8080, 2, 4, new_connections=True)
    (container,) = client_job("c", "demo", "i", load, node="n1")["spec"]["template"]["spec"]["containers"]
    assert "command" not in container
    assert container["args"][-2:] == ["-keepalive=false", "http://[fd00::7]:8080/"]
    deployment, service = server_manifests("s", "demo", "i", service_type="NodePort")
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    assert server["args"] == [
        "server", "-http-port", "8080", "-tcp-port=disabled", "-udp-port=disabled", "-grpc-port=disabled",
        "-redirect-port=disabled",
    ]  # fmt: skip
    assert service["spec"]["type"] == "NodePort"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"connections": 0}, "at least 1"),
        ({"seconds": 0.01}, "at least 0.1 s"),
        ({"per_second": -1}, "or 0 for no limit"),
    ],
)
def test_loads_that_make_no_sense_are_refused(wrong: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Load("web", **wrong)
