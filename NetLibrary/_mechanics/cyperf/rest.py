"""Talks to the controller: tokens, time limits, clear errors, and no secret in any text."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import secrets
from NetLibrary._mechanics.errors import (
    ControllerError,
    ControllerUnreachable,
    InputError,
    LoginRefused,
    Missing,
    NotJson,
)

if TYPE_CHECKING:
    import requests
    import urllib3

TOKEN_PATH = "/auth/realms/keysight/protocol/openid-connect/token"
EULA_PATH = "/eula/v1/eula/CyPerf"
_CONNECT_SECONDS = 5.0
_TITLE = re.compile(r"<(?:title|h1)[^>]*>(.*?)</(?:title|h1)>", re.IGNORECASE | re.DOTALL)
# Answers of a controller whose services restart; only reading is repeated.
_BUSY = (502, 503, 504)
_BUSY_TRIES = 3
_BUSY_LONGEST_SECONDS = 10.0
_DOWNLOAD_TRIES = 2


class Connection:
    """One controller and one set of credentials. Safe to use from several threads.

    Args:
        address: Host, `host:port` or URL; `https` unless the URL says `http`.
        username: User for the password grant.
        password: Password of that user.
        refresh_token: Refresh or offline token instead of user and password.
        certificate: File of authorities to trust; None accepts any certificate, as the
            appliance comes with a self-signed one.
        timeout: Seconds that a single answer may take.

    Raises:
        InputError: The address or the combination of credentials is not usable.

    Example:
        >>> Connection("controller.example", refresh_token="t").base
        'https://controller.example'
    """

    def __init__(
        self,
        address: str,
        *,
        username: str | None = None,
        password: str | None = None,
        refresh_token: str | None = None,
        certificate: Path | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.base = _base(address)
        if bool(refresh_token) == bool(username and password):
            raise InputError("Give either username and password or a refresh token for the CyPerf controller.")
        if certificate is not None and not certificate.is_file():
            raise InputError(f"The certificate file '{certificate}' does not exist.")
        self._credentials = (username, password, refresh_token)
        self._timeout = timeout
        self._verify: bool | str = str(certificate) if certificate else False
        self._token = ""
        self._expires = 0.0
        self._secrets = {each for each in (password, refresh_token) if each}
        secrets.learn(*self._secrets)
        self._lock = threading.Lock()
        self._http: requests.Session | None = None

    @property
    def http(self) -> requests.Session:
        """The session below; its requests carry a token without naming it in their headers."""
        if self._http is None:
            import requests
            import urllib3

            self._http = requests.Session()
            # Proxies and certificate bundles of the environment are meant for other hosts.
            self._http.trust_env = False
            self._http.verify = self._verify
            self._http.mount(self.base, requests.adapters.HTTPAdapter(max_retries=_patience()))
            if not self._verify:
                urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        return self._http

    def redact(self, text: str) -> str:
        """Returns the text without any secret of this connection, also URL-encoded."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            for form in (secret, urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret)):
                text = text.replace(form, "<secret>")
        return text

    def keep_secret(self, text: str) -> None:
        """Keeps a further secret out of all texts of this connection."""
        if text:
            self._secrets.add(text)

    # --- tokens -------------------------------------------------------------------------------------

    def token(self, *, renew: bool = False) -> str:
        """Returns a live access token; asks for a new one when needed.

        Raises:
            LoginRefused: The credentials are not accepted.
        """
        with self._lock:
            if renew or not self._token or time.monotonic() >= self._expires:
                self._authenticate()
            return self._token

    def _authenticate(self) -> None:
        username, password, refresh_token = self._credentials
        form = {"client_id": "clt-wap", "scope": "openid offline_access"}
        if refresh_token:
            form |= {"grant_type": "refresh_token", "refresh_token": refresh_token}
        else:
            form |= {"grant_type": "password", "username": str(username), "password": str(password)}
        response = self._send("POST", TOKEN_PATH, data=form)
        if response.status_code in (400, 401, 403):
            who = f"user '{username}'" if username else "the refresh token"
            raise LoginRefused(
                f"The CyPerf controller {self.base} does not accept {who}: {self._reason(response)}.",
                status=response.status_code,
            )
        if not response.ok:
            raise ControllerError(
                f"The CyPerf controller {self.base} returned no token: {self._reason(response)}.",
                status=response.status_code,
            )
        answer = self._json(response, "POST", TOKEN_PATH)
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise NotJson(f"{self.base} answered the login without an access token: is it a CyPerf controller?")
        self._secrets |= {token, *(str(answer[k]) for k in ("refresh_token", "id_token") if answer.get(k))}
        secrets.learn(*self._secrets)
        # Renewed a little early, so that a token does not die on its way; 401 is handled all the same.
        lifetime = answer.get("expires_in")
        self._token = token
        self._expires = time.monotonic() + max(float(lifetime) * 0.9, 0.5) if lifetime else float("inf")

    # --- requests -----------------------------------------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        data: bytes | None = None,
        content_type: str | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Sends one request and returns the JSON of the answer, None for an empty one.

        Raises:
            ControllerUnreachable: Nobody answers.
            LoginRefused: The credentials are not accepted.
            NotJson: The answer is something else, for instance the licence agreement as a web page.
            Missing: 404.
            ControllerError: Any other refusal, with the controller's words.
        """
        response = self._authorized(
            method, path, query=query, body=body, data=data, content_type=content_type, timeout=timeout
        )
        self._check(response, method, path)
        if not response.content:
            return None
        return self._json(response, method, path)

    def _authorized(self, method: str, path: str, *, stream: bool = False, **options: Any) -> requests.Response:
        response = self._send(method, path, token=self.token(), stream=stream, **options)
        if response.status_code == 401:
            response.close()
            response = self._send(method, path, token=self.token(renew=True), stream=stream, **options)
        return response

    def _send(
        self,
        method: str,
        path: str,
        *,
        token: str = "",
        query: dict[str, Any] | None = None,
        body: Any = None,
        data: Any = None,
        content_type: str | None = None,
        timeout: float | None = None,
        stream: bool = False,
    ) -> requests.Response:
        import requests

        headers = {"Accept": "application/json, */*;q=0.5"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if content_type:
            headers["Content-Type"] = content_type
        limits = (_CONNECT_SECONDS, timeout or self._timeout)
        try:
            return self.http.request(
                method, self.base + path, params=query, json=body, data=data, headers=headers, timeout=limits,
                stream=stream, allow_redirects=False,
            )  # fmt: skip
        except requests.RequestException as error:
            raise self._unreachable(error, method, path, limits[1]) from None

    def _unreachable(self, error: Exception, method: str, path: str, seconds: float) -> ControllerUnreachable:
        import requests

        what = f"{method} {path.split('?')[0]}"
        if isinstance(error, requests.exceptions.SSLError):
            reason = f"its certificate is not trusted ({_innermost(error)})"
        elif isinstance(error, requests.exceptions.ConnectTimeout):
            reason = f"no connection within {_CONNECT_SECONDS:g} s"
        elif isinstance(error, requests.exceptions.ReadTimeout):
            reason = f"no answer to {what} within {seconds:g} s"
        else:
            reason = f"{_innermost(error)} ({what})"
        return ControllerUnreachable(self.redact(f"The CyPerf controller {self.base} cannot be reached: {reason}."))

    def _check(self, response: requests.Response, method: str, path: str) -> None:
        status = response.status_code
        if 200 <= status < 300:
            return
        text = f"{method} {path} at the CyPerf controller {self.base}: {status} {self._reason(response)}."
        kind: type[ControllerError] = {401: LoginRefused, 404: Missing}.get(status, ControllerError)
        raise kind(self.redact(text), status=status)

    def _reason(self, response: requests.Response) -> str:
        try:
            body = response.json()
        except ValueError:
            title = _TITLE.search(response.text[:5000])
            return f"a web page '{title[1].strip()}'" if title else self.redact(response.text)[:200].strip() or "empty"
        if isinstance(body, dict):
            for name in ("message", "error_description", "error"):
                if body.get(name):
                    return self.redact(str(body[name])).rstrip(".")
        return self.redact(str(body))[:200]

    def _json(self, response: requests.Response, method: str, path: str) -> Any:
        kind = response.headers.get("Content-Type", "").split(";")[0]
        try:
            return json.loads(response.content)
        except ValueError:
            pass
        title = _TITLE.search(response.text[:5000])
        shown = f" '{' '.join(title[1].split())}'" if title else ""
        hint = "Is it a CyPerf controller, and is its licence agreement accepted?"
        if "licen" in shown.lower() or "eula" in shown.lower():
            hint = (
                "Its licence agreement (EULA) is not accepted; use accept_eula=True or accept it in the web interface."
            )
        raise NotJson(
            f"{self.base} answered {method} {path} with {kind or 'an untyped body'}{shown} instead of JSON. {hint}",
            status=response.status_code,
        )

    # --- the rest of the interface --------------------------------------------------------------------

    def items(self, path: str, *, query: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Returns a list, whether it comes bare or as a page with `data`."""
        answer = self.call("GET", path, query=query)
        found = answer.get("data") if isinstance(answer, dict) else answer
        if not isinstance(found, list):
            raise NotJson(f"{self.base} answered GET {path} with {type(answer).__name__} instead of a list.")
        return found

    def eula_accepted(self) -> bool:
        """Tells whether the licence agreement is accepted; answers that say nothing count as accepted."""
        return self._send("GET", "/eula/v1/check").status_code != 401

    def accept_eula(self) -> None:
        """Accepts the licence agreement in the name of the user."""
        response = self._send("POST", EULA_PATH, body={"accepted": True})
        self._check(response, "POST", EULA_PATH)

    def download(self, path: str, target: Path, *, timeout: float = 120.0, accept: str = "*/*") -> Path:
        """Writes a download to a file; a file that came only in part is not left behind.

        Raises:
            ControllerError: Refused, or the connection ended in the middle, twice.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        problem = ""
        for _ in range(_DOWNLOAD_TRIES):
            problem = self._download(path, target, timeout)
            if not problem:
                return target
        raise ControllerError(f"The download {path} from the CyPerf controller {self.base} failed: {problem}.")

    def _download(self, path: str, target: Path, timeout: float) -> str:
        import requests

        partial = target.with_name(target.name + ".part")
        response = self._authorized("GET", path, stream=True, timeout=timeout)
        try:
            self._check(response, "GET", path)
            if "text/html" in response.headers.get("Content-Type", ""):
                raise NotJson(f"{self.base} answered the download {path} with a web page instead of a file.")
            expected = int(response.headers.get("Content-Length") or -1)
            got = 0
            try:
                with partial.open("wb") as file:
                    for chunk in response.iter_content(65536):
                        file.write(chunk)
                        got += len(chunk)
            except requests.RequestException:
                pass
            else:
                if expected < 0 or got == expected:
                    partial.replace(target)
                    return ""
            return f"the connection ended after {got} of {expected if expected >= 0 else 'unknown'} bytes"
        finally:
            response.close()
            partial.unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the connections."""
        if self._http is not None:
            self._http.close()


