"""Log a message that comes again and again now and then instead of every time."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

from stereo_depth_ros.excerpt import shorten

_AGAIN_S = 10.0
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?")


class ThrottledLog:
    """Passes a text to a ROS logger unless it did so in the last ten seconds; for any thread.

    Texts that differ in their numbers alone are one message. What is long is cut.
    """

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._logged: dict[str, float] = {}

    # One method a severity, since rclpy lets one line of code log at one severity only.

    def error(self, text: str) -> None:
        """Log an error."""
        text = shorten(text)
        if self._is_due(text):
            self._logger.error(text)

    def warning(self, text: str) -> None:
        """Log a warning."""
        text = shorten(text)
        if self._is_due(text):
            self._logger.warning(text)

    def info(self, text: str) -> None:
        """Log information."""
        text = shorten(text)
        if self._is_due(text):
            self._logger.info(text)

    def _is_due(self, text: str) -> bool:
        message, now = _NUMBER.sub("#", text), time.monotonic()
        with self._lock:
            self._logged = {m: at for m, at in self._logged.items() if now - at < _AGAIN_S}
            if message in self._logged:
                return False
            self._logged[message] = now
            return True
