"""Keeps watch over the pairs of one rig, and refuses those that can only give wrong depth."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stereo_depth_ros.pair_check import PairCheck, check_pair
from stereo_depth_ros.rectification import RectificationMap
from stereo_depth_ros.same_view import Views, compare_views

CHECK_S = 5.0
RECHECK_S = 0.5
"""Seconds between two checks, and between two while they speak against the rig."""

MIN_REFUSALS = 3
"""Checks in a row that refuse a rig once accepted, as a turn between the two exposures may do."""

MAX_SAME_S = 3.0
"""A rig that has shown parallax may show none for so long, as below an open sky."""

SAME_VIEW = (
    "left and right show the same view: one camera is subscribed twice (or one file given twice), "
    "or the driver sends one camera to both topics; give the image of the other camera"
)
NO_PARALLAX = (
    "left and right show no parallax at all, so what would be too far is unknown: the view holds "
    "nothing but what is very far, or both images come from one camera"
)


@dataclass(frozen=True)
class PairState:
    """What is known of the rig: of the last frame its ``views``, of the last check its figures.

    ``refusal`` says why nothing may be published, ``findings`` what spoils the depth.
    """

    views: Views | None = None
    check: PairCheck | None = None
    refusal: str | None = None
    findings: tuple[str, ...] = ()


class PairMonitor:
    """Judges every pair, thoroughly the first, then one every few seconds.

    While checks speak against the rig there are more of them, so that a mended rig recovers by
    itself. A pair that says nothing, such as one of a blank wall, changes nothing. ``state`` may be
    read from any thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Start anew, as with other cameras or another calibration."""
        self.state = PairState()
        self._check: PairCheck | None = None
        self._refusals = 0
        self._is_accepted = False
        self._unmatched: list[PairCheck] = []
        self._due = float("-inf")
        self._parallax_seen: float | None = None

    @property
    def is_due(self) -> bool:
        """Whether the next pair is to be checked."""
        return self._clock() >= self._due

    def check(self, left: np.ndarray, right: np.ndarray, offset: float) -> None:
        """Check a rectified pair; see `check_pair`."""
        check = check_pair(left, right, offset)
        if check is not None and not check.matches:
            self._unmatched = [*self._unmatched, check][:MIN_REFUSALS]
        elif check is not None:
            self._unmatched = []
            self._check = check
            self._refusals = 0 if check.refusal is None else self._refusals + 1
            self._is_accepted |= check.refusal is None
        if self._refusals >= MIN_REFUSALS:
            self._is_accepted = False
        is_pending = self._refusals or 0 < len(self._unmatched) < MIN_REFUSALS
        self._due = self._clock() + (RECHECK_S if is_pending else CHECK_S)

    def judge(self, views: Views) -> PairState:
        """Return the state with the frame whose ``views`` these are."""
        now, check = self._clock(), self._check
        refusal, findings = (check.refusal, check.findings) if check else (None, ())
        if self._is_accepted:
            refusal = None
        if len(self._unmatched) == MIN_REFUSALS:
            findings = self._unmatched[-1].findings
        if views is Views.DIFFERENT:
            self._parallax_seen = now
        elif views is Views.SAME:
            if self._parallax_seen is None or now - self._parallax_seen > MAX_SAME_S:
                refusal = SAME_VIEW
            findings = (NO_PARALLAX, *findings)
        self.state = PairState(views, check, refusal, findings)
        return self.state


def judge_pair(
    left: np.ndarray,
    right: np.ndarray,
    offset: float,
    rectify: tuple[RectificationMap, RectificationMap] | None = None,
) -> PairState:
    """Return what is known of the rig by a single pair.

    ``left`` and ``right`` are (H, W, 3) uint8 RGB, ``offset`` is the disparity of infinity in px,
    ``rectify`` the maps of raw images.
    """
    # Before rectification, which makes two different views of one image.
    views = compare_views(left, right)
    if views is Views.SAME:
        return PairState(views, refusal=SAME_VIEW)
    if rectify is not None:
        left, right = rectify[0](left), rectify[1](right)
    check = check_pair(left, right, offset)
    if check is None:
        return PairState(views)
    return PairState(views, check, check.refusal, check.findings)
