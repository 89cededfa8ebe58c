"""The accuracy of one model in a few numbers."""

from __future__ import annotations

from collections.abc import Sequence

from stereo_depth_ros.evaluation.evaluate import Score
from stereo_depth_ros.evaluation.report import COLUMNS, medians
from stereo_depth_ros.evaluation.sample import Sample, digest_of
from stereo_depth_ros.measurements import Accuracy


def summarise(scores: Sequence[Score], model: str, samples: Sequence[Sample]) -> Accuracy:
    """Return the medians of ``model`` over ``samples``, guesses counted."""
    median = dict(zip(COLUMNS, medians(scores, model, "filled"), strict=True))
    return Accuracy(
        f"{len(samples)} pairs, medians, guesses counted",
        digest_of(samples),
        round(median["EPE"], 3),
        round(median["bad-2"], 2),
    )
