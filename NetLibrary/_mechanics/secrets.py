"""Keeps secrets out of everything that is logged, printed, recorded or raised.

Whoever gets hold of a secret has it learnt here; whoever lets text out has it hidden here. Learning works by value, so
it does not matter by which way a secret comes into a text: a traceback of another library, the log of a pod, an
assignment at level TRACE. Shapes that are secret whatever their value (private keys, bearer tokens, URLs with
credentials) are hidden besides.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from NetLibrary._mechanics.encoded import encoded_words, unescaped

MARK = "<secret>"
# Shorter values would tear holes into ordinary words
LEAST = 4
# What is shorter is looked for as a word of its own
LONG = 12
# A value of a Secret may be anything, also "true" or a port; what is as short as that is hidden in base64 only
LEAST_VALUE = 6
# More would make hiding slow; a run that reads more Secrets than that hides the latest
MOST = 4000

_NAME = (
    r"(?:PASSWORD|PASSWD|PASSPHRASE|(?<![A-Z])(?:PASS|PWD)(?![A-Z])|SECRET|TOKEN|CREDENTIAL|LICEN[CS]E_?KEY|ACTIVATION|"
    r"(?:API|ACCESS|PRIVATE|SIGNING|ENCRYPTION|MASTER|SHARED|ACCOUNT|STORAGE|SESSION|DEPLOY|CLIENT)_?KEY|"
    r"CONNECTION_?STRING|WEBHOOK_?URL)"
)
_IS_SECRET = re.compile(_NAME, re.IGNORECASE)
# The following are compiled when they are first used, since dry runs and editors use none
_ENVIRONMENT = rf'(?i)"name":\s*"[^"]*{_NAME}[^"]*",\s*"value":\s*"((?:[^"\\]|\\.)+)"'
# Options of programs in a pod: "--password", "…" and "--password=…"; what names a file is none
_OPTION = rf'(?i)"--?[\w-]*{_NAME.replace("_?", "[_-]?")}(?:"[,\s]*"|=)((?:[^"\\]|\\.)+)"'
_NOTED = "kubectl.kubernetes.io/last-applied-configuration"
# Kinds that hand out a credential, and the fields with it
_CREDENTIALS = {"TokenRequest": ("token",), "AccessToken": ("code",), "AccessGrant": ("code",)}
# Keys of Secrets whose values everybody may know
_PUBLIC_KEYS = {"namespace", "username", "user", "ca.crt", "tls.crt", "host", "hostname", "port", "type", "name"}
_COMMON = {"default", "kubernetes", "kube-system", "password", "username", "localhost", "disabled", "enabled"}

_CUT = re.compile("(\\.\\.\\.|\N{HORIZONTAL ELLIPSIS})")
_KEY = r"[A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?"
_WORD = r"(?:password|passwd|passphrase|pwd|token|secret|api[_-]?key|access[_-]?key|signature|sig)"
# What follows a colon may be an ordinary word, as in "token: missing"; this is none
_RANDOM = r"(?=[^\s'\",;]*\d)(?=[^\s'\",;]*[A-Za-z])(?![$<%{])[^\s'\",;]{12,}"
_STRONG = (
    r"(?=[^\s'\"]*\d)(?=[^\s'\"]*[A-Za-z])(?:(?=[^\s'\"]*[!#$%^&*+=?@~])|(?=[^\s'\"]*[A-Z])(?=[^\s'\"]*[a-z]))"
    r"(?![$<%{])[^\s'\"]{8,}"
)
_SCHEME = r"(?:(?:basic|bearer|token|digest|negotiate|apikey) )"
_SHAPES: tuple[tuple[str, str, str], ...] = (
    ("PRIVATE KEY", rf"(?s)-----BEGIN {_KEY}-----.*?(?:-----END {_KEY}-----|\Z)", "{mark}"),
    # The same in base64, as in a Secret or a kubeconfig: PRIVATE, EC, RSA, OPENSSH and ENCRYPTED
    ("LS0tLS1CRUdJTiB", r"LS0tLS1CRUdJTiB(?:QUklW|FQyBQ|SU0Eg|PUEVO|FTkNS)[A-Za-z0-9+/=_-]*", "{mark}"),
    ("eyJ", r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}", "{mark}"),
    # To the last "@", which some passwords have too
    ("://", r"(?<=://)[^/\s:@'\"<>]*:[^/\s'\"<>]+(?=@)", "{mark}"),
    ("earer ", r"(?i)\b(bearer )[A-Za-z0-9._~+/=-]{12,}", r"\1{mark}"),
    ("uthorization", rf"(?i)(authorization['\"]?\s*[:=]\s*['\"]?{_SCHEME})[^\s'\",]+", r"\1{mark}"),
    ("uthorization", rf"(?i)(authorization['\"]?\s*[:=]\s*['\"]?){_RANDOM}", r"\1{mark}"),
    ("ookie", r"(?i)\b(cookie['\"]?\s*[:=]\s*['\"]?[^=\s;]+=)[^\s'\",;]{8,}", r"\1{mark}"),
    ("=", rf"(?i)\b((?:[\w-]*[_-])?{_WORD}=)(?![$<%{{])[^\s&'\",;]{{6,}}", r"\1{mark}"),
    (":", rf"(?i)\b((?:[\w-]*[_-])?(?!secret){_WORD}['\"]?:\s*['\"]?){_RANDOM}", r"\1{mark}"),
    # In a sentence a name or a state may follow as well: what has a sign, or letters of both kinds and a digit, is none
    (" is", rf"(?i:\b((?:[\w-]*[_-])?(?!secret){_WORD} is:? ['\"]?)){_STRONG}", r"\1{mark}"),
    ("--", rf"(?i)(--(?:[\w-]*-)?(?:password|passwd|token|api-key)\s+){_RANDOM}", r"\1{mark}"),
    ("-u", r"((?:^|\s)(?:-u|--user)\s+[^\s:]+:)(?!\d+\b)[^\s'\"]{4,}", r"\1{mark}"),
    ("key-data", r"(client-key-data['\"]?\s*:\s*['\"]?)[A-Za-z0-9+/=]{16,}", r"\1{mark}"),
)  # fmt: skip
# Pieces of a long secret are hidden as well: it comes cut off, wrapped, or within the base64 of something longer
PIECE = 16
# So many encodings may be around each other
ENCODINGS = 3
# Of a random one shorter pieces too, where they are random themselves
SHORT_PIECE = 10
_LONG_WORD = re.compile(rf"[\w+/=.~-]{{{SHORT_PIECE},}}")
# From a digit to a letter and back, as in `9x7L` and not in `server-1` or `eth0`
_CHANGES = re.compile(r"(?<=\d)[A-Za-z]|(?<=[A-Za-z])\d")
# So long is no credential; and all pieces together must stay a set of some megabytes
LONGEST, MOST_PIECES = 8192, 500_000


@cache
def _pattern_of(shape: str) -> re.Pattern[str]:
    return re.compile(shape)


class Filter:
    """What is secret in this process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: dict[str, None] = {}  # in the order in which they were learnt
        self._pattern: re.Pattern[str] | None = None
        self._pieces: set[str] = set()
        self._ends: _Ends | None = None  # of all forms, made when a text was cut

    def learn(self, *values: str | None, least: int = LEAST) -> None:
        """Takes note of secrets; their usual encodings are hidden too."""
        forms = [form for value in values for form in _forms(value or "", least)]
        with self._lock:
            if any(form not in self._forms for form in forms) and len(self._pieces) < MOST_PIECES:
                self._pieces.update(piece for value in values for piece in _pieces((value or "").strip()))
            new = [form for form in forms if form not in self._forms]
            if new:
                self._forms |= dict.fromkeys(new)
                for form in list(self._forms)[: len(self._forms) - MOST]:
                    del self._forms[form]
                self._pattern = self._ends = None

    def learn_environment(self, environment: Mapping[str, str] | None = None) -> None:
        """Takes note of environment variables whose names say that they are secret."""
        found = os.environ if environment is None else environment
        for name, value in found.items():
            # Files that hold a secret are named by such variables as well
            if _IS_SECRET.search(name) and not value.startswith(("/", "./", "~")):
                self.learn(value, least=LEAST_VALUE)

    def learn_answer(self, text: str, answer: Any = None) -> None:
        """Takes note of what is secret in JSON to or from an API server: values of Secrets, secret environment."""
        if _IS_SECRET.search(text):
            # What kubectl has noted about an object is JSON in a string of JSON
            plain = text.replace('\\"', '"') if _NOTED in text else text
            for match in (*_pattern_of(_ENVIRONMENT).finditer(plain), *_pattern_of(_OPTION).finditer(plain)):
                if not match[1].startswith(("/", "$", "./")):
                    self.learn(_unescaped(match[1]), least=LEAST_VALUE)
        if '"Secret' in text or any(f'"{kind}' in text for kind in _CREDENTIALS):
            self._learn_objects(json.loads(text) if answer is None else answer)

    def _learn_objects(self, answer: Any) -> None:
        if not isinstance(answer, Mapping):
            return
        kind = answer.get("kind")
        items = answer.get("items") if str(kind).endswith("List") else [answer]
        for item in items or []:
            own = item.get("kind") or str(kind).removesuffix("List")
            for field in _CREDENTIALS.get(own, ()):
                for part in ("spec", "status"):
                    self._learn_value(str((item.get(part) or {}).get(field) or ""))
            if "Secret" in own:
                self._learn_secret(item)

    def _learn_secret(self, item: Mapping[str, Any]) -> None:
        for key, value in (item.get("data") or {}).items():
            if isinstance(value, str) and key not in _PUBLIC_KEYS:
                self.learn(value)
                self._learn_value(_decoded(value))
        for key, value in (item.get("stringData") or {}).items():
            if key not in _PUBLIC_KEYS:
                self._learn_value(str(value))
        noted = ((item.get("metadata") or {}).get("annotations") or {}).get(_NOTED)
        before = _json(noted or "")
        if isinstance(before, Mapping):
            self._learn_secret({key: before.get(key) for key in ("data", "stringData")})

    def _learn_parts(self, value: Any) -> None:
        """Takes note of passwords and tokens inside a value, such as those of registries in a pull secret."""
        if not isinstance(value, Mapping):
            return
        for key, part in value.items():
            if isinstance(part, Mapping):
                self._learn_parts(part)
            elif key == "auth":
                self.learn(part)
                self._learn_value(_decoded(str(part)).partition(":")[2])
            elif isinstance(part, str) and _IS_SECRET.search(key):
                self._learn_value(part)

    def _learn_value(self, value: str) -> None:
        if value.strip().lower() not in _COMMON:
            self.learn(value, least=LEAST_VALUE)
        if value.lstrip().startswith("{"):
            self._learn_parts(_json(value))

    def hide(self, text: str, mark: str = MARK) -> str:
        """Returns a text without secrets."""
        return self._hide(text, mark, ENCODINGS) if text else text

    def _hide(self, text: str, mark: str, depth: int) -> str:
        pattern = self._compiled()
        if pattern is not None:
            text = pattern.sub(lambda _: mark, text)
        if self._pieces and len(text) >= SHORT_PIECE:
            text = _LONG_WORD.sub(lambda word: self._without_pieces(word[0], mark), text)
        for sign, shape, instead in _SHAPES:
            if sign in text:
                text = _pattern_of(shape).sub(instead.replace("{mark}", mark), text)
        if pattern is not None and ("..." in text or "\N{HORIZONTAL ELLIPSIS}" in text):
            text = self._hide_cut(text, mark)
        return self._hide_encoded(text, mark, pattern, depth)

    def _hide_encoded(self, text: str, mark: str, pattern: re.Pattern[str] | None, depth: int) -> str:
        """Hides words that say a secret in another encoding, or in one within another."""
        spans = []
        if pattern is not None:
            for plain, place in unescaped(text, ENCODINGS):
                spans += [place(found.span()) for found in pattern.finditer(plain)]
        if depth > 0:
            spans += [span for span, said in encoded_words(text) if self._hide(said, mark, depth - 1) != said]
        at, kept = 0, []
        for begin, end in sorted(spans):
            if begin >= at:
                kept += [text[at:begin], mark]
            at = max(at, end)
        return "".join([*kept, text[at:]])

    def _hide_cut(self, text: str, mark: str) -> str:
        """Hides what is left of a secret where a text was cut, as Robot does it with variables and long failures."""
        with self._lock:
            if self._ends is None:
                self._ends = _Ends(self._forms)
            ends = self._ends
        parts = _CUT.split(text)  # text, dots, text, dots, ...
        for at in range(0, len(parts), 2):
            part = parts[at]
            if at + 1 < len(parts) and (length := ends.begun(part)):
                part = part[:-length] + mark
            if at > 0 and (length := ends.ended(part)):
                part = mark + part[length:]
            parts[at] = part
        return "".join(parts)

    def _without_pieces(self, word: str, mark: str) -> str:
        kept: list[str] = []
        at = 0
        lengths = (SHORT_PIECE, PIECE) if _is_mixed(word) else (PIECE,)
        for begin in range(len(word) - lengths[0] + 1):
            length = max((n for n in lengths if word[begin : begin + n] in self._pieces), default=0)
            if length:
                if begin > at or not kept:
                    kept += [word[at:begin], mark]
                at = max(at, begin + length)
        return "".join([*kept, word[at:]])

    def _compiled(self) -> re.Pattern[str] | None:
        with self._lock:
            if self._pattern is None and self._forms:
                parts = (_as_word(form) for form in sorted(self._forms, key=len, reverse=True))
                self._pattern = re.compile("|".join(parts))
            return self._pattern


