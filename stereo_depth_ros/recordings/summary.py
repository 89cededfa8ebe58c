"""What a run came to, in numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stereo_depth_ros.recordings.record import Record


@dataclass(frozen=True)
class Summary:
    """What a run came to.

    Attributes
    ----------
    is_metric
        Whether the results are depth; else they are disparity.
    pairs
        Those with results.
    skipped
        Those without, by reason.
    losses
        What never became a pair, by reason.
    density, confidence
        Means of the share of valid pixels and of the confidence.
    stages
        Mean time of each stage in ms.
    matched
        Pairs that this run matched itself; the others stem from one before it.
    wall_s
        How long this run took, in s.
    inference_share
        Share of that time, of all workers, that was spent in the engine.
    """

    is_metric: bool
    pairs: int
    skipped: dict[str, int]
    losses: dict[str, int]
    density: float
    confidence: float
    stages: dict[str, float]
    matched: int
    wall_s: float
    inference_share: float

    @property
    def kind(self) -> str:
        """What the results are called."""
        return "depth" if self.is_metric else "disparity"

    @property
    def rate(self) -> float:
        """Pairs per second that this run matched."""
        return self.matched / self.wall_s if self.wall_s else 0.0


def summarise(
    records: Sequence[Record],
    losses: Mapping[str, int],
    is_metric: bool,
    matched: Sequence[Record] = (),
    wall_s: float = 0.0,
    workers: int = 1,
) -> Summary:
    """Sum up a run.

    Parameters
    ----------
    records
        Of all pairs.
    losses, is_metric
        As of `Summary`.
    matched
        Those of this run.
    wall_s, workers
        How long it took, and by how many.
    """
    done = [record for record in records if not record.skipped]
    stages: Counter[str] = Counter()
    for record in done:
        stages.update(record.seconds)
    inference = sum(record.seconds.get("inference", 0.0) for record in matched)
    return Summary(
        is_metric=is_metric,
        pairs=len(done),
        skipped=_count_reasons(records),
        losses=dict(losses),
        density=float(np.mean([r.valid for r in done])) if done else 0.0,
        confidence=float(np.mean([r.confidence for r in done])) if done else 0.0,
        stages={name: 1e3 * seconds / len(done) for name, seconds in stages.items()},
        matched=sum(not record.skipped for record in matched),
        wall_s=wall_s,
        inference_share=inference / (wall_s * workers) if wall_s else 0.0,
    )


def _count_reasons(records: Sequence[Record]) -> dict[str, int]:
    """Count the reasons for which pairs were skipped; those that differ in numbers are one."""
    texts: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for record in records:
        if record.skipped:
            kind = re.sub(r"[\d.]+", "", record.skipped)
            counts[texts.setdefault(kind, record.skipped)] += 1
    return dict(counts.most_common())


def count_pairs(number: int) -> str:
    """Return so many pairs in words."""
    return f"{number} pair{'' if number == 1 else 's'}"


def describe(summary: Summary) -> list[str]:
    """Return the summary as lines for people."""
    skipped = sum(summary.skipped.values())
    lines = [f"{count_pairs(summary.pairs)} with {summary.kind}, {skipped} skipped"]
    lines += [f"  skipped {count}: {reason}" for reason, count in summary.skipped.items()]
    lines += [f"  {count} x {reason}" for reason, count in summary.losses.items()]
    lines.append(f"valid {100 * summary.density:.1f} %, mean confidence {summary.confidence:.2f}")
    stages = ", ".join(f"{name} {ms:.1f}" for name, ms in summary.stages.items())
    lines.append(f"ms per pair: {stages}")
    if summary.matched:
        lines.append(
            f"{count_pairs(summary.matched)} in {summary.wall_s:.1f} s, {summary.rate:.2f} per "
            f"second; inference took {100 * summary.inference_share:.0f} % of the time"
        )
    return lines
