"""The custom resource definitions of group skupper.io, written from tables of their fields."""

from __future__ import annotations

from typing import Any

VERSION = "v2alpha1"
STRING = {"type": "string"}
INTEGER = {"type": "integer"}
BOOLEAN = {"type": "boolean"}
SETTINGS = {"type": "object", "additionalProperties": STRING}


def _object(required: tuple[str, ...] = (), **fields: Any) -> dict:
    schema: dict[str, Any] = {"type": "object", "properties": fields}
    if required:
        schema["required"] = list(required)
    return schema


def _array(item: dict) -> dict:
    return {"type": "array", "items": item}


def _described(schema: dict, text: str) -> dict:
    return {**schema, "description": text}


CONDITIONS = _array(
    _object(
        ("lastTransitionTime", "message", "reason", "status", "type"),
        lastTransitionTime={"type": "string", "format": "date-time"},
        message={"type": "string", "maxLength": 32768},
        observedGeneration={"type": "integer", "format": "int64", "minimum": 0},
        reason={
            "type": "string",
            "minLength": 1,
            "maxLength": 1024,
            "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        },
        status={"type": "string", "enum": ["True", "False", "Unknown"]},
        type={"type": "string", "maxLength": 316},
    )
)
ENDPOINT = _object(name=STRING, host=STRING, port=STRING, group=STRING)
PODS = _array(_object(name=STRING, ip=STRING))
OBSERVER = {"type": "string", "enum": ["auto", "none", "http1", "http2"]}
UNIQUE_KEYS = {
    "type": "array",
    "items": STRING,
    "minItems": 1,
    "maxItems": 256,
    "x-kubernetes-list-type": "set",
}
STRATEGY = {
    **_object(
        priority=_object(("routingKeys",), routingKeys=UNIQUE_KEYS),
        weighted=_object(
            ("routingKeys",),
            routingKeys={
                "type": "object",
                "additionalProperties": INTEGER,
                "minProperties": 1,
                "maxProperties": 256,
            },
        ),
    ),
    "x-kubernetes-validations": [
        {
            "rule": "has(self.priority) != has(self.weighted)",
            "message": "exactly one of priority and weighted must be given",
        },
        {
            "rule": "has(self.priority) == has(oldSelf.priority)",
            "message": "the kind of strategy cannot be changed",
        },
    ],
}
NETWORK = _array(
    _object(
        id=STRING,
        name=STRING,
        namespace=STRING,
        platform=STRING,
        version=STRING,
        links=_array(_object(name=STRING, remoteSiteId=STRING, remoteSiteName=STRING, operational=BOOLEAN)),
        services=_array(_object(routingKey=STRING, connectors=_array(STRING), listeners=_array(STRING))),
    )
)


class Kind:
    """One custom resource: its names, fields and printer columns."""

    def __init__(
        self,
        kind: str,
        plural: str,
        short: tuple[str, ...],
        columns: tuple[tuple[str, ...], ...],
        spec: dict,
        **status: Any,
    ) -> None:
        self.kind, self.plural, self.short, self.columns = kind, plural, short, columns
        self.spec, self.status = spec, status

    def definition(self) -> dict:
        """Gives the CustomResourceDefinition."""
        self.spec["properties"]["settings"] = SETTINGS
        status = _object(status=STRING, message=STRING, conditions=CONDITIONS, **self.status)
        schema = _object(
            ("spec",) if self.spec.get("required") else (),
            apiVersion=STRING,
            kind=STRING,
            metadata={"type": "object"},
            spec=self.spec,
            status=status,
        )
        columns = [
            {"name": name, "jsonPath": path, "type": kind}
            for name, path, kind in ((*column, "string")[:3] for column in self.columns)
        ]
        singular = self.kind.lower()
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{self.plural}.skupper.io"},
            "spec": {
                "group": "skupper.io",
                "scope": "Namespaced",
                "names": {
                    "kind": self.kind,
                    "listKind": f"{self.kind}List",
                    "plural": self.plural,
                    "singular": singular,
                    **({"shortNames": list(self.short)} if self.short else {}),
                },
                "versions": [
                    {
                        "name": VERSION,
                        "served": True,
                        "storage": True,
                        "schema": {"openAPIV3Schema": schema},
                        "subresources": {"status": {}},
                        "additionalPrinterColumns": columns,
                    }
                ],
            },
        }


STATUS = ("Status", ".status.status")
MESSAGE = ("Message", ".status.message")
KEY = ("Routing Key", ".spec.routingKey")
PORT = ("Port", ".spec.port", "integer")
HOST = ("Host", ".spec.host")
SELECTOR = ("Selector", ".spec.selector")
HAS_LISTENER = ("Has Matching Listener", ".status.hasMatchingListener", "boolean")

