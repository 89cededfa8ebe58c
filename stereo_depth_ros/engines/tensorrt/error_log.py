"""What TensorRT says when it fails.

TensorRT keeps a bare pointer to the first logger it is given and uses it for everything after, in
any thread. So there is one for the whole process, which outlives all that logs through it.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from typing import Any

_MAX_LENGTH = 300
_ERRORS = ("ERROR", "INTERNAL_ERROR")

_lock = threading.RLock()
_logs: weakref.WeakSet[ErrorLog] = weakref.WeakSet()
# With their modules, so that no other module takes the place of one.
_loggers: dict[int, tuple[Any, Any]] = {}


class ErrorLog:
    """The last few errors since the last `clear`, while it exists."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque(maxlen=4)
        with _lock:
            _logs.add(self)

    def add(self, severity: str, message: str) -> None:
        """Take in a message of any ``severity`` ("ERROR", "WARNING"...)."""
        if severity in _ERRORS:
            self._texts.append(" ".join(message.split())[:_MAX_LENGTH])

    def clear(self) -> None:
        """Forget them."""
        self._texts.clear()

    def __str__(self) -> str:
        return "; ".join(tuple(self._texts)) or "it does not say why"


def logger_of(module: Any) -> Any:
    """Return the logger of the TensorRT ``module``, which feeds every `ErrorLog`."""
    with _lock:
        if id(module) not in _loggers:
            _loggers[id(module)] = module, _make_logger(module)
        return _loggers[id(module)][1]


def _make_logger(module: Any) -> Any:
    class Logger(module.ILogger):
        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            # An exception here would pass through C++ and end the process.
            with _lock:
                logs = tuple(_logs)
            for log in logs:
                log.add(str(severity).rpartition(".")[2], message)

    return Logger()