class _Ends:
    """Finds the begin of a secret at the end of a text, and the end of one at its begin."""

    def __init__(self, forms: Iterable[str]) -> None:
        self._heads, self._tails = defaultdict(list), defaultdict(list)
        for form in forms:
            self._heads[form[:LEAST]].append(form)
            self._tails[form[-LEAST:]].append(form)
        self._longest = max(map(len, forms), default=0)

    def begun(self, text: str) -> int:
        """Returns how many of the last characters are the begin of a secret; fewer than `LEAST` count as none."""
        first = max(0, len(text) - self._longest)
        for start in range(first, len(text) - LEAST + 1):
            known = self._heads.get(text[start : start + LEAST])
            if not known or not any(form.startswith(text[start:]) for form in known):
                continue
            if len(text) - start >= LONG or not _in_word(text[start - 1 : start]):
                return len(text) - start
        return 0

    def ended(self, text: str) -> int:
        """Returns how many of the first characters are the end of a secret; fewer than `LEAST` count as none."""
        for end in range(min(len(text), self._longest), LEAST - 1, -1):
            known = self._tails.get(text[end - LEAST : end])
            if not known or not any(form.endswith(text[:end]) for form in known):
                continue
            if end >= LONG or not _in_word(text[end : end + 1]):
                return end
        return 0


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _as_word(form: str) -> str:
    # "team" must not be hidden in "teamwork"
    return rf"(?<!\w){re.escape(form)}(?!\w)" if len(form) < LONG else re.escape(form)


