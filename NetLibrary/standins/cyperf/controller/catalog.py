"""Application catalogue and the configurations that are there from the beginning."""

from __future__ import annotations

import copy
from typing import Any

from . import defaults

JsonObject = dict[str, Any]
HTTP, HTTPS, TCP, OTHER = "http", "https", "tcp", "udp"

# name, protocol id, connection type, bytes of a request body, bytes of a response
_APPLICATIONS = (
    ("HTTP App", "HTTP", HTTP, 0, 1024),
    ("HTTPS App", "HTTPS", HTTPS, 0, 1024),
    ("HTTP GET 1MB", "HTTP", HTTP, 0, 1_000_000),
    ("HTTPS GET 1MB", "HTTPS", HTTPS, 0, 1_000_000),
    ("HTTP POST 32K", "HTTP", HTTP, 32_768, 128),
    ("TCP App", "TCP", TCP, 512, 1024),
    ("Portal Chrome to Apache", "HTTP", HTTP, 0, 16_384),
    ("Google Search", "HTTP", HTTP, 0, 8_192),
    ("Google Mail", "HTTP", HTTP, 2_048, 4_096),
    ("Google Maps", "HTTP", HTTP, 0, 32_768),
    ("Google Drive", "HTTP", HTTP, 16_384, 1_024),
    ("Google Docs", "HTTP", HTTP, 1_024, 8_192),
    ("UDP Stream", "UDP", OTHER, 0, 0),
    ("DNS", "DNS", OTHER, 0, 0),
)
# Listed, and 404 when fetched by id: users met such entries on real controllers.
BROKEN_APPLICATION = "Retired App"


def _identifier(name: str) -> str:
    return "app-" + name.lower().replace(" ", "-")


def _actions(request_bytes: int, response_bytes: int) -> list[JsonObject]:
    return [
        {
            "id": "1",
            "Actions": [
                {
                    "id": "1",
                    "Name": "Transaction",
                    "Index": 1,
                    "Params": [
                        defaults.parameter("1", "Request Payload Bytes", str(request_bytes), "int"),
                        defaults.parameter("2", "Response Payload Bytes", str(response_bytes), "int"),
                    ],
                }
            ],
        }
    ]


def application(name: str, identifier: str = "1") -> JsonObject:
    """Returns the application of that exact catalogue name as a profile holds it.

    Raises:
        KeyError: When the catalogue has no such name.
    """
    for each, protocol, kind, request_bytes, response_bytes in _APPLICATIONS:
        if each == name:
            made = defaults.application(identifier)
            made.update(
                Name=name,
                ProtocolID=protocol,
                ExternalResourceURL=_identifier(name),
                Connections=[defaults.connection("1", kind)],
                Tracks=_actions(request_bytes, response_bytes),
                IsStreaming=kind == OTHER,
                SupportsTLS=kind in (HTTP, HTTPS, TCP),
            )
            return made
    raise KeyError(name)


def application_by_id(identifier: str) -> JsonObject:
    """Returns the application with that catalogue id (a URL ending in it is accepted).

    Raises:
        KeyError: When there is none.
    """
    wanted = identifier.rstrip("/").rsplit("/", 1)[-1]
    for name, *_ in _APPLICATIONS:
        if _identifier(name) == wanted:
            return application(name)
    raise KeyError(identifier)


def applications() -> list[JsonObject]:
    """Returns the catalogue as `resources/apps` lists it."""
    names = [name for name, *_ in _APPLICATIONS] + [BROKEN_APPLICATION]
    return [
        {
            "id": _identifier(name),
            "Name": name,
            "Description": f"{name} of the stand-in's catalogue",
            "Static": True,
            "UserDefined": False,
            "owner": "system",
        }
        for name in names
    ]


def attacks() -> list[JsonObject]:
    """Returns attacks, one for each strike: harmless requests that carry the strike's name."""
    return [{**each, "id": str(each["id"]).replace("strike", "attack")} for each in strikes()]


def strikes() -> list[JsonObject]:
    """Returns what attacks are made of; the names are made up and nothing of them is in what is sent."""
    return [
        {
            "id": f"strike-{number}",
            "Name": f"Google Chrome Stand-in Strike {number}",
            "Description": "A harmless HTTP request",
            "owner": "system",
            "ownerId": "system",
        }
        for number in range(1, 5)
    ]


def _two_arm(*names: str) -> JsonObject:
    configuration = defaults.empty_configuration()
    configuration["NetworkProfiles"] = [defaults.network_profile("1", segments=True)]
    if names:
        profile = defaults.traffic_profile("1")
        profile["Applications"] = [application(name, str(number)) for number, name in enumerate(names, start=1)]
        configuration["TrafficProfiles"] = [profile]
    return configuration


def _metadata(identifier: str, name: str, now: int) -> JsonObject:
    return {
        "id": identifier,
        "displayName": name,
        "configUrl": identifier,
        "type": "appsec",
        "application": "appsec",
        "owner": "system",
        "ownerId": "system",
        "createdOn": now,
        "lastModified": now,
        "lastAccessed": now,
        "readonly": True,
        "isPublic": True,
        "encodedFiles": False,
        "tags": {"Stand-in": "true"},
        "version": {"dataModelVersion": DATA_MODEL, "configServiceVersion": "stand-in"},
        "linkedResources": [],
    }


DATA_MODEL = "1.0-standin"


def built_in_configurations(now: int) -> dict[str, tuple[JsonObject, JsonObject]]:
    """Returns the configurations by id: metadata and tree."""
    throughput = _two_arm("HTTP GET 1MB", "HTTP POST 32K")
    steady = throughput["TrafficProfiles"][0]["ObjectivesAndTimeline"]["PrimaryObjective"]
    steady.update(Type="Throughput", Unit="bps")
    steady["Timeline"][1].update(ObjectiveValue=1, ObjectiveUnit="Gbps")
    attack_mix = _two_arm("HTTP App")
    attack_mix["AttackProfiles"] = [defaults.attack_profile()]
    known = {
        "appsec-empty-config": ("CyPerf Empty Config", defaults.empty_configuration()),
        "appsec-two-arm-base": ("CyPerf Two Arm Base", _two_arm()),
        "appsec-appmix": ("CyPerf AppMix", _two_arm("HTTP App", "HTTPS App")),
        "appsec-appmix-and-attack": ("CyPerf AppMix And Attack", attack_mix),
        "appsec-nwfh": ("Not Working From Home Traffic Mix", _two_arm("Google Search", "Google Mail", "HTTPS App")),
        "appsec-http-throughput": (
            "HTTP GET+POST Throughput (1MB Payload, 32K buffer)",
            throughput,
        ),
    }
    return {
        identifier: (_metadata(identifier, name, now), copy.deepcopy(tree))
        for identifier, (name, tree) in known.items()
    }
