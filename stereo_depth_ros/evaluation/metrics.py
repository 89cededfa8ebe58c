"""Stereo metrics, defined as the public benchmarks define them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stereo_depth_ros.errors import InputError

BAD_PX = (0.5, 1.0, 2.0, 3.0, 4.0)
_STEPS = 50
MISSED_PX = 2.0
"""Error in px above which a pixel of a thin structure counts as missed."""
NEAR_PX = 12.0
"""Disparity in px above which a pixel of the sky is claimed to be something near."""
CLAIM_CONFIDENCE = 0.3
"""Confidence above which a disparity of the sky is a claim: users cut off what is below."""


@dataclass(frozen=True)
class Accuracy:
    """Disparity against truth; an unanswered pixel counts as bad.

    Attributes
    ----------
    pixels
        Of known truth.
    density
        Percentage of them that is answered.
    epe, median
        Mean and median absolute error in px of the answered pixels, NaN where none is.
    bad
        Percentage of pixels whose error exceeds a threshold, by the threshold in px.
    d1
        KITTI's percentage: over 3 px and over 5 % of the truth.
    """

    pixels: int
    density: float
    epe: float
    median: float
    bad: dict[float, float]
    d1: float


def accuracy(
    disparity: np.ndarray, truth: np.ndarray, considered: np.ndarray | None = None
) -> Accuracy:
    """Compare disparity with truth.

    Parameters
    ----------
    disparity
        (H, W) px, NaN where unanswered.
    truth
        (H, W) px, NaN where unknown.
    considered
        (H, W) bool, to what the comparison is restricted, such as non-occluded pixels.

    Returns
    -------
    Accuracy
        Over the pixels of known truth.

    Raises
    ------
    InputError
        When no pixel of known truth is left to compare.
    """
    mask = np.isfinite(truth)
    if considered is not None:
        mask = mask & considered
    if not mask.any():
        raise InputError("no pixel of known truth to compare with")
    expected = truth[mask]
    error = np.abs(disparity[mask] - expected)
    answered = np.isfinite(error)
    worst = np.where(answered, error, np.inf)
    return Accuracy(
        pixels=int(mask.sum()),
        density=float(100 * answered.mean()),
        epe=float(error[answered].mean()) if answered.any() else float("nan"),
        median=float(np.median(error[answered])) if answered.any() else float("nan"),
        bad={px: float(100 * (worst > px).mean()) for px in BAD_PX},
        d1=float(100 * ((worst > 3.0) & (worst > 0.05 * expected)).mean()),
    )


@dataclass(frozen=True)
class Share:
    """How much a fault befalls.

    Attributes
    ----------
    pixels
        That it can befall.
    percent
        Of them that it does.
    """

    pixels: int
    percent: float


def measure_near_sky(
    disparity: np.ndarray, confidence: np.ndarray, sky: np.ndarray
) -> Share | None:
    """Measure how much of the sky is taken for something near.

    That is a disparity above `NEAR_PX` of a confidence above `CLAIM_CONFIDENCE`.

    Parameters
    ----------
    disparity
        (H, W) px.
    confidence
        (H, W), 0 to 1.
    sky
        (H, W) bool.

    Returns
    -------
    Share or None
        Of the sky; None without one.
    """
    return _share((disparity > NEAR_PX) & (confidence > CLAIM_CONFIDENCE), sky)


def measure_missed(disparity: np.ndarray, truth: np.ndarray, thin: np.ndarray) -> Share | None:
    """Measure how much of thin structures is lost.

    That is an error of more than `MISSED_PX`, or no answer.

    Parameters
    ----------
    disparity
        (H, W) px.
    truth
        (H, W) px, known where something is thin.
    thin
        (H, W) bool.

    Returns
    -------
    Share or None
        Of the thin structures; None where nothing is thin.
    """
    return _share(~(np.abs(disparity - truth) <= MISSED_PX), thin)


def _share(faulty: np.ndarray, among: np.ndarray) -> Share | None:
    pixels = int(among.sum())
    return Share(pixels, float(100 * faulty[among].mean())) if pixels else None


@dataclass(frozen=True)
class Sparsification:
    """Mean error of what is kept as the least confident pixels are removed.

    Attributes
    ----------
    share_left
        Fractions of the pixels, from 1 down.
    error
        Mean error in px of these most confident pixels.
    oracle
        That of the pixels of least error.
    auc
        Area under ``error``.
    ause
        Area between the two.
    ause_random
        The same for a random order, whose curve is flat.
    deciles
        Mean error in px of each tenth, the most confident first.
    """

    share_left: tuple[float, ...]
    error: tuple[float, ...]
    oracle: tuple[float, ...]
    auc: float
    ause: float
    ause_random: float
    deciles: tuple[float, ...]

    @property
    def relative(self) -> float:
        """``ause`` as a share of what a random order gives; NaN where all errors are equal."""
        return self.ause / self.ause_random if self.ause_random else float("nan")


def sparsification(
    disparity: np.ndarray, confidence: np.ndarray, truth: np.ndarray
) -> Sparsification:
    """Judge confidence by the errors of dense disparity.

    Pixels of equal confidence count as their mean, since any order of them would be as good.

    Parameters
    ----------
    disparity
        (H, W) px.
    confidence
        (H, W), 0 to 1.
    truth
        (H, W) px, NaN where unknown.

    Returns
    -------
    Sparsification
        Its ``relative`` is 0 for a perfect order and 1 for one no better than chance.

    Raises
    ------
    InputError
        When fewer than ten pixels have a known truth.
    """
    mask = np.isfinite(truth) & np.isfinite(disparity)
    if mask.sum() < 10:
        raise InputError("fewer than ten pixels of known truth to order by confidence")
    error = np.abs(disparity - truth)[mask].astype(np.float64)
    _, group, sizes = np.unique(-confidence[mask], return_inverse=True, return_counts=True)
    ordered = np.repeat(np.bincount(group.ravel(), error) / sizes, sizes)
    counts = np.maximum(1, np.rint(np.linspace(1, 1 / _STEPS, _STEPS) * error.size)).astype(int)
    by_confidence = np.cumsum(ordered)[counts - 1] / counts
    by_error = np.cumsum(np.sort(error))[counts - 1] / counts
    return Sparsification(
        share_left=tuple(counts / error.size),
        error=tuple(by_confidence),
        oracle=tuple(by_error),
        auc=float(by_confidence.mean()),
        ause=float((by_confidence - by_error).mean()),
        ause_random=float((error.mean() - by_error).mean()),
        deciles=tuple(float(tenth.mean()) for tenth in np.array_split(ordered, 10)),
    )
