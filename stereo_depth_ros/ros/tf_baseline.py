"""The baseline from TF, for drivers that put it nowhere else."""

from __future__ import annotations

import math
from typing import Any

from rclpy.node import Node
from rclpy.time import Time


class TfBaseline:
    """Looks up the distance between two camera frames; subscribes to TF with the first call.

    Without tf2_ros installed, or before both frames are known, it is None.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._buffer: Any = None
        self._listener: Any = None
        self._failures: Any = ()

    def __call__(self, left_frame: str, right_frame: str) -> float | None:
        """Return the metres between the origins of the two frames, None where unknown."""
        # RealSense names the left frame in both infos on purpose; then TF has nothing to say.
        if left_frame == right_frame or not self._listen():
            return None
        try:
            transform = self._buffer.lookup_transform(left_frame, right_frame, Time())
        except self._failures:
            return None
        t = transform.transform.translation
        return math.sqrt(t.x * t.x + t.y * t.y + t.z * t.z)

    def close(self) -> None:
        """Unsubscribe from TF."""
        if self._listener is not None:
            self._listener.unregister()
        self._buffer = self._listener = None

    def _listen(self) -> bool:
        """Subscribe to TF; return whether that is possible."""
        if self._buffer is None:
            try:
                import tf2_ros
            except ImportError:
                return False
            self._failures = tf2_ros.TransformException
            self._buffer = tf2_ros.Buffer()
            self._listener = tf2_ros.TransformListener(self._buffer, self._node)
        return True
