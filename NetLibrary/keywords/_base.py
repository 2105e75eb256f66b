"""What all keyword classes share: the session, and the one place where errors become Robot's."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from robot.api import Error, Failure, SkipExecution, TypeInfo
from robot.api.deco import keyword as robot_keyword

from NetLibrary._mechanics import errors, secrets
from NetLibrary.keywords._deprecation import old_arguments_accepted, old_names_of

if TYPE_CHECKING:
    from NetLibrary.keywords._session import Session

F = TypeVar("F", bound=Callable[..., Any])


class KeywordBase:
    """Base of the keyword classes.

    Args:
        session: Clusters, recorder and cleanup of this library instance.
    """

    session: Session

    def _limit(self, timeout: timedelta | None) -> float:
        """Returns a wait's limit in seconds; that of the library where the keyword got none."""
        return self.session.default_timeout if timeout is None else timeout.total_seconds()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Adds the deprecated names of a class's keywords as keywords of their own."""
        super().__init_subclass__(**kwargs)
        for method in list(vars(cls).values()):
            for attribute, alias in old_names_of(method):
                setattr(cls, attribute, alias)


_TYPES: dict[str, TypeInfo] = {}  # by text of the hint, which means the same in all files of keywords


def type_of(hint: str, names: dict[str, Any]) -> TypeInfo:
    """Returns what Robot makes of a hint, whose names are those of a module."""
    try:
        return TypeInfo.from_type_hint(eval(hint, names))
    except NameError:
        return TypeInfo.from_string(hint)


def _type_of(hint: str, method: Callable[..., Any]) -> TypeInfo:
    if hint not in _TYPES:
        _TYPES[hint] = type_of(hint, method.__globals__)
    return _TYPES[hint]


def _types_of(method: Callable[..., Any]) -> dict[str, TypeInfo]:
    """Returns the hints of a method as types, for Robot.

    An argument's `X | None` becomes `X` where None is the default: Robot accepts it anyway then, and of a union's types
    none may say what it allows: `at_least=1GB` "cannot be converted to Bitrate or None" and nothing more.

    Hints are texts in these files; each is evaluated once, and becomes what Robot makes of it, where Robot would do
    both for every argument. A class that only type checkers import is known by its name alone: fine for what keywords
    return and for arguments that are such results. What Robot has to convert is in `NetLibrary.types`.
    """
    plain = inspect.unwrap(method)
    types, defaults = {}, plain.__kwdefaults__ or {}
    for argument, hint in method.__annotations__.items():
        alone = argument != "return" and defaults.get(argument) is None
        types[argument] = _type_of(hint.removesuffix(" | None") if alone else hint, plain)
    return types


_PORT = (0, 65535)
# Numbers of these names have the same bounds on every keyword
_BOUNDS: dict[str, tuple[float, float | None]] = {
    "port": _PORT, "local_port": _PORT, "host_port": (1, 65535), "outside_port": _PORT, "mtu": (68, 65535),
    "connections": (1, None), "destination_port": _PORT, "server_port": _PORT,
    "above": (1, 65535), "replicas": (0, None), "pods_per_node": (1, None), "in_flight": (1, None),
    "count": (0, None), "last_lines": (0, None), "to_revision": (0, None), "user": (0, 2**31 - 1),
    "at_least": (0, None), "retransmits_at_most": (0, None), "denied_at_most": (0, None), "denied_at_least": (0, None),
}  # fmt: skip
# Shares of a whole: a limit above that could not fail
_SHARES = ("failed_at_most", "share")
# What says which object, place or file is meant. An empty text is most often a variable that nobody has set; where an
# empty default has a meaning, it keeps it.
_NAMING = frozenset({
    "address", "alias", "column", "condition", "configuration", "first", "grant", "granting_namespace", "host",
    "identity", "name", "names", "namespace", "namespaces", "node", "nodes", "pattern", "pod", "policy", "receiver",
    "reference", "second", "sender", "server", "service", "services", "suite", "taint", "target", "url",
    "values", "view",
})  # fmt: skip


def _named_by(plain: Callable[..., Any]) -> frozenset[str]:
    """Returns the arguments of a method that must name something: of `_NAMING`, without an empty default."""
    code, defaults = plain.__code__, plain.__defaults__ or ()
    arguments = code.co_varnames[: code.co_argcount]
    known = dict(zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True)) | (plain.__kwdefaults__ or {})
    every = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return frozenset(name for name in every if name in _NAMING and (name not in known or known[name]))


