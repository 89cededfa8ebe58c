"""Why is nothing published? One pure function from what was observed to cause and cure."""

from __future__ import annotations

from dataclasses import dataclass

SILENCE_S = 5.0
"""Silence of this many seconds is explained."""

_ARGUMENTS = ("left_image", "right_image", "left_info", "right_info")
"""Launch arguments of the four topics, in the order in which they are observed."""

_LOSS = 0.7
"""Images arriving at less than this share of their camera_info are being lost on the way."""


@dataclass(frozen=True)
class TopicState:
    """One input topic: its publishers, and what arrived.

    ``incompatible`` names QoS policies; ``silence`` is the seconds since a stream's last message,
    0 for what need not stream.
    """

    name: str
    type: str
    publishers: int
    other_types: tuple[str, ...] = ()
    incompatible: tuple[str, ...] = ()
    hz: float = 0.0
    silence: float = 0.0
    received: int = 0
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observation:
    """What the node knows of itself at one moment.

    ``paired`` counts the pairs of the last second, ``adaptive_slop_ns`` is that of the
    synchronizer, ``busy_s`` the seconds for which one frame has been worked on.
    """

    topics: tuple[TopicState, ...]
    has_subscribers: bool = True
    paired: int = 0
    skew_ns: int | None = None
    adaptive_slop_ns: int = 0
    calibration_error: str | None = None
    frame_error: str | None = None
    busy_s: float = 0.0
    has_zero_stamps: bool = False
    max_rate: float = 0.0


def explain_silence(observed: Observation) -> str | None:
    """Return cause and cure of the node's silence, None where a pair may come at any moment.

    ``observed.topics`` are left image, right image, left info, right info.
    """
    if not observed.has_subscribers:
        return explain_chosen_silence(observed)
    for topic, argument in zip(observed.topics, _ARGUMENTS, strict=True):
        cause = _explain_topic(topic, argument)
        if cause:
            return cause
    if observed.calibration_error:
        return observed.calibration_error
    if observed.frame_error:
        return f"every frame fails: {observed.frame_error}"
    if observed.busy_s > SILENCE_S:
        return (
            f"one inference has been running for {observed.busy_s:.0f} s; choose a smaller model "
            "or a faster backend"
        )
    if observed.has_zero_stamps:
        return (
            "the stamps of the images do not advance; the camera driver must set header.stamp to "
            "the time of exposure, and a bag that is played in a loop needs three pairs or more"
        )
    loss = find_transport_loss(observed)
    if loss is None and observed.paired == 0:
        return _explain_unpaired(observed)
    return loss or explain_chosen_silence(observed)


def explain_chosen_silence(observed: Observation) -> str | None:
    """Return what the user chose that keeps the node silent for long, None where nothing does."""
    if not observed.has_subscribers:
        return "nobody subscribes to any output, so nothing is computed; subscribe to one"
    if 0 < observed.max_rate < 1 / SILENCE_S:
        return (
            f"max_rate is {observed.max_rate:g} Hz, which is one pair in "
            f"{1 / observed.max_rate:.0f} s; raise it for more, 0 is no limit"
        )
    return None


def _explain_topic(topic: TopicState, argument: str) -> str | None:
    if topic.publishers == 0 and topic.other_types:
        return (
            f"{topic.name} carries {', '.join(topic.other_types)}, not {topic.type}; set "
            f"{argument}:= to a topic of that type, or image_transport to match"
        )
    if topic.publishers == 0:
        others = ", ".join(topic.alternatives)
        hint = f"; similar topics of its type are {others}" if others else ""
        return (
            f"{topic.name} has no publisher: start the camera or the bag, or point {argument}:= at "
            f"its topic{hint}"
        )
    if topic.incompatible and len(topic.incompatible) == topic.publishers:
        return (
            f"{topic.name} is published with incompatible QoS: {topic.incompatible[0]}; change it "
            f"at the camera or with qos_overrides.{topic.name}.subscription.*"
        )
    if topic.received == 0:
        return (
            f"{topic.name} has a publisher but nothing arrives: the camera is not streaming, or "
            "the transport loses every message; start both ends with the transport profile "
            "config/fastdds.xml"
        )
    if topic.silence > SILENCE_S:
        return (
            f"{topic.name} has stopped: nothing for {SILENCE_S:.0f} s; check the camera or the bag"
        )
    return None


def _explain_unpaired(observed: Observation) -> str:
    if observed.skew_ns is None:
        return (
            "left and right stamps never come close: the cameras are not synchronized, or one "
            "runs on another clock; synchronize them"
        )
    if observed.skew_ns == 0:
        return (
            "left and right stamps are equal, but one side arrives so late that its partners are "
            "gone; raise queue_size, or find what delays that camera"
        )
    skew = abs(observed.skew_ns) / 1e6
    if abs(observed.skew_ns) <= observed.adaptive_slop_ns:
        return (
            f"left and right stamps differ by {skew:.1f} ms; they will be paired once ten images "
            "of each side have shown that they are never equal"
        )
    slop = max(skew * 1.5e-3, 1e-4)
    return (
        f"left and right stamps differ by {skew:.1f} ms, which is not paired; set parameter sync "
        f"to latest or approximate and slop to {slop:.4f}, and configure again"
    )


def find_transport_loss(observed: Observation) -> str | None:
    """Return a warning where images arrive at a fraction of the rate of their camera_info."""
    for image, info in zip(observed.topics[:2], observed.topics[2:], strict=True):
        if info.hz > 1.0 and 0 < image.hz < _LOSS * info.hz:
            return (
                f"{image.name} arrives at {image.hz:.1f} Hz but its camera_info at "
                f"{info.hz:.1f} Hz: the transport loses large messages, or the driver sends fewer "
                "images; start the camera and this node with the transport profile "
                "config/fastdds.xml"
            )
    return None
