"""HTTP to one API server: credentials, time limits, patience with a server that restarts, and readable errors."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from NetLibrary._mechanics import errors, secrets
from NetLibrary._mechanics.kube import answers, kubeconfig, transport
from NetLibrary._mechanics.kube.absences import RECOVERY, STARTING, Absences
from NetLibrary._mechanics.kube.answers import cause
from NetLibrary._mechanics.kube.choice import SERVICE_ACCOUNT, Choice
from NetLibrary._mechanics.kube.clock import Clock
from NetLibrary._mechanics.kube.credentials import Credential, Credentials
from NetLibrary._mechanics.kube.pulls import FailedPulls
from NetLibrary._mechanics.kube.transport import CONNECT_TIMEOUT
from NetLibrary._mechanics.polling import LongWait

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

__all__ = ["CONNECT_TIMEOUT", "Connection", "cause"]

READ_TIMEOUT = 30.0
# A server that has never answered may have the wrong address: it is given up soon.
FIRST_ANSWER_FOR = 3.0
# One that has answered may restart, or sit behind a load balancer that has not noticed yet. The time counts from when
# it fell silent, so that the requests after it do not wait once more each.
RECONNECT_FOR = 30.0
# A server that is overloaded, or whose store looks for a leader, says so; it is asked again for so long.
BUSY_FOR = 15.0
# Credentials that were accepted before may be refused for a moment, while keys or accounts are renewed
REFUSED_FOR = 5.0

T = TypeVar("T")


class Connection:
    """One API server with the credentials for it.

    Args:
        choice: Which cluster.
        alias: Name of the cluster in messages.

    Raises:
        errors.InputError: The kubeconfig is not usable.
    """

    def __init__(self, choice: Choice, alias: str = "default") -> None:
        self.alias = alias
        self.choice = choice
        self.target = _in_cluster() if choice.source == "in-cluster" else kubeconfig.load(
            choice.kubeconfig, choice.context
        )  # fmt: skip
        self.context = self.target.context or choice.source
        self.server = self.target.server
        self.credentials = Credentials(self.target)
        self.clock = Clock()
        self.absences = Absences()
        self.failed_pulls = FailedPulls()
        self._lock = threading.Lock()
        self._pool: tuple[str, PoolManager] | None = None
        self._answered = False
        self._silent_since: float | None = None
        self._accepted = False  # whether the server has ever taken the credentials
        self._refused_since: float | None = None
        if self.target.user.plugin is None:
            # Unusable certificates would show at the first request, as a dead server
            self._pool_for(Credential(certificate=self.target.user.certificate, key=self.target.user.key))

    @property
    def http(self) -> PoolManager:
        """The pool of connections, with the client certificate that counts now."""
        return self._pool_for(self.credentials.get())

    def _pool_for(self, credential: Credential) -> PoolManager:
        with self._lock:
            if self._pool is None or self._pool[0] != credential.certificate:  # a plugin gave a new certificate
                try:
                    self._pool = (credential.certificate, transport.pool(self.target, credential))
                except transport.Unreadable as error:
                    raise errors.InputError(
                        f"The kubeconfig '{self.target.origin}' is not usable: "
                        f"its certificates cannot be read: {error}."
                    ) from None
            return self._pool[1]

    def headers(self, credential: Credential | None = None) -> dict[str, str]:
        """Returns the headers that identify us, renewed where the kubeconfig says how.

        Headers of impersonation may come several times, so the result is a multi-valued dictionary of urllib3.
        """
        from urllib3 import HTTPHeaderDict

        held = credential or self.credentials.get()
        result = HTTPHeaderDict({"User-Agent": "NetLibrary", "Accept": "application/json"})
        if held.authorization:
            result.add("Authorization", held.authorization)
        for name, value in self.credentials.impersonate:
            result.add(name, value.encode().decode("latin-1"))  # which http.client writes: UTF-8 comes out
        return result  # type: ignore[return-value]

    def url(self, path: str, query: dict[str, Any] | list[tuple[str, Any]] | None = None) -> str:
        """Returns the address of an API path with its query, None values left out."""
        pairs = list(query.items()) if isinstance(query, dict) else list(query or [])
        kept = [(key, _text(value)) for key, value in pairs if value is not None]
        return self.server + quote(path, safe="/:%") + (f"?{urlencode(kept)}" if kept else "")

    def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float | None = None,
        patient: bool = True,
        accept: str = "application/json",
        wanted: type = object,
    ) -> Any:
        """Sends one request and returns the decoded answer (dict for JSON, else text).

        Args:
            method: HTTP method.
            path: Path of the API.
            query: Query; None values are left out.
            body: Bytes, or what becomes JSON.
            content_type: Of the body.
            timeout: Seconds between two pieces of the answer.
            patient: Whether to ask again where that is safe and may help.
            accept: Kinds of answers that are understood.
            wanted: What the decoded answer must be; anything else came from somebody on the way.

        Raises:
            errors.ClusterError: The server said no, or there was no answer (`Unreachable`).
        """

        def ask() -> Any:
            response = self._once(method, path, query, body, content_type, timeout, accept)
            try:
                data = self._read(response, method, path)
            finally:
                response.release_conn()
            return self._understood(data.decode(errors="replace"), response, method, path, wanted)

        return self._patiently(ask, method, path, content_type) if patient else ask()

    def request_object(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Sends one request as `request` does, where only an object is an answer.

        Raises:
            errors.Unreachable: Somebody else answered, for instance a proxy with a page to log in.
        """
        answer: dict[str, Any] = self.request(method, path, wanted=dict, **options)
        return answer

    def _understood(self, text: str, response: BaseHTTPResponse, method: str, path: str, wanted: type) -> Any:
        kind = str(response.headers.get("Content-Type", ""))
        answer: Any = text
        if "json" in kind:
            try:
                answer = json.loads(text)
            except ValueError as error:
                raise self._nonsense(method, path, text) from error
            secrets.learn_answer(text, answer)
        page = "html" in kind and "/proxy" not in path  # behind which there may be anything
        if page or not isinstance(answer, wanted):
            raise self._nonsense(method, path, str(answer))
        return answer

    def open(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float | None = None,
        patient: bool = True,
    ) -> BaseHTTPResponse:
        """Sends one request and returns the unread response, for watches and logs that are followed."""

        def ask() -> BaseHTTPResponse:
            return self._once(method, path, query, body, content_type, timeout)

        return self._patiently(ask, method, path, content_type) if patient else ask()

    def start(self, connect: Callable[[Credential], T], path: str) -> T:
        """Opens something besides HTTP, a WebSocket for instance, with the same patience and renewal of credentials.

        Args:
            connect: Opens it with a credential; raises ClusterError. Called again only when nothing can have begun.
            path: For messages.
        """

        def ask() -> T:
            credential = self.credentials.get()
            try:
                return connect(credential)
            except errors.Unauthorized:
                if not self.credentials.rejected(credential):
                    raise
                return connect(self.credentials.get())

        return self._patiently(ask, "POST", path, "")

    # --- asking -----------------------------------------------------------------------------------------

    def _patiently(self, ask: Callable[[], T], method: str, path: str, content_type: str) -> T:
        begin, attempt, lost = time.monotonic(), 0, False
        told = LongWait("The API server does not answer as it should", RECONNECT_FOR)
        while True:
            attempt += 1
            try:
                result = ask()
            except errors.ClusterError as error:
                error.after_lost, wait = lost, error.retry_after
                pause = answers.pause_before_again(error, method, content_type, path, wait, attempt)
                if pause is None and self.unsettled(error, begin):
                    pause = answers.backoff(attempt)
                lost = lost or (isinstance(error, errors.Unreachable) and error.sent)
                if isinstance(error, errors.Unreachable):
                    with self._lock:
                        self._silent_since = self._silent_since or begin
                    end = self._silent_since + (RECONNECT_FOR if self._answered else FIRST_ANSWER_FOR)
                else:
                    self._heard()
                    end = begin + BUSY_FOR
                if pause is None or time.monotonic() + pause >= end:
                    if attempt > 1 and not isinstance(error, errors.Unreachable):
                        error.args = (f"{error} It was tried {attempt} times in {time.monotonic() - begin:.0f} s.",)
                    raise
                told.goes_on(secrets.head(str(error), 200))
                time.sleep(pause)
            else:
                self._heard()
                return result

    def unsettled(self, error: errors.ClusterError, since: float) -> bool:
        """Tells whether a refusal may be of a moment: of a server that has just begun, or while keys are renewed.

        Args:
            error: The refusal.
            since: When what is refused was first asked for.
        """
        if error.status == 403:
            return self.absences.returned_within(STARTING)
        with self._lock:
            known = self._refused_since
        return error.status == 401 and known is not None and time.monotonic() - min(known, since) < REFUSED_FOR

    def answered(self, status: int) -> None:
        """Takes note of an answer, and whether it took the credentials."""
        self.absences.heard()
        with self._lock:
            if status != 401:
                self._accepted, self._refused_since = True, None
            elif self._accepted and self._refused_since is None:
                self._refused_since = time.monotonic()

    def _heard(self) -> None:
        with self._lock:
            self._answered, self._silent_since = True, None

    def _once(
        self, method: str, path: str, query: Any, body: Any, content_type: str, timeout: float | None, accept: str = ""
    ) -> BaseHTTPResponse:
        credential = self.credentials.get()
        try:
            return self._send(method, path, query, body, content_type, timeout, credential, accept)
        except errors.Unauthorized:
            # A token may have been renewed meanwhile; what was refused for it was not done
            if not self.credentials.rejected(credential):
                raise
        return self._send(method, path, query, body, content_type, timeout, self.credentials.get(), accept)

    def _send(
        self,
        method: str,
        path: str,
        query: Any,
        body: Any,
        content_type: str,
        timeout: float | None,
        credential: Credential,
        accept: str,
    ) -> BaseHTTPResponse:
        import urllib3

        headers = self.headers(credential)
        if accept:
            headers["Accept"] = accept
        data: bytes | None = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            if not isinstance(body, bytes):
                secrets.learn_answer(data.decode(), body)
        begin, began = time.time(), time.monotonic()
        limit = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT if timeout is None else timeout)
        try:
            response: BaseHTTPResponse = self._pool_for(credential).request(
                method, self.url(path, query), body=data, headers=headers, timeout=limit, preload_content=False,
                retries=False, redirect=False,
            )  # fmt: skip
        # Nothing wider: Robot's stop signal is an ordinary Exception, raised wherever we happen to be
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self.unreachable(method, path, error, began) from error
        self.answered(response.status)
        self.clock.hear(response.headers.get("Date"), begin, time.time())
        if response.status < 300:
            return response
        try:
            text = self._read(response, method, path).decode(errors="replace")
        finally:
            response.release_conn()
        if response.status < 400:
            text = f"a redirection to '{response.headers.get('Location', '?')}'"
        refusal = answers.refused(self.alias, method, path, response.status, text)
        refusal.retry_after = answers.retry_after(response.headers)
        refusal.soon_after_absence = self.absences.returned_within(RECOVERY)
        raise refusal

    def _read(self, response: BaseHTTPResponse, method: str, path: str) -> bytes:
        import urllib3

        try:
            return response.read()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self.unreachable(method, path, error) from error

    def unreachable(
        self, method: str, path: str, error: BaseException, began: float | None = None
    ) -> errors.Unreachable:
        """Returns the error for a request that was not answered; `began` is when it tried to connect."""
        import urllib3

        never_sent = isinstance(
            error,
            (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError, ConnectionRefusedError),
        )
        found = errors.Unreachable(
            f"Cluster '{self.alias}' at {self.server} did not answer {method} {path.partition('?')[0]}: "
            f"{cause(error)}.",
            sent=not never_sent and not of_trust(error),
        )
        found.final = of_trust(error)
        if began is not None and never_sent:
            self.absences.silent(began)
        return found

    def _nonsense(self, method: str, path: str, text: str) -> errors.Unreachable:
        return errors.Unreachable(
            f"Cluster '{self.alias}' at {self.server} answered {method} {path} with something that is not a Kubernetes "
            f"answer: {secrets.head(answers.plain(text), 200) or 'nothing'}."
        )


def of_trust(error: BaseException) -> bool:
    """Tells whether certificates did not fit, which no repetition changes."""
    import ssl

    seen: list[BaseException] = [error]
    for each in seen:
        if isinstance(each, ssl.SSLCertVerificationError):
            return True
        nested = [getattr(each, "reason", None), each.__cause__, *each.args]
        seen += [one for one in nested if isinstance(one, BaseException) and one not in seen]
    return False


def _in_cluster(account: Path = SERVICE_ACCOUNT) -> kubeconfig.Target:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    authority = account / "ca.crt"
    return kubeconfig.Target(
        origin=str(account),
        context="",
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        user=kubeconfig.User("service account", token_file=account / "token"),
        authority=authority.read_text() if authority.exists() else "",
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
