"""What the core logs, which knows no ROS, in the node's log."""

from __future__ import annotations

import logging
from typing import Any

from stereo_depth_ros.excerpt import shorten

_CORE = "stereo_depth_ros"


class CoreLog(logging.Handler):
    """Passes what the package logs, from information upwards, to a ROS logger until closed."""

    def __init__(self, logger: Any) -> None:
        super().__init__(logging.INFO)
        self._logger = logger
        core = logging.getLogger(_CORE)
        core.setLevel(logging.INFO)
        core.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on one record."""
        text = shorten(self.format(record))
        # One line a severity, since rclpy lets one line of code log at one severity only.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)

    def close(self) -> None:
        """Pass on no more."""
        logging.getLogger(_CORE).removeHandler(self)
        super().close()