KINDS = (
    Kind(
        "Site",
        "sites",
        ("st",),
        (STATUS, ("Sites In Network", ".status.sitesInNetwork", "integer"), MESSAGE),
        _object(
            serviceAccount=STRING,
            linkAccess=STRING,
            defaultIssuer=STRING,
            ha=BOOLEAN,
            edge=BOOLEAN,
        ),
        defaultIssuer=STRING,
        controller=_object(name=STRING, namespace=STRING, version=STRING),
        endpoints=_array(ENDPOINT),
        sitesInNetwork=INTEGER,
        network=NETWORK,
    ),
    Kind(
        "Link",
        "links",
        ("ln",),
        (STATUS, ("Remote Site", ".status.remoteSiteName"), MESSAGE),
        _object(("endpoints",), endpoints=_array(ENDPOINT), tlsCredentials=STRING, cost=INTEGER),
        remoteSiteId=STRING,
        remoteSiteName=STRING,
    ),
    Kind(
        "Listener",
        "listeners",
        ("lnr",),
        (
            KEY,
            PORT,
            HOST,
            STATUS,
            ("Has Matching Connector", ".status.hasMatchingConnector", "boolean"),
            MESSAGE,
        ),
        _object(
            ("routingKey", "host", "port"),
            routingKey=STRING,
            host=STRING,
            port=INTEGER,
            tlsCredentials=STRING,
            type=STRING,
            observer=OBSERVER,
            exposePodsByName=BOOLEAN,
        ),
        hasMatchingConnector=BOOLEAN,
    ),
    Kind(
        "MultiKeyListener",
        "multikeylisteners",
        (),
        (STATUS, MESSAGE, ("HasDestination", ".status.hasDestination", "boolean")),
        _object(
            ("host", "port", "strategy"),
            host=STRING,
            port=INTEGER,
            strategy=STRATEGY,
            tlsCredentials=STRING,
            requireClientCert=BOOLEAN,
            observer=OBSERVER,
        ),
        hasDestination=BOOLEAN,
        strategy=_object(
            priority=_object(routingKeysReachable=_array(STRING)),
            weighted=_object(routingKeysReachable={"type": "object", "additionalProperties": INTEGER}),
        ),
    ),
    Kind(
        "Connector",
        "connectors",
        ("cnr",),
        (KEY, PORT, HOST, SELECTOR, STATUS, HAS_LISTENER, MESSAGE),
        _object(
            ("routingKey", "port"),
            routingKey=STRING,
            port=INTEGER,
            selector=STRING,
            host=STRING,
            tlsCredentials=STRING,
            useClientCert=BOOLEAN,
            verifyHostname=BOOLEAN,
            type=STRING,
            includeNotReadyPods=BOOLEAN,
            exposePodsByName=BOOLEAN,
        ),
        hasMatchingListener=BOOLEAN,
        selectedPods=PODS,
    ),
    Kind(
        "AttachedConnector",
        "attachedconnectors",
        ("acnr",),
        (PORT, SELECTOR, ("Site Namespace", ".spec.siteNamespace"), STATUS),
        _object(
            ("siteNamespace", "port", "selector"),
            siteNamespace=STRING,
            port=INTEGER,
            selector=STRING,
            tlsCredentials=STRING,
            useClientCert=BOOLEAN,
            includeNotReadyPods=BOOLEAN,
            type=STRING,
        ),
        selectedPods=PODS,
    ),
    Kind(
        "AttachedConnectorBinding",
        "attachedconnectorbindings",
        ("acnrb",),
        (KEY, ("Connector Namespace", ".spec.connectorNamespace"), STATUS, HAS_LISTENER),
        _object(
            ("connectorNamespace", "routingKey"),
            connectorNamespace=STRING,
            routingKey=STRING,
            exposePodsByName=BOOLEAN,
        ),
        hasMatchingListener=BOOLEAN,
    ),
    Kind(
        "AccessGrant",
        "accessgrants",
        ("grant", "gr"),
        (
            ("Redemptions Allowed", ".spec.redemptionsAllowed", "integer"),
            ("Redemptions Made", ".status.redemptions", "integer"),
            ("Expiration", ".status.expirationTime"),
            STATUS,
            MESSAGE,
        ),
        _object(
            redemptionsAllowed=INTEGER,
            expirationWindow=_described(
                {"type": "string", "format": "duration"}, "How long the grant is valid, e.g. 15m."
            ),
            code=STRING,
            issuer=STRING,
        ),
        url=STRING,
        code=STRING,
        ca=STRING,
        redemptions=INTEGER,
        expirationTime=STRING,
    ),
    Kind(
        "AccessToken",
        "accesstokens",
        ("token", "to"),
        (("URL", ".spec.url"), ("Redeemed", ".status.redeemed", "boolean"), STATUS, MESSAGE),
        _object(("url", "code", "ca"), url=STRING, code=STRING, ca=STRING, linkCost=INTEGER),
        redeemed=BOOLEAN,
    ),
    Kind(
        "RouterAccess",
        "routeraccesses",
        (),
        (STATUS, MESSAGE),
        _object(
            ("roles", "tlsCredentials"),
            roles=_array(_object(("name",), name=STRING, port=INTEGER)),
            tlsCredentials=STRING,
            accessType=STRING,
            generateTlsCredentials=BOOLEAN,
            issuer=STRING,
            bindHost=STRING,
            subjectAlternativeNames=_array(STRING),
        ),
        endpoints=_array(ENDPOINT),
    ),
    Kind(
        "SecuredAccess",
        "securedaccesses",
        (),
        (STATUS, MESSAGE),
        _object(
            ("selector", "ports"),
            selector={"type": "object", "additionalProperties": STRING},
            ports=_array(_object(("name", "port"), name=STRING, port=INTEGER, targetPort=INTEGER, protocol=STRING)),
            accessType=STRING,
            certificate=STRING,
            issuer=STRING,
        ),
        endpoints=_array(ENDPOINT),
        ca=STRING,
    ),
    Kind(
        "Certificate",
        "certificates",
        (),
        (
            ("CA", ".spec.ca"),
            ("Server", ".spec.server", "boolean"),
            ("Client", ".spec.client", "boolean"),
            ("Signing", ".spec.signing", "boolean"),
            STATUS,
            ("Expiration", ".status.expiration"),
            MESSAGE,
        ),
        _object(
            ("ca", "subject"),
            ca=STRING,
            subject=STRING,
            hosts=_array(STRING),
            client=BOOLEAN,
            server=BOOLEAN,
            signing=BOOLEAN,
        ),
        expiration=STRING,
    ),
)


def definitions() -> list[dict]:
    """Gives all definitions in the order of their kinds."""
    return [kind.definition() for kind in KINDS]
