"""Asynchronous operations: started with 202, polled, ended by SUCCESS or ERROR."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .store import Faults


class OperationError(Exception):
    """Ends an operation as ERROR with this text as its message."""


@dataclass
class Outcome:
    """What an operation leaves: a value, or the path of something to fetch."""

    result: Any = None
    result_url: str = ""


@dataclass
class _Operation:
    id: int
    kind: str
    path: str
    state: str = "IN_PROGRESS"
    progress: int = 0
    message: str = ""
    result: Any = None
    result_url: str = ""

    def shown(self, origin: str) -> dict[str, Any]:
        # message and resultUrl are never null: the published client fails on a null there.
        return {
            "id": self.id,
            "type": self.kind,
            "state": self.state,
            "progress": self.progress,
            "message": self.message,
            "url": f"{origin}{self.path}/{self.id}",
            "result": self.result,
            "resultUrl": self.result_url,
        }


class Operations:
    """All operations of one controller, by the path that started them."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._known: dict[tuple[str, int], _Operation] = {}
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, path: str, origin: str, work: Callable[[], Awaitable[Outcome | None]]) -> dict[str, Any]:
        """Starts `work` and returns the AsyncContext of it."""
        self._count += 1
        kind = path.rsplit("/", 1)[-1]
        operation = _Operation(self._count, kind, path)
        self._known[path, operation.id] = operation
        task = asyncio.get_running_loop().create_task(self._run(operation, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return operation.shown(origin)

    async def _run(self, operation: _Operation, work: Callable[[], Awaitable[Outcome | None]]) -> None:
        try:
            pause = self._faults.operation_seconds.get(operation.kind, 0.0)
            for step in range(10 if pause else 0):
                operation.progress = step * 10
                await asyncio.sleep(pause / 10)
            if operation.kind in self._faults.operation_errors:
                raise OperationError(self._faults.operation_errors[operation.kind])
            outcome = await work() or Outcome()
        except OperationError as error:
            operation.message, operation.state = str(error), "ERROR"
        except Exception as error:
            operation.message, operation.state = f"stand-in failed: {error!r}", "ERROR"
            raise
        else:
            operation.result, operation.result_url = outcome.result, outcome.result_url
            operation.progress, operation.state = 100, "SUCCESS"

    def poll(self, path: str, identifier: int, origin: str) -> dict[str, Any] | None:
        """Returns the AsyncContext, or None when there is none of that id."""
        operation = self._known.get((path, identifier))
        return operation.shown(origin) if operation else None

    async def close(self) -> None:
        """Cancels what still runs."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
