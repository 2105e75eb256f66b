"""AccessTokens: redeeming them at the site that granted access."""

from __future__ import annotations

import asyncio
import http.client
import logging
import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import yaml

from . import names, objects
from .conditions import ERROR, Status
from .kube import ApiError

if TYPE_CHECKING:
    from .controller import Controller

log = logging.getLogger("tokens")

ANSWER_SECONDS = 10.0
AGAIN_SECONDS = 2.0  # at least between two tries for one token


class Refused(Exception):
    """The token was not redeemed; the text goes into its status."""


class Redeemer:
    """Redeems the tokens of all namespaces."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self._tried: dict[str, float] = {}
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def reconcile(self, namespace: str, site: dict | None) -> None:
        """Starts redemptions of tokens that are due."""
        for token in self.controller.of("AccessToken", namespace):
            uid = token["metadata"]["uid"]
            if (token.get("status") or {}).get("redeemed"):
                await self._check_site(token, site)
            elif site is not None and self._due(uid):
                self._busy.add(uid)
                task = asyncio.ensure_future(self._redeem(token, site))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _due(self, uid: str) -> bool:
        if uid in self._busy:
            return False
        return time.monotonic() - self._tried.get(uid, -1e9) >= AGAIN_SECONDS

    async def _check_site(self, token: dict, site: dict | None) -> None:
        """Marks a token whose Site was deleted; Link and Secret went with that Site."""
        status = Status(token)
        since = status.conditions.get("Redeemed", {}).get("lastTransitionTime", "")
        if site is not None and site["metadata"]["creationTimestamp"] <= since:
            return
        if site is None and self.controller.of("Site", token["metadata"]["namespace"]):
            return  # it is there, but has a fault at the moment
        status.set("Redeemed", True, ERROR, "Already redeemed for a deleted site")
        await self.controller.save(status)

    async def _redeem(self, token: dict, site: dict) -> None:
        uid = token["metadata"]["uid"]
        status = Status(token)
        try:
            documents = await asyncio.to_thread(ask, token, site["metadata"]["uid"])
            await self._create(token, site, documents)
            status.ok("Redeemed")
            status.fields["redeemed"] = True
        except Refused as error:
            log.warning("token %s: %s", token["metadata"]["name"], error)
            status.error("Redeemed", str(error))
        self._tried[uid] = time.monotonic()
        try:
            await self.controller.save(status)
        except ApiError as error:
            log.warning("token %s: %s", token["metadata"]["name"], error)
        finally:
            self._busy.discard(uid)

    async def _create(self, token: dict, site: dict, documents: list[dict]) -> None:
        namespace = token["metadata"]["namespace"]
        cost = token["spec"].get("linkCost") or 0
        for document in documents:
            secret = document.get("kind") == "Secret"
            what = "secret" if secret else "link"
            document["metadata"]["namespace"] = namespace
            document["metadata"]["ownerReferences"] = [objects.owner_reference(site)]
            labels = document["metadata"].setdefault("labels", {})
            labels[names.LABEL_STAND_IN] = names.STAND_IN
            if not secret and cost > 0:
                document["spec"]["cost"] = cost
            plural = "secrets" if secret else "links"
            prefix = "/api/v1" if secret else f"/apis/{names.API_VERSION}"
            try:
                await self.controller.api.call("POST", f"{prefix}/namespaces/{namespace}/{plural}", document)
            except ApiError as error:
                text = f"Controller could not create received {what}: {error.message}"
                raise Refused(text) from error


def ask(token: dict, subject: str) -> list[dict]:
    """Redeems a token: posts the code and reads Secret and Links from the answer.

    Raises:
        Refused: With the words for the token's status.
    """
    spec = token["spec"]
    parts = urlsplit(spec["url"])
    if parts.scheme != "https":
        raise Refused("token url scheme must be https")
    if not spec["ca"].strip():
        raise Refused("token does not have a CA")
    try:
        context = ssl.create_default_context(cadata=spec["ca"])
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 443, timeout=ANSWER_SECONDS, context=context
        )
        headers = {"name": token["metadata"]["name"], "subject": subject}
        connection.request("POST", parts.path, body=spec["code"].encode(), headers=headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Refused(f"Controller got error: {error}") from error
    if response.status != 200:
        reason = response.reason
        raise Refused(f"Controller got failed response: {response.status} ({reason}) {text.strip()}")
    try:
        documents = [document for document in yaml.safe_load_all(text) if document]
        kinds = {document["kind"] for document in documents}
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise Refused("Controller could not decode response") from error
    if not {"Secret", "Link"} <= kinds:
        raise Refused("Controller could not decode response")
    return documents