def _forms(value: str, least: int) -> Iterable[str]:
    value = value.strip()
    if len(value) < least:
        return
    import html

    encoded = base64.b64encode(value.encode()).decode()
    in_url, in_json = quote(value, safe=""), json.dumps(value)[1:-1]
    small = re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), in_url)
    # Programs in Go write JSON that a web page may hold
    gos = json.dumps(value, ensure_ascii=False)[1:-1]
    for sign in "&<>":
        gos = gos.replace(sign, f"\\u{ord(sign):04x}")
    slashes = in_json.replace("/", "\\/")
    for form in (value, encoded, in_url, small, quote_plus(value), in_json, gos, slashes, repr(value)[1:-1]):
        yield form
        yield html.escape(form)
    if "\n" in value:  # a key may come line by line
        yield from (line.strip() for line in value.splitlines() if len(line.strip()) >= 20 and "-----" not in line)


def _pieces(value: str) -> Iterator[str]:
    """Returns what pieces of a secret may look like: of the value where it is random, and of its base64."""
    if not PIECE <= len(value) <= LONGEST:
        return
    # Names of hosts and paths are no pieces of a credential, and stand in many texts
    wholes = [part for part in re.split("[./]", value) if len(part) >= PIECE and _LONG_WORD.fullmatch(part)]
    wholes = [part for part in wholes if _is_random(part)]
    short = list(wholes)
    data = value.encode()
    for before in range(3):  # bytes that stand before it in its group of three
        encoded = base64.b64encode(b"\0" * before + data).decode()
        whole = encoded[(0, 2, 3)[before] : (before + len(data)) // 3 * 4]
        wholes += {whole, whole.replace("+", "-").replace("/", "_")}
    for whole in wholes:
        yield from (whole[begin : begin + PIECE] for begin in range(len(whole) - PIECE + 1))
    for whole in short:
        every = (whole[begin : begin + SHORT_PIECE] for begin in range(len(whole) - SHORT_PIECE + 1))
        yield from (piece for piece in every if _is_mixed(piece))


def _is_random(word: str) -> bool:
    mixed = all(re.search(kind, word) for kind in ("[A-Z]", "[a-z]", "[0-9]"))
    return mixed or bool(re.fullmatch(r"(?=.*\d)[0-9a-f-]{32,}", word))


def _is_mixed(piece: str) -> bool:
    """Tells whether a piece is no word, no number and no name with a number at its end: digits stand among letters."""
    return len(_CHANGES.findall(piece)) >= 2


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text


_FILTER = Filter()
learn = _FILTER.learn
learn_environment = _FILTER.learn_environment
learn_answer = _FILTER.learn_answer
hide = _FILTER.hide


def keep(path: Path, text: str) -> None:
    """Writes a text without secrets to a file."""
    path.write_text(hide(text), encoding="utf-8", errors="replace")


def clean(path: Path) -> None:
    """Hides secrets in a file that another program has written."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if hide(text) != text:
        keep(path, text)


def head(text: str, most: int) -> str:
    """Returns the first characters of a text without secrets; after the cut, nobody would know what is left of one."""
    return hide(text)[:most]


def tail(text: str, most: int) -> str:
    """Returns the last characters of a text without secrets."""
    return hide(text)[-most:]
