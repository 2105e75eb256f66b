"""Names, labels and ports that the stand-in shares with the real interface.

Source of the facts: behaviour of Skupper v2 seen through the Kubernetes API.
"""

from __future__ import annotations

GROUP = "skupper.io"
API_VERSION = "skupper.io/v2alpha1"

ROUTER = "skupper-router"
AUTO_MESH = "auto-mesh-"
ROUTER_CONFIG_KEY = "skrouterd.json"
NETWORK_STATUS = "skupper-network-status"
NETWORK_STATUS_KEY = "NetworkStatus"
SITE_CA = "skupper-site-ca"
LOCAL_CA = "skupper-local-ca"
LOCAL_SERVER = "skupper-local-server"
SITE_SERVER = "skupper-site-server"
LOCAL_SERVICE = "skupper-router-local"
GRANT_SERVER = "skupper-grant-server"
GRANT_SERVER_CA = "skupper-grant-server-ca"

LABEL_ROUTER_CONFIG = "internal.skupper.io/router-config"
LABEL_LISTENER = "internal.skupper.io/listener"
LABEL_SECURED_ACCESS = "internal.skupper.io/secured-access"
LABEL_CERTIFICATE = "internal.skupper.io/certificate"
LABEL_TEMPLATE = "skupper.io/label-template"
LABEL_COMPONENT = "skupper.io/component"
LABEL_GROUP = "skupper.io/group"
LABEL_STAND_IN = "netlibrary.io/stand-in"
ANNOTATION_CONTROLLED = "internal.skupper.io/controlled"
ANNOTATION_STAND_IN = "netlibrary.io/stand-in-note"
STAND_IN = "skupper"
STAND_IN_NOTE = "NetLibrary's stand-in for Skupper; not a Skupper product."

FIELD_MANAGER = "skupper-controller"

PORT_INTER_ROUTER = 55671
PORT_EDGE = 45671
PORT_AMQPS = 5671
PORT_MANAGEMENT = 5672
PORT_ROUTER_HEALTH = 9090
PORT_ADAPTOR_HEALTH = 9191
PORT_GRANTS = 9090
PORT_CONTROLLER_HEALTH = 9000
FIRST_LISTENER_PORT = 1024

ROUTER_SELECTOR = {"application": "skupper-router", LABEL_COMPONENT: "router"}

Obj = dict  # a Kubernetes object as the API server gives it
