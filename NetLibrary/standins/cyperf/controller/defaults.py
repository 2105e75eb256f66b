"""Default objects of a session's configuration tree.

The tree mirrors the published interface of a CyPerf controller (names, required fields and
default values as its OpenAPI description and Python client show them). Whatever a client
POSTs to a list is merged into the default of that list, so that a new item is complete at
once: clients read fields of it right after the POST.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

JsonObject = dict[str, Any]


def parameter(identifier: str, name: str, value: str, kind: str = "string") -> JsonObject:
    """Returns one entry of a `Params` list."""
    return {"id": identifier, "Name": name, "Type": kind, "Value": value, "Source": "Value"}


def ip_range(identifier: str = "1") -> JsonObject:
    """Returns the addresses of a segment; automatic, as pods need it."""
    return {
        "id": identifier,
        "IpAuto": True,
        "IpRangeName": f"IP Range {identifier}",
        "AutomaticIpType": "ONLY_IPV4",
        "IpStart": "10.0.0.10",
        "IpIncr": "0.0.0.1",
        "IpVer": "IPV4",
        "Count": 1,
        "HostCount": 1,
        "maxCountPerAgent": 1,
        "NetMaskAuto": True,
        "NetMask": 16,
        "GwAuto": True,
        "GwStart": "10.0.0.1",
        "MssAuto": True,
        "Mss": 1460,
        "networkTags": [],
    }


def assigned_agent(identifier: str = "1") -> JsonObject:
    """Returns the assignment of one agent by id."""
    return {
        "id": identifier,
        "agentId": "",
        "interfaces": [],
        "captureSettings": {
            "captureEnabled": False,
            "logLevel": "INFO",
            "maxCaptureSize": 104857600,
            "captureLatestPackets": False,
        },
    }


def ip_segment(identifier: str = "1", tags: list[str] | None = None) -> JsonObject:
    """Returns one IP network segment: a group of agents in one role."""
    return {
        "id": identifier,
        "Name": f"IP Network {identifier}",
        "active": True,
        "minAgents": 1,
        "networkTags": tags or ["Client" if identifier == "1" else "Server"],
        "DUTConnections": [],
        "EthRange": {"MacAuto": True, "Count": 1, "maxCountPerAgent": 1, "OneMacPerIP": True},
        "IPRanges": [ip_range()],
        "agentAssignments": {"ByID": [], "ByTag": [], "ByPort": []},
        "DNSResolver": {"nameServers": [], "cacheTimeout": 0, "enablePerconnect": False},
        "DNSServer": {"Enabled": False, "Port": 53, "Automatic": True},
        "IPSecStacks": [],
        "TunnelStacks": [],
        "MacDtlsStacks": [],
    }


def health_check(scheme: str, enabled: bool) -> JsonObject:
    """Returns a health check that the emulated servers answer during a run."""
    port = {"HTTP": 80, "HTTPS": 443, "TCP": 80}[scheme]
    parameters = []
    if scheme != "TCP":
        parameters = [
            parameter("1", "Target URL", f"/CyPerf{scheme}HealthCheck"),
            parameter("2", "Payload", ""),
            parameter("3", "HTTP Version", "1.1"),
        ]
    return {"Enabled": enabled, "Port": port, "Params": parameters}


def dut_segment(identifier: str = "1") -> JsonObject:
    """Returns the device under test: where the clients aim."""
    return {
        "id": identifier,
        "Name": f"DUT Network {identifier}",
        "active": False,
        "host": "",
        "ConfigSettings": "ADVANCED_MODE",
        "networkTags": [],
        "ServerDUTActive": False,
        "ServerDUTHost": "",
        "ServerDUTPort": 0,
        "ClientDUTActive": False,
        "ClientDUTHost": "",
        "ClientDUTPort": 0,
        "PepDUTActive": False,
        "UseRealHost": False,
        "HTTPHealthCheck": health_check("HTTP", True),
        "HTTPSHealthCheck": health_check("HTTPS", False),
        "TCPHealthCheck": health_check("TCP", False),
    }


def network_profile(identifier: str = "1", segments: bool = False) -> JsonObject:
    """Returns a network profile, empty or with the usual client, server and DUT segments."""
    return {
        "id": identifier,
        "IPNetworkSegment": [ip_segment("1"), ip_segment("2")] if segments else [],
        "DUTNetworkSegment": [dut_segment()] if segments else [],
    }


def timeline_segment(identifier: str, kind: str, enabled: bool, duration: int) -> JsonObject:
    """Returns one of the three parts of a timeline."""
    return {
        "id": identifier,
        "SegmentType": kind,
        "Duration": duration,
        "Enabled": enabled,
        "NumberOfSteps": 2,
        "ObjectiveValue": 100,
        "ObjectiveUnit": "",
        "WarmUpPeriod": 0,
    }


def objectives(duration: int = 600) -> JsonObject:
    """Returns the objective of a traffic profile with its timeline."""
    return {
        "PrimaryObjective": {
            "id": "1",
            "Type": "Simulated users",
            "Unit": "",
            "MaxPendingSimulatedUsers": "10%",
            "MaxSimulatedUsersPerInterval": 0,
            "Timeline": [
                timeline_segment("1", "StepUpSegment", False, 60),
                timeline_segment("2", "SteadySegment", True, duration),
                timeline_segment("3", "StepDownSegment", False, 60),
            ],
        },
        "SecondaryObjectives": [],
        "AdvancedSettings": {"WarmUpPeriod": 0, "AgentOptimizationMode": "BALANCED_MODE"},
        "TimelineSegments": [
            {
                "id": "1",
                "SegmentType": "SteadySegment",
                "Duration": duration,
                "PrimaryObjectiveValue": 100,
                "PrimaryObjectiveUnit": "",
            }
        ],
    }


def transport_profile() -> JsonObject:
    """Returns transport settings; the stand-in's agents honour the TLS switches of them."""
    tcp = {
        "RxBuffer": 4096,
        "TxBuffer": 4096,
        "MinRto": 100,
        "MaxRto": 3200,
        "MinSrcPort": 1024,
        "MaxSrcPort": 65535,
        "SackEnabled": False,
    }
    tls = {
        "profileId": "TLSProfile",
        "version": "NONE",
        "tls12Enabled": False,
        "tls13Enabled": False,
        "sniEnabled": False,
        "sendCloseNotify": True,
    }
    return {
        "L4ProfileName": "Default",
        "ClientTcpProfile": dict(tcp),
        "ServerTcpProfile": dict(tcp),
        "ClientTLSProfile": dict(tls),
        "ServerTLSProfile": dict(tls),
    }