def _refuse_empty(needed: frozenset[str], names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Refuses an empty text where something must be named, before a cluster is connected to or a lab is started.

    Raises:
        errors.InputError: A text is empty, or white space only.
    """
    for name, value in (*zip(names, args, strict=False), *kwargs.items()):
        if name in needed and isinstance(value, str) and not value.strip():
            raise errors.InputError(f"{name} is empty; it must be given.")


def bounds_of(name: str) -> str:
    """Returns which numbers an argument of a name allows, an empty text if there are no bounds."""
    if name == "family":
        return "4 and 6"
    if name not in _BOUNDS:
        return ""
    least, most = _BOUNDS[name]
    return f"{least} and more" if most is None else f"{least} to {most}"


def allowed_by_name(name: str, value: Any) -> str:
    """Returns what an argument of a name allows if the value is something that no keyword can mean, else an empty text.

    That is a negative time, a number that is none or out of bounds, or a share of more than the whole.
    """
    if isinstance(value, timedelta) and value < timedelta(0):
        return "0 s and more"
    if isinstance(value, float) and not math.isfinite(value):
        return "a number"
    if name in _SHARES and getattr(value, "percent", 0) > 100:
        return "0 % to 100 %"
    if name == "family" and isinstance(value, int) and value not in (4, 6):
        return bounds_of(name)
    if name in _BOUNDS and isinstance(value, (int, float)):
        least, most = _BOUNDS[name]
        if value < least or (most is not None and value > most):
            return bounds_of(name)
    return ""


def _refuse_nonsense(names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Refuses what no keyword can mean, before one connects to a cluster or starts a lab.

    Raises:
        errors.InputError: A value is such a one.
    """
    for name, value in (*zip(names, args, strict=False), *kwargs.items()):
        if allowed := allowed_by_name(name, value):
            shown = f"{value.total_seconds():g} s" if isinstance(value, timedelta) else value
            raise errors.InputError(f"{name} is {shown}; allowed: {allowed}.")


def keyword(
    name: str | None = None,
    *,
    tags: Sequence[str] = (),
    formerly: Sequence[str] = (),
    renamed: Mapping[str, str] | None = None,
) -> Callable[[F], F]:
    """Marks a method as a keyword and turns its errors into failures that read well.

    What the network or the product did wrong is a failure; what the suite, the machine or the account did wrong is
    an error; what the cluster does not offer is a skip. All stop the test; their words make the difference.

    Args:
        name: Name of the keyword where it differs from the method's, for instance for `CyPerf`.
        tags: Its tags.
        formerly: Names that it had in the release before; they go on working and warn.
        renamed: Arguments that had another name in the release before, old name to new; the same goes for them.
    """

    def decorate(method: F) -> F:
        plain = inspect.unwrap(method)
        names = plain.__code__.co_varnames[1 : plain.__code__.co_argcount]
        needed = _named_by(plain)

        @functools.wraps(method)
        def translated(*args: Any, **kwargs: Any) -> Any:
            try:
                _refuse_empty(needed, names, args[1:], kwargs)
                _refuse_nonsense(names, args[1:], kwargs)
                return method(*args, **kwargs)
            except (errors.WaitFailed, errors.WaitTimeout) as error:
                raise Failure(secrets.hide(args[0].session.with_absences(str(error)))) from error
            except errors.Unavailable as error:
                raise SkipExecution(secrets.hide(args[0].session.with_absences(str(error)))) from error
            except errors.ExecLost as error:
                args[0].session.look_for_api_servers()
                raise Error(secrets.hide(args[0].session.with_absences(str(error)))) from error
            except (errors.InputError, errors.NotOwned, errors.Unreachable) as error:
                raise Error(secrets.hide(str(error))) from error
            except errors.NetLibraryError as error:
                raise Error(secrets.hide(args[0].session.with_absences(str(error)))) from error
            except SystemExit:  # Robot's, after a second signal
                args[0].session.forced = True
                raise
            except (Failure, Error) as error:  # a conclusion
                error.args = (args[0].session.with_absences(str(error)),)
                raise

        translated.__annotations__ = _types_of(method)
        accepted = old_arguments_accepted(translated, renamed or {}) if renamed else translated
        marked: F = robot_keyword(name=name, tags=tuple(tags))(accepted)
        marked.__dict__["formerly"] = tuple(formerly)
        return marked

    return decorate
