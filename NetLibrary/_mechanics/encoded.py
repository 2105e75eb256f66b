"""Reads what stands in a text in another encoding, and tells where: escaped, in base64, in hexadecimal digits.

A secret that is known by value is found in all of these, also where one encoding is within another.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

Span = tuple[int, int]

# Shorter words in base64 or hexadecimal hold no secret that is hidden by value
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[:,-]?\s?){6,}(?![0-9A-Za-z])")
_HEX_WORD = re.compile(r"(?:[0-9A-Fa-f]{2}){6,}")
_DECIMAL = re.compile(r"(?<![\d.])\d{2,3}(?:,\s?\d{2,3}){5,}(?![\d.])")
_PAIR = re.compile(r"(?:0x|\\x)?([0-9A-Fa-f]{2})")
_ESCAPE = re.compile(
    r"(?P<url>(?:%[0-9A-Fa-f]{2})+)|(?P<bytes>(?:\\x[0-9A-Fa-f]{2})+)|(?P<code>(?:\\u[0-9A-Fa-f]{4})+)"
    r"|(?P<shell>'\"'\"'|'\\'')|\\(?P<plain>[^\w\s])|(?P<html>&(?:#\d{2,6}|#x[0-9A-Fa-f]{2,5}|amp|lt|gt|quot|apos);)|(?P<quotes>\"\"|'')"
)
_SIGNS = ("%", "\\", "&", '""', "''")


def encoded_words(text: str) -> Iterator[tuple[Span, str]]:
    """Yields places of words in base64 and of hexadecimal and decimal digits, and what they say.

    Example:
        >>> list(encoded_words("give aHVudGVyMjIyMg== or 68 75 6e 74 65 72"))
        [((5, 19), 'hunter2222'), ((25, 42), 'hunter')]
    """
    for found in _BASE64.finditer(text):
        for begin, end in _parts(found):
            word = text[begin:end]
            # What a text says in base64 has letters of both kinds, which few words have
            said = "" if word.islower() or word.isupper() else _printable(_from_base64(word))
            if said:
                yield (begin, end), said
    # Other numbers may stand before and behind, as in dumps, so that not all of it is text
    for found in _HEX.finditer(text):
        for begin, end in {(0, len(found[0].rstrip())), *(part.span() for part in _HEX_WORD.finditer(found[0]))}:
            data = bytes.fromhex("".join(_PAIR.findall(found[0][begin:end])))
            yield (found.start() + begin, found.start() + end), data.decode(errors="replace")
    for found in _DECIMAL.finditer(text):
        data = bytes(int(each) % 256 for each in found[0].split(","))
        yield found.span(), data.decode(errors="replace")


def _parts(found: re.Match[str]) -> Iterator[Span]:
    """Returns a word, and what stands in it between slashes: a path may have one in base64."""
    yield found.span()
    if "/" in found[0]:
        for part in re.finditer("[^/]{8,}", found[0]):
            yield found.start() + part.start(), found.start() + part.end()


def _from_base64(word: str) -> bytes:
    plain = word.replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4))
    except (binascii.Error, ValueError):
        return b""


def _printable(data: bytes) -> str:
    """Returns bytes as text, empty where they are none: most words are no base64, and say nothing in it."""
    try:
        said = data.decode()
    except UnicodeDecodeError:
        return ""
    return said if len(said) >= 4 and said.replace("\n", "").replace("\r", "").replace("\t", "").isprintable() else ""


def unescaped(text: str, layers: int = 1) -> Iterator[tuple[str, Callable[[Span], Span]]]:
    """Yields a text without one, two and more layers of escapes, with a function from places in it to the text's.

    Escapes of URLs, JSON, programming languages, shells, HTML and CSV are known.

    Example:
        >>> [(plain, place((2, 5))) for plain, place in unescaped("a %22b%26c")]
        [('a "b&c', (2, 9))]
    """

    def same(span: Span) -> Span:
        return span

    place: Callable[[Span], Span] = same
    for _ in range(layers):
        if not any(sign in text for sign in _SIGNS):
            return
        plain, back = _one_layer(text)
        if plain == text:
            return
        text, place = plain, _after(back, place)
        yield text, place


def _after(first: Callable[[Span], Span], second: Callable[[Span], Span]) -> Callable[[Span], Span]:
    return lambda span: second(first(span))


def _one_layer(text: str) -> tuple[str, Callable[[Span], Span]]:
    parts: list[str] = []
    # Where each piece begins in the new text, and begins and ends in the old one
    new, old, ends = [0], [0], [0]
    at = length = 0
    for found in _ESCAPE.finditer(text):
        for piece, begin, end in ((text[at : found.start()], at, found.start()), (_said(found), *found.span())):
            new.append(length)
            old.append(begin)
            ends.append(end)
            parts.append(piece)
            length += len(piece)
        at = found.end()
    parts.append(text[at:])
    new.append(length)
    old.append(at)
    ends.append(len(text))

    def place(span: Span) -> Span:
        first, last = bisect_right(new, span[0]) - 1, bisect_right(new, span[1] - 1) - 1
        # Plain pieces, which are at odd places, count character by character; of an escape the whole is meant
        begin = old[first] + (span[0] - new[first] if first % 2 else 0)
        end = old[last] + span[1] - new[last] if last % 2 else ends[last]
        return begin, end

    return "".join(parts), place


def _said(found: re.Match[str]) -> str:
    kind, text = found.lastgroup, found[0]
    if kind == "url":
        return unquote_to_bytes(text).decode(errors="replace")
    if kind == "bytes":
        return _decoded(bytes.fromhex(text.replace("\\x", "")))
    if kind == "code":
        return bytes.fromhex(text.replace("\\u", "")).decode("utf-16-be", errors="replace")
    if kind == "html":
        import html

        return html.unescape(text)
    return found["plain"] if kind == "plain" else text[0]


def _decoded(data: bytes) -> str:
    """Returns bytes that are UTF-8, as programs write them, or code points, as YAML and Python's texts have them."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
