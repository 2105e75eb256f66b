"""Everything the stand-in controller remembers, and the switches that make it misbehave."""

from __future__ import annotations

import json
import os
import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from . import catalog

JsonObject = dict[str, Any]
FACTORY_USER, FACTORY_PASSWORD = "admin", "CyPerf&Keysight#1"  # published factory login


@dataclass
class Settings:
    """Switches of the stand-in, from environment variables `CYPERF_STANDIN_<NAME>`."""

    username: str = FACTORY_USER
    password: str = FACTORY_PASSWORD
    offline_tokens: str = "stand-in-offline-token"
    token_seconds: float = 600.0
    minimum_duration: int = 30
    statistics_step: float = 3.0
    offline_after: float = 300.0
    statistics_lag: float = 7.0
    version: str = "0.1-standin"
    admin_key: str = ""

    @classmethod
    def from_environment(cls) -> Settings:
        """Returns the settings; a variable that does not convert stops the program with its name."""
        settings = cls()
        for name, default in vars(cls()).items():
            text = os.environ.get(f"CYPERF_STANDIN_{name.upper()}")
            if text:
                try:
                    setattr(settings, name, type(default)(text))
                except ValueError:
                    raise SystemExit(
                        f"CYPERF_STANDIN_{name.upper()} must be a {type(default).__name__}, got '{text}'."
                    ) from None
        return settings


@dataclass
class Faults:
    """Misbehaviour to order at `PUT /stand-in/faults`; each is off in the beginning.

    `http_errors`, `html` and `drop_downloads` map a part of a path to a status, a count of
    answers (`-1`: always) and a number of bytes after which the connection is cut.
    """

    eula_pending: bool = False
    licence_missing: bool = False
    netmask_missing: bool = False
    operation_seconds: dict[str, float] = field(default_factory=dict)
    operation_errors: dict[str, str] = field(default_factory=dict)
    http_errors: dict[str, int] = field(default_factory=dict)
    html: dict[str, int] = field(default_factory=dict)
    drop_downloads: dict[str, int] = field(default_factory=dict)
    failing_views: list[str] = field(default_factory=list)
    ignore_stop: bool = False
    agents_stay_running: float = 0.0

    def set(self, body: JsonObject) -> None:
        """Sets the named faults.

        Raises:
            ValueError: For a name that is none, or a value of the wrong type.
        """
        for name, value in body.items():
            present = vars(self).get(name)
            if present is None:
                raise ValueError(f"unknown fault '{name}', known are: {', '.join(vars(self))}")
            wanted = (int, float) if isinstance(present, float) else type(present)
            if not isinstance(value, wanted):
                raise ValueError(f"fault '{name}' takes a {type(present).__name__}, got {json.dumps(value)}")
            setattr(self, name, value)


@dataclass
class Session:
    """One working copy of a configuration and the run in it."""

    id: str
    index: int
    name: str
    config_name: str
    config_url: str
    tree: JsonObject
    created: int
    owner: str = "admin"
    meta: list[JsonObject] = field(default_factory=list)
    pinned: bool = False
    run: Any = None
    status: str = "STOPPED"
    details: str = ""
    test_id: str = ""
    aborts: int = 0


@dataclass
class Result:
    """One finished or running test with its statistics."""

    id: str
    session_id: str
    name: str
    start: int
    tree: JsonObject
    end: int = 0
    statistics: Any = None
    user_tags: list[str] = field(default_factory=list)


class Store:
    """State of one stand-in controller."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.faults = Faults()
        self.tokens: dict[str, float] = {}
        self.refresh_tokens = {each for each in settings.offline_tokens.split(",") if each}
        self.configs = catalog.built_in_configurations(now())
        self.sessions: dict[str, Session] = {}
        self.results: dict[str, Result] = {}
        self.notifications: list[JsonObject] = []
        self.licence_servers: dict[int, JsonObject] = {}
        self.brokers: dict[int, JsonObject] = {}
        self.session_index = 100
        self.config_index = 500

    def grant(self) -> JsonObject:
        """Returns a new pair of tokens in Keycloak's form."""
        access = "standin-access-" + secrets.token_urlsafe(24)
        refresh = "standin-refresh-" + secrets.token_urlsafe(24)
        self.tokens[access] = time.monotonic() + self.settings.token_seconds
        self.refresh_tokens.add(refresh)
        return {
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": int(self.settings.token_seconds),
            "refresh_expires_in": 1800,
            "token_type": "Bearer",
            "scope": "openid",
        }

    def token_is_good(self, header: str) -> bool:
        """Says whether an Authorization header holds a live token, with or without `Bearer`."""
        token = header.removeprefix("Bearer ").strip()
        return self.tokens.get(token, 0.0) > time.monotonic()

    def notify(self, severity: str, message: str, tags: dict[str, str]) -> None:
        """Adds a notification that `GET /notifications` lists."""
        self.notifications.append(
            {
                "id": str(len(self.notifications) + 1),
                "message": message,
                "severity": severity,
                "timestamp": now(),
                "seen": False,
                "sticky": False,
                "alerting": severity == "error",
                "owner": "stand-in",
                "tags": tags,
            }
        )

    def new_config(self, name: str, tree: JsonObject) -> JsonObject:
        """Stores a configuration under a fresh id and returns its metadata."""
        self.config_index += 1
        identifier = f"appsec-{self.config_index}"
        stamp = now()
        metadata = {
            "id": identifier,
            "displayName": name,
            "configUrl": identifier,
            "type": "appsec",
            "application": "appsec",
            "owner": "admin",
            "ownerId": "admin",
            "createdOn": stamp,
            "lastModified": stamp,
            "lastAccessed": stamp,
            "readonly": False,
            "isPublic": False,
            "encodedFiles": False,
            "tags": {"Stand-in": "true"},
            "version": {"dataModelVersion": catalog.DATA_MODEL, "configServiceVersion": "stand-in"},
            "linkedResources": [],
        }
        self.configs[identifier] = (metadata, tree)
        return metadata

    def find_config(self, url: str) -> tuple[JsonObject, JsonObject] | None:
        """Returns metadata and tree of the configuration a session asks for."""
        return self.configs.get(url.rstrip("/").rsplit("/", 1)[-1])

    def new_session(self, metadata: JsonObject, tree: JsonObject, name: str | None) -> Session:
        """Stores a session with its own copy of the tree."""
        self.session_index += 1
        session = Session(
            id=f"appsec-{uuid.uuid4()}",
            index=self.session_index,
            name=name or f"{self.session_index} {metadata['displayName']}",
            config_name=metadata["displayName"],
            config_url=metadata["configUrl"],
            tree=json.loads(json.dumps(tree)),
            created=now(),
        )
        self.sessions[session.id] = session
        return session


def now() -> int:
    """Returns the time as whole seconds: clients refuse fractions."""
    return int(time.time())
