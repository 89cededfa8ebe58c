"""Scores as a table for people, as JSON, and as one HTML page with pictures."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np

from stereo_depth_ros.colour_scale import CONFIDENCE, scale_disparity
from stereo_depth_ros.evaluation.datasets import Sample
from stereo_depth_ros.evaluation.evaluate import Score
from stereo_depth_ros.evaluation.metrics import Accuracy, Share, Sparsification

KINDS = {
    "filled": "filled",
    "raw": "raw",
    "filled_nonocc": "filled, non-occluded",
    "raw_nonocc": "raw, non-occluded",
}
"""What is scored, in words: every pixel, or what the model vouches for; see `Score`."""

_CONFIDENCE_COLUMNS = ("AUSE / random", "AUC")
COLUMNS = ("EPE", "bad-0.5", "bad-1", "bad-2", "bad-3", "bad-4", "D1", "density")
FAULTS = ("sky", "thin")
"""The shares of a `Score` that are of a part of the image."""
_ENOUGH = 200  # px of such a part, in less of which a share says little
_PICTURE_WIDTH = 320


def models_of(scores: Sequence[Score]) -> list[str]:
    """Return the names of the models, in the order in which they were scored."""
    return list(dict.fromkeys(score.model for score in scores))


def _numbers(scores: Accuracy) -> list[float]:
    return [scores.epe, *scores.bad.values(), scores.d1, scores.density]


def medians(scores: Sequence[Score], model: str, kind: str) -> list[float]:
    """Return the median over samples of every column, for ``kind`` of `KINDS`.

    Samples without such pixels or answers are left out; empty where that is all of them.
    """
    accuracies = [getattr(score, kind) for score in scores if score.model == model]
    rows = np.array([_numbers(accuracy) for accuracy in accuracies if accuracy is not None])
    return [float(np.median(column[np.isfinite(column)])) for column in rows.T]


def confidence_medians(scores: Sequence[Score], model: str) -> list[float]:
    """Return the medians over samples of AUSE as a share of random, and of AUC in px."""
    mine = [score.confidence for score in scores if score.model == model]
    return [float(np.median([c.relative for c in mine])), float(np.median([c.auc for c in mine]))]


def fault_medians(scores: Sequence[Score], model: str) -> dict[str, float | None]:
    """Return the median of each of `FAULTS` in percent over samples with 200 such pixels or more.

    None where no sample has as many.
    """
    mine = [score for score in scores if score.model == model]
    shares_by_fault = {}
    for fault in FAULTS:
        shares = [value for s in mine if (value := _percent_of(getattr(s, fault))) is not None]
        shares_by_fault[fault] = float(np.median(shares)) if shares else None
    return shares_by_fault


def _percent_of(share: Share | None) -> float | None:
    return share.percent if share is not None and share.pixels >= _ENOUGH else None


def _cells(values: Iterable[float | None]) -> list[str]:
    return ["-" if value is None else f"{value:.2f}" for value in values]


def _faults(score: Score) -> list[str]:
    return _cells(_percent_of(getattr(score, fault)) for fault in FAULTS)


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
    head = ("model", "pixels", *COLUMNS, *_CONFIDENCE_COLUMNS, *FAULTS)
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in _summary(scores)]
    each = ("sample", "model", *COLUMNS, *FAULTS)
    lines += ["", f"| {' | '.join(each)} |", "| --- " * len(each) + "|"]
    for score in scores:
        values = " | ".join([*_cells(_numbers(score.filled)), *_faults(score)])
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


class Gallery:
    """Collects one row of pictures a score; its call is a `Viewer`."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], list[tuple[str, str]]] = {}

    def __call__(
        self,
        sample: Sample,
        model: str,
        disparity: np.ndarray,
        confidence: np.ndarray,
        truth: np.ndarray,
    ) -> None:
        """Draw left image, truth, disparity, error and confidence of one score."""
        error = np.abs(disparity - truth)
        shades = np.rint(np.clip(np.nan_to_num(error), 0, 4) * 63.75).astype(np.uint8)
        heat = cv2.applyColorMap(shades, cv2.COLORMAP_INFERNO)[..., ::-1].copy()
        heat[~np.isfinite(truth)] = 60
        scale = scale_disparity(truth)
        self.rows[sample.name, model] = [
            ("left", _embed(sample.images()[0])),
            ("truth", _embed(scale.paint(truth))),
            (model, _embed(scale.paint(disparity))),
            ("error, white is 4 px", _embed(heat)),
            ("confidence", _embed(CONFIDENCE.paint(confidence))),
        ]


def _embed(picture: np.ndarray) -> str:
    height = max(1, round(picture.shape[0] * _PICTURE_WIDTH / picture.shape[1]))
    small = cv2.resize(picture, (_PICTURE_WIDTH, height), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def as_html(scores: Sequence[Score], gallery: Gallery, title: str) -> str:
    """Return one self-contained page: medians, then numbers, curve and pictures of each score."""
    parts = [
        "<!doctype html><meta charset=utf-8>",
        f"<title>{html.escape(title)}</title>",
        "<style>body{font:14px sans-serif;margin:2em;max-width:110em}"
        "table{border-collapse:collapse}"
        "td,th{padding:.2em .6em;border-bottom:1px solid #ccc;text-align:right}"
        "td:first-child,th:first-child{text-align:left}figure{display:inline-block;margin:.2em}"
        "figcaption{font-size:12px}</style>",
        f"<h1>{html.escape(title)}</h1><p>Medians over {len({s.sample for s in scores})} samples, "
        "errors in px, shares in percent; an unanswered pixel counts as bad. Of the sky, it is "
        "what is claimed to be near, of thin structures what is missed.</p>",
        _table(["model", "pixels", *COLUMNS, *_CONFIDENCE_COLUMNS, *FAULTS], _summary(scores)),
    ]
    for score in scores:
        parts.append(f"<h2>{html.escape(score.sample)}: {html.escape(score.model)}</h2>")
        rows, faults = [], _faults(score)
        for kind, title in KINDS.items():
            if (accuracy := getattr(score, kind)) is not None:
                rows.append([title, *_cells(_numbers(accuracy)), *faults])
                faults = [""] * len(faults)
        parts.append(_table(["pixels", *COLUMNS, *FAULTS], rows))
        for caption, data in gallery.rows.get((score.sample, score.model), []):
            parts.append(
                f'<figure><img src="{data}" alt="{html.escape(caption)}">'
                f"<figcaption>{html.escape(caption)}</figcaption></figure>"
            )
        parts.append(
            f"<figure>{_curve(score.confidence)}<figcaption>mean error of the most "
            "confident pixels (black), of the best (grey)</figcaption></figure>"
        )
    return "\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{cells}</tr>{body}</table>"


def _curve(curve: Sparsification) -> str:
    width, height = 260, 160
    top = max(*curve.error, *curve.oracle, 1e-6)

    def line(values: Sequence[float], colour: str) -> str:
        points = " ".join(
            f"{width * share:.1f},{height * (1 - value / top):.1f}"
            for share, value in zip(curve.share_left, values, strict=True)
        )
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'

    return (
        f'<svg width="{width}" height="{height}" style="border:1px solid #ccc">'
        f"{line(curve.oracle, '#aaa')}{line(curve.error, '#000')}"
        f'<text x="4" y="14" font-size="12">{top:.2f} px</text></svg>'
    )