def traffic_profile(identifier: str = "1") -> JsonObject:
    """Returns an application profile without applications."""
    return {
        "id": identifier,
        "Name": "Application Profile",
        "Active": True,
        "Applications": [],
        "ObjectivesAndTimeline": objectives(),
        "DefaultNetworkMapping": {"ClientNetworkTags": ["Client"], "ServerNetworkTags": ["Server"]},
        "TrafficSettings": {"DefaultTransportProfile": transport_profile()},
    }


def attack_profile(identifier: str = "1") -> JsonObject:
    """Returns an attack profile."""
    return {
        "id": identifier,
        "Name": "Attack Profile",
        "Active": True,
        "Attacks": [],
        "DefaultNetworkMapping": {"ClientNetworkTags": ["Client"], "ServerNetworkTags": ["Server"]},
        "ObjectivesAndTimeline": {
            "TimelineSegments": [
                {
                    "id": "1",
                    "Duration": 600,
                    "SegmentType": "SteadySegment",
                    "AttackRate": 1,
                    "MaxConcurrentAttack": 1,
                    "IterationCount": 0,
                }
            ]
        },
    }


def port_settings(encrypted: bool = False) -> JsonObject:
    """Returns the ports of a connection; 0 means 80, and 443 with TLS."""
    port = "443" if encrypted else "80"
    return {
        "Automatic": True,
        "AutomaticDestinationPort": True,
        "AutomaticForwardProxyPort": True,
        "DestinationPort": 0,
        "ServerListenPort": 0,
        "ForwardProxyPort": 0,
        "EffectivePorts": {
            "EffectiveDestinationPort": port,
            "EffectiveForwardProxyPort": "0",
            "EffectiveServerPort": port,
        },
    }


def connection(identifier: str = "1", kind: str = "http") -> JsonObject:
    """Returns one connection of an application."""
    return {
        "id": identifier,
        "Name": f"Connection {identifier}",
        "Type": kind,
        "ClientEndpoint": "Client",
        "ServerEndpoint": "Server",
        "ClientPort": 0,
        "ServerPort": 443 if kind in ("https", "tls", "ssl") else 80,
        "MaxTransactions": 0,
        "DisableEncryption": False,
        "HostnameParam": parameter("1", "Hostname", "generic.keysight.io"),
        "PortSettings": port_settings(kind in ("https", "tls", "ssl")),
    }


def application(identifier: str = "1") -> JsonObject:
    """Returns an application before its catalogue entry is merged in."""
    return {
        "id": identifier,
        "Name": f"Application {identifier}",
        "Active": True,
        "ProtocolID": "HTTP",
        "Static": True,
        "IsDeprecated": False,
        "ObjectiveWeight": 1,
        "InheritTLS": True,
        "ExternalResourceURL": "",
        "IterationCount": 0,
        "ConnectionsMaxTransactions": 0,
        "NetworkMapping": {"ClientNetworkTags": [], "ServerNetworkTags": []},
        "Connections": [connection()],
        "Tracks": [],
        "Params": [],
    }


def attack(identifier: str = "1") -> JsonObject:
    """Returns an attack as it is kept in a profile."""
    return {"id": identifier, "Name": f"Attack {identifier}", "Active": True, "ExternalResourceURL": ""}


_TEMPLATES: dict[str, Callable[[str], JsonObject]] = {
    "NetworkProfiles": network_profile,
    "IPNetworkSegment": ip_segment,
    "DUTNetworkSegment": dut_segment,
    "IPRanges": ip_range,
    "ByID": assigned_agent,
    "TrafficProfiles": traffic_profile,
    "AttackProfiles": attack_profile,
    "Applications": application,
    "Attacks": attack,
    "Connections": connection,
}


def template(list_name: str, identifier: str) -> JsonObject:
    """Returns a fresh default object for the list `list_name`."""
    factory = _TEMPLATES.get(list_name)
    return factory(identifier) if factory else {"id": identifier}


def empty_configuration() -> JsonObject:
    """Returns the configuration `CyPerf Empty Config`."""
    return {
        "NetworkProfiles": [network_profile("1", segments=False)],
        "TrafficProfiles": [],
        "AttackProfiles": [],
        "ExpectedDiskSpace": [],
        "CustomDashboards": {"Active": False},
        "ConfigValidation": {"IsValidated": False, "ValidationMessages": []},
    }


def merged(base: JsonObject, change: JsonObject) -> JsonObject:
    """Returns `base` with `change` laid over it; null in the change means "not said"."""
    result = copy.deepcopy(base)
    for key, value in change.items():
        if value is None or key == "links":
            continue
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result
