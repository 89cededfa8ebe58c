"""Quality of service: what the node asks for, and why a publisher does not fit."""

from __future__ import annotations

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

__all__ = [
    "INFO_INPUT",
    "INPUT",
    "OUTPUT",
    "PublisherEventCallbacks",
    "SubscriptionEventCallbacks",
    "mismatch",
]

INPUT = QoSProfile(
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
    history=HistoryPolicy.KEEP_LAST,
    depth=2,
)
"""Best effort hears both kinds of camera; a deep queue would only hold frames that are too old."""

INFO_INPUT = QoSProfile(
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
    history=HistoryPolicy.KEEP_LAST,
    depth=5,
)

OUTPUT = QoSProfile(
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
    history=HistoryPolicy.KEEP_LAST,
    depth=2,
)
"""Reliable is heard by RViz (reliable) and nav2 (best effort) alike."""


def mismatch(offered: QoSProfile, requested: QoSProfile) -> str | None:
    """Return which policy keeps a publisher from reaching a subscription, None if none does."""
    verdict, reason = qos_check_compatible(offered, requested)
    return reason.removeprefix("ERROR: ").strip("; ") if verdict == QoSCompatibility.ERROR else None