def _patience() -> urllib3.util.Retry:
    """Returns how often a busy controller is asked again: reading only, with its own Retry-After up to a limit."""
    import urllib3

    class Patience(urllib3.util.Retry):
        """Waits as long as the controller asks for, but never longer than a reader would."""

        def get_retry_after(self, response: Any) -> float | None:
            asked = super().get_retry_after(response)
            return None if asked is None else min(asked, _BUSY_LONGEST_SECONDS)

    return Patience(
        total=_BUSY_TRIES - 1, connect=0, read=False, redirect=0, other=0, status=_BUSY_TRIES - 1,
        status_forcelist=_BUSY, allowed_methods=["GET"], backoff_factor=0.5, raise_on_status=False,
    )  # fmt: skip


def _base(address: str) -> str:
    text = address.strip()
    if "://" not in text:
        text = f"https://{text}"
    parts = urllib.parse.SplitResult("", "", "", "", "")
    try:
        parts = urllib.parse.urlsplit(text)
        usable = (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path in ("", "/") and parts.port != 0
        )
    except ValueError:
        usable = False
    if not usable or parts.username or re.search(r"\s", text):
        raise InputError(
            f"The controller's address '{parts.hostname if parts.username else address}' is not usable; "
            "give a host, host:port or an http(s) URL without path and credentials."
        )
    return f"{parts.scheme}://{parts.netloc}"


def _innermost(error: BaseException) -> str:
    """Returns the words of the operating system, out of three layers of wrapping."""
    while True:
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        if isinstance(inner, BaseException) and inner is not error:
            error = inner
            continue
        first = error.args[0] if error.args else None
        if isinstance(first, BaseException):
            error = first
            continue
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        return str(error) or type(error).__name__


Progress = Callable[[str], None]
