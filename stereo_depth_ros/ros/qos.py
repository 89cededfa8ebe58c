"""Quality of service: what the node asks for, what it offers, and which policies do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )
except ImportError:  # Humble
    from rclpy.qos_event import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )

INPUT = QoSProfile(
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
    history=HistoryPolicy.KEEP_LAST,
    depth=2,
)
"""Best effort receives from both kinds of camera; a deep queue would hold outdated frames."""

LATCHED_INPUT = QoSProfile(
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
)

OUTPUT = QoSProfile(
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
    history=HistoryPolicy.KEEP_LAST,
    depth=2,
)
"""Reliable reaches RViz (reliable) and nav2 (best effort) alike."""


def find_mismatch(offered: QoSProfile, requested: QoSProfile) -> str | None:
    """Return which policy keeps a publisher from reaching a subscription, None if none does."""
    verdict, reason = qos_check_compatible(offered, requested)
    return reason.removeprefix("ERROR: ").strip("; ") if verdict == QoSCompatibility.ERROR else None


def is_latched(offered: QoSProfile) -> bool:
    """Whether a publisher keeps its last message for subscriptions that come later."""
    return offered.durability == DurabilityPolicy.TRANSIENT_LOCAL


def create_subscription(
    node: Node, message_type: type, topic: str, callback: Callable[[Any], None], profile: QoSProfile
) -> Any:
    """Subscribe with overridable QoS; partners that do not fit are named in the log."""
    name = node.resolve_topic_name(topic)

    def log_mismatch(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        node.get_logger().error(
            f"{name}: a publisher offers a QoS that this subscription cannot take (policy "
            f"{policy}); change it at the camera or with qos_overrides.{name}.subscription.*"
        )

    # A second subscription to a topic would read the overrides of the first.
    overrides = None if is_latched(profile) else QoSOverridingOptions.with_default_policies()
    events = SubscriptionEventCallbacks(incompatible_qos=log_mismatch)
    return _with_events(
        node.create_subscription,
        events,
        message_type,
        topic,
        callback,
        profile,
        qos_overriding_options=overrides,
    )


def create_publisher(
    node: Node, create: Callable[..., Any], message_type: type, topic: str, profile: QoSProfile
) -> Any:
    """Publish, by the node's method ``create``, with overridable QoS; mismatches are logged."""
    name = node.resolve_topic_name(topic)

    def log_mismatch(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        node.get_logger().error(
            f"{name}: a subscriber asks for a QoS that this publisher does not offer (policy "
            f"{policy}); change it there or with qos_overrides.{name}.publisher.*"
        )

    events = PublisherEventCallbacks(incompatible_qos=log_mismatch)
    overrides = QoSOverridingOptions.with_default_policies()
    return _with_events(
        create, events, message_type, topic, profile, qos_overriding_options=overrides
    )


def _with_events(create: Callable[..., Any], events: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return create(*args, event_callbacks=events, **kwargs)
    except UnsupportedEventTypeError:
        # Not every middleware reports mismatches; the watchdog finds them too.
        return create(*args, **kwargs)
