"""Whether an engine computes what its graph does in float32.

Rounding (TF32, float16) changes most pixels by little and the ambiguous ones by much, and each
network in its own measure. What a kernel or an operator that is wrong does exceeds what the network
itself makes of a trace of noise in the images. So the limits where the network is confident come
from its own answer to such noise (see `sensitivity`), within bounds; those for all pixels are
loose. A region that is wrong by much hides in a mean, so pixels off by much count by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import numpy as np

MIN_COSINE = 0.999
MAX_MAE_PX = 0.5
MAX_BAD_2 = 3.0
MIN_SAME_VALID = 99.0
# Below these, rounding and a fault are not told apart, and neither matters.
MIN_LIMIT_PX, MIN_LIMIT_BAD_2, MIN_LIMIT_CONFIDENCE = 0.1, 0.3, 0.002
# Above these, an engine is of no use, however nervous its network is.
MAX_LIMIT_PX, MAX_LIMIT_BAD_2, MAX_LIMIT_CONFIDENCE = 0.4, 1.0, 0.03

_OUTLIER_PX = 2.0
# Confidences up to here may be rounded to 0.
_ROUNDED_CONFIDENCE = 1e-3
_NOISY_SHARE = 1 / 32


class Outputs(NamedTuple):
    """What a network returns: ``disparity`` (H, W) px and ``confidence`` (H, W), float32."""

    disparity: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class SelfTest:
    """Engine against reference on one pair.

    ``finite`` is the percentage of pixels whose disparity is finite and whose confidence lies
    within 0 to 1. Of all pixels, what is not finite counting as 0: ``cosine`` of the disparities,
    no difference counting more than 2 px, ``mae`` in px, and ``bad_2``, the percentage that differs
    by more than 2 px. ``confident_mae`` in px is the mean difference weighted by the confidence of
    the reference, none counting more than 2 px, ``confident_bad_2`` the percentage of that
    confidence whose pixels differ by more than 2 px; ``confidence_mae`` is the mean difference of
    the confidences; ``limit_px``, ``limit_bad_2`` and ``limit_confidence`` are what these three may
    reach. ``same_valid`` is the percentage of pixels that both call known (confidence above 0) or
    both unknown, what rounding to 0 may cause not counting as a difference. ``reference`` says what
    it was compared with.
    """

    finite: float
    cosine: float
    mae: float
    bad_2: float
    confident_mae: float
    limit_px: float
    confident_bad_2: float
    limit_bad_2: float
    confidence_mae: float
    limit_confidence: float
    same_valid: float
    reference: str

    @property
    def failures(self) -> tuple[str, ...]:
        """The gates that were not passed, one text each; empty where all were."""
        gates = (
            (
                self.finite == 100,
                f"{self.finite:.3f} % of the outputs are finite and in range, not 100 %",
            ),
            (self.cosine >= MIN_COSINE, f"cosine {self.cosine:.5f} is below {MIN_COSINE}"),
            (self.mae <= MAX_MAE_PX, f"mean difference {self.mae:.2f} px exceeds {MAX_MAE_PX}"),
            (self.bad_2 <= MAX_BAD_2, f"{self.bad_2:.1f} % differ by over 2 px, not {MAX_BAD_2}"),
            (
                self.confident_mae <= self.limit_px,
                f"mean difference where confident {self.confident_mae:.3f} px exceeds "
                f"{self.limit_px:.3f}",
            ),
            (
                self.confident_bad_2 <= self.limit_bad_2,
                f"{self.confident_bad_2:.2f} % of what is confident differ by over 2 px, not "
                f"{self.limit_bad_2:.2f}",
            ),
            (
                self.confidence_mae <= self.limit_confidence,
                f"mean difference of the confidence {self.confidence_mae:.4f} exceeds "
                f"{self.limit_confidence:.4f}",
            ),
            (
                self.same_valid >= MIN_SAME_VALID,
                f"{self.same_valid:.2f} % agree on known or unknown, not {MIN_SAME_VALID}",
            ),
        )
        return tuple(text for passed, text in gates if not passed)

    @property
    def passed(self) -> bool:
        """Whether the engine may be used."""
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        """Return numbers and verdict, for the sidecar."""
        return {**asdict(self), "passed": self.passed, "failures": list(self.failures)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any] | None) -> SelfTest | None:
        """Return what `as_dict` gave; None where there is none, or one by other gates."""
        names = {field.name for field in fields(cls)}
        if stored is None or not names <= set(stored):
            return None
        return cls(**{name: stored[name] for name in names})

    def __str__(self) -> str:
        return (
            f"finite {self.finite:g} %, cosine {self.cosine:.5f}, mean difference {self.mae:.3f} "
            f"px ({self.confident_mae:.3f} of {self.limit_px:.3f} where confident), over 2 px "
            f"{self.bad_2:.2f} % ({self.confident_bad_2:.2f} of {self.limit_bad_2:.2f} where "
            f"confident), confidence {self.confidence_mae:.4f} of "
            f"{self.limit_confidence:.4f}, against {self.reference}"
        )


class Sensitivity(NamedTuple):
    """What a trace of noise changes.

    ``px`` is the mean change of the disparity where confident, ``bad_2`` the percentage there that
    changes by more than 2 px, ``confidence`` the mean change of the confidence.
    """

    px: float
    bad_2: float
    confidence: float


def add_noise(image: np.ndarray) -> np.ndarray:
    """Return ``image`` (H, W, 3) uint8 with one pixel in 32 changed by one grey level."""
    random = np.random.default_rng(0)
    step = random.choice(np.array([-1, 1]), image.shape)
    step *= (random.random(image.shape[:2]) < _NOISY_SHARE)[..., None]
    return np.clip(image + step, 0, 255).astype(np.uint8)


def sensitivity(outputs: Outputs, noisy: Outputs) -> Sensitivity:
    """Return how far ``noisy``, of a pair after `add_noise`, are from the ``outputs`` of it."""
    return Sensitivity(
        _confident_mae(noisy.disparity, outputs),
        _confident_bad_2(noisy.disparity, outputs),
        float(np.abs(noisy.confidence - outputs.confidence).mean()),
    )


def compare(outputs: Outputs, expected: Outputs, allowed: Sensitivity, reference: str) -> SelfTest:
    """Compare ``outputs`` with ``expected``, which ``reference`` gave; see `SelfTest`."""
    finite = np.isfinite(outputs.disparity) & np.isfinite(outputs.confidence)
    in_range = finite & (outputs.confidence >= 0) & (outputs.confidence <= 1)
    disparity, confidence = (np.where(np.isfinite(x), x, 0).astype(np.float64) for x in outputs)
    difference = disparity - expected.disparity
    close = expected.disparity + np.clip(difference, -_OUTLIER_PX, _OUTLIER_PX)
    same = (confidence > 0) == (expected.confidence > 0)
    same |= np.maximum(confidence, expected.confidence) <= _ROUNDED_CONFIDENCE
    return SelfTest(
        finite=100 * float(in_range.mean()),
        cosine=_cosine(close, expected.disparity.astype(np.float64)),
        mae=float(np.abs(difference).mean()),
        bad_2=100 * float((np.abs(difference) > 2).mean()),
        confident_mae=_confident_mae(disparity, expected),
        limit_px=_bound(allowed.px, MIN_LIMIT_PX, MAX_LIMIT_PX),
        confident_bad_2=_confident_bad_2(disparity, expected),
        limit_bad_2=_bound(allowed.bad_2, MIN_LIMIT_BAD_2, MAX_LIMIT_BAD_2),
        confidence_mae=float(np.abs(confidence - expected.confidence).mean()),
        limit_confidence=_bound(allowed.confidence, MIN_LIMIT_CONFIDENCE, MAX_LIMIT_CONFIDENCE),
        same_valid=100 * float(same.mean()),
        reference=reference,
    )


def _bound(limit: float, low: float, high: float) -> float:
    return min(high, max(low, limit))


def _confident_mae(disparity: np.ndarray, expected: Outputs) -> float:
    difference = np.minimum(np.abs(disparity - expected.disparity), _OUTLIER_PX)
    return _confident_mean(difference, expected)


def _confident_bad_2(disparity: np.ndarray, expected: Outputs) -> float:
    return 100 * _confident_mean(np.abs(disparity - expected.disparity) > 2, expected)


def _confident_mean(values: np.ndarray, expected: Outputs) -> float:
    weights = np.clip(expected.confidence.astype(np.float64), 0, 1)
    if not weights.any():
        weights = np.ones_like(weights)
    return float((weights * values).sum() / weights.sum())


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    norms = np.linalg.norm(one) * np.linalg.norm(other)
    # Two maps of zeros agree, though they point nowhere.
    return float((one * other).sum() / norms) if norms else float(not (one - other).any())
