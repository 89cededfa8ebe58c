"""Scores as tables of text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from stereo_depth_ros.evaluation.evaluate import Score
from stereo_depth_ros.evaluation.metrics import Accuracy, Share

KINDS = {
    "filled": "filled",
    "raw": "raw",
    "filled_nonocc": "filled, non-occluded",
    "raw_nonocc": "raw, non-occluded",
}
"""What is scored, in words: every pixel, or what the model vouches for; see `Score`."""

CONFIDENCE_COLUMNS = ("AUSE / random", "AUC")
COLUMNS = ("EPE", "bad-0.5", "bad-1", "bad-2", "bad-3", "bad-4", "D1", "density")
FAULTS = ("sky", "thin")
"""The shares of a `Score` that are of a part of the image."""
ENOUGH = 200
"""Pixels of such a part, in less of which a share says little."""


def models_of(scores: Sequence[Score]) -> list[str]:
    """Return the names of the models, in the order in which they were scored."""
    return list(dict.fromkeys(score.model for score in scores))


def list_numbers(scores: Accuracy) -> list[float]:
    """Return the values of `COLUMNS`."""
    return [scores.epe, *scores.bad.values(), scores.d1, scores.density]


def medians(scores: Sequence[Score], model: str, kind: str) -> list[float]:
    """Return the median over samples of every column, for ``kind`` of `KINDS`.

    Samples without such pixels or answers are left out; NaN where that is all of them, and empty
    where no sample was scored so.
    """
    accuracies = [getattr(score, kind) for score in scores if score.model == model]
    rows = np.array([list_numbers(accuracy) for accuracy in accuracies if accuracy is not None])
    finite = [column[np.isfinite(column)] for column in rows.T]
    return [float(np.median(values)) if values.size else float("nan") for values in finite]


def confidence_medians(scores: Sequence[Score], model: str) -> list[float]:
    """Return the medians over samples of AUSE as a share of random, and of AUC in px."""
    mine = [score.confidence for score in scores if score.model == model]
    return [float(np.median([c.relative for c in mine])), float(np.median([c.auc for c in mine]))]


def fault_medians(scores: Sequence[Score], model: str) -> dict[str, float | None]:
    """Return the median of each of `FAULTS` in percent over samples with enough such pixels.

    None where no sample has as many.
    """
    mine = [score for score in scores if score.model == model]
    shares_by_fault = {}
    for fault in FAULTS:
        shares = [value for s in mine if (value := _percent_of(getattr(s, fault))) is not None]
        shares_by_fault[fault] = float(np.median(shares)) if shares else None
    return shares_by_fault


def _fault_percents(score: Score) -> list[float | None]:
    return [_percent_of(getattr(score, fault)) for fault in FAULTS]


def _percent_of(share: Share | None) -> float | None:
    return share.percent if share is not None and share.pixels >= ENOUGH else None


def _cells(values: Iterable[float | None]) -> list[str]:
    return ["-" if value is None else f"{value:.2f}" for value in values]


def _summary(scores: Sequence[Score]) -> list[list[str]]:
    """Return the rows of the table of medians; confidence and faults are those of all pixels."""
    rows = []
    for model in models_of(scores):
        judged = _cells(confidence_medians(scores, model))
        judged += _cells(fault_medians(scores, model).values())
        for kind, title in KINDS.items():
            if values := medians(scores, model, kind):
                rows.append([model, title, *(f"{v:.2f}" for v in values), *judged])
                judged = [""] * len(judged)
    return rows


def as_text(scores: Sequence[Score]) -> str:
    """Return medians per model, then every sample, as Markdown tables."""
    head = ("model", "pixels", *COLUMNS, *CONFIDENCE_COLUMNS, *FAULTS)
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in _summary(scores)]
    each = ("sample", "model", *COLUMNS, *FAULTS)
    lines += ["", f"| {' | '.join(each)} |", "| --- " * len(each) + "|"]
    for score in scores:
        values = " | ".join([*_cells(list_numbers(score.filled)), *_cells(_fault_percents(score))])
        lines.append(f"| {score.sample} | {score.model} | {values} |")
    return "\n".join(lines)


def as_dict(scores: Sequence[Score]) -> dict[str, Any]:
    """Return plain values for JSON: the medians per model and every score."""
    return {
        "columns": list(COLUMNS),
        "medians": {
            model: {kind: medians(scores, model, kind) for kind in KINDS}
            for model in models_of(scores)
        },
        "faults": {model: fault_medians(scores, model) for model in models_of(scores)},
        "scores": [
            {**asdict(score), "ause_relative": score.confidence.relative} for score in scores
        ],
    }
