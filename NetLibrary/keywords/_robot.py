"""The few things we need of a running Robot Framework, with an answer also where none runs."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from robot.api import logger
from robot.libraries.BuiltIn import BuiltIn, RobotNotRunningError

from NetLibrary._mechanics import secrets
from NetLibrary._mechanics.errors import InputError

# Robot has left its listeners by then
AFTER_LISTENER = 0.01
_spoke_in = ""


def running() -> bool:
    """Tells whether a real run (not a dry run, libdoc or a Python shell) is going on."""
    builtin = BuiltIn()
    return bool(builtin.robot_running) and not bool(builtin.dry_run_active)


def interrupted() -> bool:
    """Tells whether Ctrl-C or SIGTERM has told this run to end."""
    from robot.running.signalhandler import STOP_SIGNAL_MONITOR

    return bool(getattr(STOP_SIGNAL_MONITOR, "_signal_count", 0))


def keep_signals_out_of_listeners() -> None:
    """Lets Ctrl-C and SIGTERM that come while a listener reads something for a keyword wait until it has read it.

    Robot takes what its handler of signals raises in a listener for a fault of that listener: the keyword would go on,
    and a message be written with its secrets.
    """
    from robot.running.signalhandler import STOP_SIGNAL_MONITOR

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is STOP_SIGNAL_MONITOR:
                signal.signal(number, _stop_after_listeners)


def _stop_after_listeners(number: int, frame: FrameType | None) -> None:
    from robot.output import listeners
    from robot.running.signalhandler import STOP_SIGNAL_MONITOR

    # Only then does it raise what listeners swallow. A second signal ends the run from anywhere.
    raises = getattr(STOP_SIGNAL_MONITOR, "_running_keyword", False) and not interrupted()
    place = frame
    while raises and place:
        if place.f_code.co_filename == listeners.__file__:
            later = threading.Timer(AFTER_LISTENER, os.kill, (os.getpid(), number))
            later.daemon = True
            later.start()
            return
        place = place.f_back
    STOP_SIGNAL_MONITOR(number, frame)


def hide_in_debug_file() -> None:
    """Hides secrets in the file of `--debugfile`: Robot tells it of a loop's variables before it tells any listener."""
    from robot.output import LOGGER

    for writer in getattr(LOGGER, "_other_loggers", ()):
        write = getattr(writer, "_write", None)
        if type(writer).__module__ == "robot.output.debugfile" and write and "_write" not in vars(writer):
            writer._write = lambda text, *more, write=write, **named: write(secrets.hide(text), *more, **named)


def variable(name: str, default: Any = None) -> Any:
    """Returns a Robot variable by its bare name, for instance `OUTPUT DIR`."""
    try:
        return BuiltIn().get_variable_value(f"${{{name}}}", default)
    except RobotNotRunningError:
        return default


def switch(name: str) -> bool:
    """Tells whether a Robot variable is switched on: `True`, `true`, `yes`, `on` or `1`, as text or typed."""
    return str(variable(name, "")).strip().lower() in ("true", "yes", "on", "1")


def output_dir() -> Path:
    """Returns the folder of the run's outputs; outside a run the present folder."""
    return Path(str(variable("OUTPUT DIR", os.curdir)))


def suite_name() -> str:
    """Returns the long name of the suite, or an empty text."""
    return str(variable("SUITE NAME", ""))


def current_test() -> str:
    """Returns the name of the test, or an empty text in a suite's setup or teardown."""
    return str(variable("TEST NAME", "") or "")


def library_instance(library: str) -> Any:
    """Returns the instance of another library of the suite.

    Raises:
        InputError: The suite imports none under that name.
    """
    try:
        return BuiltIn().get_library_instance(library)
    except RuntimeError:
        raise InputError(f"library is '{library}', but the suite imports no library under that name.") from None


def console(text: str) -> None:
    """Writes a line to the terminal only.

    Robot leaves the cursor behind the name of a test that runs, so the first line of each test begins a new one.
    Whoever read the terminal may be gone, for instance `head` at the end of a pipe; nothing ends for that.
    """
    global _spoke_in
    text = secrets.hide(text)
    place = f"{suite_name()}/{current_test()}"
    with contextlib.suppress(OSError, ValueError):
        logger.console(text if place == _spoke_in or not current_test() else f"\n{text}")
    _spoke_in = place


def line_was_left(level: str) -> None:
    """Notes a message: Robot writes a warning on a line of its own, and then the name of the test once more."""
    global _spoke_in
    if level in ("WARN", "ERROR"):
        _spoke_in = ""


def log_html(text: str) -> None:
    """Writes HTML to the log; whatever came from outside must have been escaped."""
    logger.info(text, html=True)


def log_table(columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str | None = None) -> None:
    """Writes a table to the log."""
    from NetLibrary._mechanics.report import html_table

    log_html(html_table(columns, rows, caption))


def console_table(columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str | None = None) -> None:
    """Writes a table to the terminal."""
    from NetLibrary._mechanics.report import text_table

    console((f"{caption}\n" if caption else "") + text_table(columns, rows))


def log_picture(path: Path, caption: str) -> None:
    """Shows a picture in the log by a relative link, since Jenkins blocks inline data."""
    log_html(picture_html(path, caption))


def picture_html(path: Path, caption: str) -> str:
    """Returns the HTML that shows a picture file of the output folder."""
    import html

    link = html.escape(os.path.relpath(path, output_dir()).replace(os.sep, "/"), quote=True)
    text = html.escape(caption, quote=True)
    return f'<a href="{link}"><img src="{link}" alt="{text}" title="{text}" style="max-width:100%"></a>'


def picture_path(name: str) -> Path:
    """Returns a new file name in the output folder for a picture of the present test."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{current_test()} {name}".lower()).strip("-")[:100] or "picture"
    folder = output_dir() / "pictures"
    path, number = folder / f"{words}.png", 1
    while path.exists():
        number += 1
        path = folder / f"{words}-{number}.png"
    return path


def set_suite_metadata(name: str, value: str) -> None:
    """Shows a fact at the top of log and report."""
    if running():
        BuiltIn().set_suite_metadata(name, secrets.hide(value), top=True)


def set_test_metadata(name: str, value: str) -> None:
    """Shows a fact at the present test in log and report; before Robot 7.5 only suites have metadata."""
    if running() and current_test() and hasattr(BuiltIn, "set_test_metadata"):
        BuiltIn().set_test_metadata(name, secrets.hide(value))
