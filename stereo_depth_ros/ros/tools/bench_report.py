"""What the node benchmark measured, and how it is shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Run:
    """One configuration: ms as (p50, p95), per stage and over frames.

    ``own`` sums all stages but the inference, filling and publishing messages included;
    ``overhead`` is stamp to publish less the inference, so the camera's sending and the transport
    count too. ``memcpy`` is the ms that copying the same bytes, in and out, takes meanwhile.
    """

    size: str
    outputs: str
    frames: int
    stages: dict[str, tuple[float, float]]
    own: tuple[float, float]
    overhead: tuple[float, float]
    stamp_to_publish: tuple[float, float]
    memcpy: float
    megabytes: float


@dataclass
class Delivery:
    """What a transport delivered: received of sent images, and ms from stamp to arrival."""

    size: str
    topic: str
    transport: str
    sent: int
    received: int
    p50: float
    p99: float


@dataclass
class Soak:
    """Peak resident memory of the node in MiB, before the first minute ends and at the end."""

    minutes: float
    published: int
    after_one_minute: float
    at_end: float

    @property
    def growth(self) -> float:
        """Growth in percent."""
        return 100 * (self.at_end / self.after_one_minute - 1)


@dataclass
class NodeBenchmark:
    """All that was measured."""

    engine: str = ""
    runs: list[Run] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    soak: Soak | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def as_text(self) -> str:
        """Return the tables for people, in Markdown."""
        lines = [
            f"engine: {self.engine}",
            "",
            "| size | outputs | stamp to publish | inference | overhead | of it the node's own "
            "| memcpy of the same bytes |",
            "| --- " * 7 + "|",
        ]
        for run in self.runs:
            columns = (run.stamp_to_publish, run.stages["inference"], run.overhead, run.own)
            times = " | ".join(f"{p50:.1f} / {p95:.1f}" for p50, p95 in columns)
            lines.append(
                f"| {run.size} | {run.outputs} | {times} "
                f"| {run.memcpy:.2f} ({run.megabytes:.1f} MB) |"
            )
        lines += ["", "All in ms, p50 / p95. Stages:", ""]
        for run in self.runs:
            stages = ", ".join(f"{s} {a:.2f} / {b:.2f}" for s, (a, b) in run.stages.items())
            lines.append(f"- {run.size} {run.outputs} ({run.frames} frames): {stages}")
        lines += ["", "| size | image | transport | received | p50 | p99 |", "| --- " * 6 + "|"]
        for d in self.deliveries:
            lines.append(
                f"| {d.size} | {d.topic} | {d.transport} | {d.received} of {d.sent} "
                f"| {d.p50:.1f} ms | {d.p99:.1f} ms |"
            )
        if self.soak:
            s = self.soak
            lines += [
                "",
                f"Memory of the node at 30 Hz in, {s.published} frames out: "
                f"{s.after_one_minute:.1f} MiB after 1 min, {s.at_end:.1f} MiB after "
                f"{s.minutes:g} min ({s.growth:+.2f} %)",
            ]
        return "\n".join(lines)
