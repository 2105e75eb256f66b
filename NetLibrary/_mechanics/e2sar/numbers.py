"""Numbers as C++ streams print them in any locale: counts with grouped digits, and values with a decimal mark.

`e2sar_perf` prints through the locale of its environment, some lines before it has chosen one and some after. A count
reads the same in each of them, since it has no decimal mark. A value such as `1.250` is 1.25 in one locale and 1250 in
another; what is written around it may tell which, so both readings are handed out.
"""

from __future__ import annotations

import re

# Full stop, comma, both apostrophes, the spaces that locales group with, what an undecodable byte becomes, and the two
# marks of Persian and Pashto
_DECIMAL = ".,\u066b"
_MARKS = f"{_DECIMAL}'\u2019 \u00a0\u202f\u2009\ufffd\u066c"
_MARK = f"[{_MARKS}]"
_GROUPED = rf"\d{{1,3}}(?:{_MARK}\d{{2,3}})*{_MARK}\d{{3}}"
_SCIENTIFIC = r"\d+(?:[.,]\d+)?[eE][-+]?\d+"
# A mark that is not known would leave the digits before it: no number is better than one of another size
_WHOLE = r"(?!\d)(?![^\s:/<>()-]\d)"
COUNT = rf"([-+]?(?:{_SCIENTIFIC}|{_GROUPED}|\d+)|inf|nan){_WHOLE}"
"""Pattern with one group: a count, its digits grouped or not."""
VALUE = rf"([-+]?\d[\d{_MARKS}]*(?:[eE][-+]?\d+)?|inf|nan){_WHOLE}"
"""Pattern with one group: a value that may have a decimal mark; `readings` tells what it may mean."""


def whole(text: str) -> int:
    """A count, whatever its digits are grouped with.

    Raises:
        ValueError: It is none, or went below zero in the program's own counter.

    >>> whole("1'572'864"), whole("1.095.000"), whole("1 500"), whole("15,72,864"), whole("1e+06")
    (1572864, 1095000, 1500, 1572864, 1000000)
    """
    if re.fullmatch(rf"[-+]?{_SCIENTIFIC}", text):
        return _counted(int(float(text.replace(",", "."))))
    marks = {mark for mark in text if mark in _MARKS}
    if len(marks) > 1:
        raise ValueError(f"'{text}' mixes the marks between its digits")
    return _counted(int("".join(character for character in text if character not in _MARKS)))


def _counted(number: int) -> int:
    """Counters are unsigned numbers of 64 bits: one that went below zero is near their end."""
    if not 0 <= number < 2**63:
        raise ValueError(f"{number} is no count")
    return number


def readings(text: str) -> tuple[float, ...]:
    """What a value may mean: one number, two where its only mark may be either kind, none where it is no number.

    >>> readings("24,414.1"), readings("0,2"), readings("1,0312"), readings("6.250"), readings("1,031")
    ((24414.1,), (0.2,), (1.0312,), (6250.0,), (1.031, 1031.0))
    """
    text = text.rstrip(_MARKS)
    mantissa, exponent_mark, exponent = text.replace("E", "e").partition("e")
    marks = [mark for mark in mantissa if mark in _MARKS]
    kinds = dict.fromkeys(marks)
    decimal = ""
    if marks and marks[-1] in _DECIMAL and marks.count(marks[-1]) == 1 and len(kinds) <= 2:
        decimal = marks[-1]
    elif len(kinds) > 1:
        return ()
    alone = len(marks) == 1 and decimal
    before, _, after = mantissa.partition(marks[0]) if alone else ("", "", "")
    groups = alone and not exponent and len(after) == 3 and len(before.lstrip("+-")) <= 3
    if groups and after.endswith("0") and not before.lstrip("+-").startswith("0"):
        decimal = ""  # zeros at the end are never printed behind a decimal mark
    found = []
    for mark in dict.fromkeys((decimal, "" if groups and not before.lstrip("+-").startswith("0") else decimal)):
        plain = "".join("." if each == mark else "" if each in _MARKS else each for each in mantissa)
        try:
            found.append(float(plain + exponent_mark + exponent))
        except ValueError:
            return ()
    return tuple(found)
