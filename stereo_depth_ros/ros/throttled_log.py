"""Log a repeated message now and then instead of every time."""

from __future__ import annotations

import threading
import time
from typing import Any

_AGAIN_S = 10.0


class ThrottledLog:
    """Passes a text to a ROS logger unless it did so in the last ten seconds; for any thread."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._said: dict[str, float] = {}

    # One method a severity, since rclpy lets one line of code log at one severity only.

    def error(self, text: str) -> None:
        """Log an error."""
        if self._is_due(text):
            self._logger.error(text)

    def warning(self, text: str) -> None:
        """Log a warning."""
        if self._is_due(text):
            self._logger.warning(text)

    def info(self, text: str) -> None:
        """Log information."""
        if self._is_due(text):
            self._logger.info(text)

    def _is_due(self, text: str) -> bool:
        now = time.monotonic()
        with self._lock:
            self._said = {t: at for t, at in self._said.items() if now - at < _AGAIN_S}
            if text in self._said:
                return False
            self._said[text] = now
            return True
