"""The classical baseline: OpenCV's semi-global block matching, with any image size.

Source: Hirschmüller, Stereo Processing by Semiglobal Matching and Mutual Information, TPAMI 2008,
as implemented by cv2.StereoSGBM.
"""

from __future__ import annotations

from math import ceil

import cv2
import numpy as np

from stereo_depth_ros.engines.base import EngineError, EngineSpec, Provenance
from stereo_depth_ros.excerpt import excerpt_repr

BACKEND = "opencv"
MODES = {"3way": cv2.STEREO_SGBM_MODE_SGBM_3WAY, "hh": cv2.STEREO_SGBM_MODE_HH}

_BLOCK = 5
_MAX_WIDTH = 1 << 16
_COARSE = 4
_LEAST_CONFIDENCE = 0.1
_CLEAR_TEXTURE = 4.0
_CLEAR_DETAIL = 1.0
_MIN_EVIDENCE = 0.005
_EQUAL_GAIN, _EQUAL_LEVEL = 0.05, 6.0
"""Contrasts that differ by less, and greys by fewer levels, count as one exposure."""


class SgbmEngine:
    """Semi-global matching; see `stereo_depth_ros.engines.base.Engine`.

    ``mode`` is "3way" (three scan directions, fast) or "hh" (eight, full). ``max_disparity`` in px
    fixes the search range; 0 finds it for every pair from a match at a quarter of the size, which
    is faster and, with fewer candidates, more accurate than a range wide enough for any scene.
    """

    def __init__(self, name: str = "sgbm", mode: str = "3way", max_disparity: int = 0) -> None:
        # Both may come from a model card, and be anything.
        if not isinstance(mode, str) or mode not in MODES:
            raise EngineError(
                f"{name}: mode {excerpt_repr(mode)} is not known; known are {', '.join(MODES)}"
            )
        if type(max_disparity) is not int or not 0 <= max_disparity <= _MAX_WIDTH:
            value = excerpt_repr(max_disparity)
            raise EngineError(
                f"{name}: max_disparity is {value}; it must be a whole number of px, or 0"
            )
        self._mode = MODES[mode]
        self._max_disparity = max_disparity
        self.spec = EngineSpec(
            name=name,
            backend=BACKEND,
            height=None,
            width=None,
            max_disparity=float(max_disparity) or None,
            precision="1/16 px",
            device="CPU",
            provenance=Provenance(f"OpenCV {cv2.__version__} StereoSGBM, mode {mode}"),
        )

    def infer(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Match one pair; see `stereo_depth_ros.engines.base.Engine.infer`.

        Pixels that fail the uniqueness, left-right or speckle check carry the farther of their
        row's nearest matches, with confidence 0.
        """
        if left.shape[0] < _BLOCK or left.shape[1] < _BLOCK:
            raise EngineError(
                f"{self.spec.name}: the images are {left.shape[1]} x {left.shape[0]}; at least "
                f"{_BLOCK} x {_BLOCK} px are needed to match"
            )
        # OpenCV takes no view that runs backwards.
        left, right = _equalize(np.ascontiguousarray(left), np.ascontiguousarray(right))
        largest = self._max_disparity or left.shape[1] / 3
        search = (0.0, largest) if self._max_disparity else _search_range(left, right)
        matched = _match(left, right, search, self._mode)
        # OpenCV searches whole sixteens; what lies beyond the declared range is not claimed.
        matched[matched > largest] = np.nan
        known = np.isfinite(matched)
        # Bridging the gaps leaves steps between rows, which a small median removes.
        disparity = cv2.medianBlur(_fill_from_background(matched, known), 5)
        return disparity, _confidence(left, right, disparity, known)

    def close(self) -> None:
        """Nothing is held between pairs."""


def _equalize(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the views at the exposure of the one with more contrast; matching compares greys."""
    greys = _reduce(left), _reduce(right)
    guess = _exposure(*greys)
    if _is_equal(*guess):
        return left, right
    # Whole views differ by what they show as well, so matched pixels have the last word.
    shown = [_match_grey_levels(*greys, exposure) for exposure in (guess, (1.0, 0.0))]
    exposure = _exposure(*max(shown, key=lambda levels: levels[0].size))
    if _is_equal(*exposure):
        return left, right
    return _apply(exposure, left, right)


def _exposure(left: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Return the gain and the level that turn the left view's greys into the right's.

    Both are arrays of any shape; what counts is how their greys are distributed.
    """
    if left.size == 0:
        return 1.0, 0.0
    share = np.linspace(0.05, 0.95, 19)
    low, high = np.quantile(left, share), np.quantile(right, share)
    # Greys cut off at white tell nothing.
    clear = (low < 250) & (high < 250)
    if clear.sum() < 2 or min(np.ptp(low[clear]), np.ptp(high[clear])) < 4:
        return 1.0, 0.0
    gain = high[clear].std() / low[clear].std()
    return float(gain), float(high[clear].mean() - gain * low[clear].mean())


def _is_equal(gain: float, level: float) -> bool:
    # By how much a mid grey differs, rather than black, which few pixels are.
    return abs(gain - 1) < _EQUAL_GAIN and abs((gain - 1) * 128 + level) < _EQUAL_LEVEL


def _apply(
    exposure: tuple[float, float], left: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    gain, level = exposure
    # Raising the weaker contrast loses nothing; lowering the stronger would.
    if gain < 1:
        return left, cv2.addWeighted(right, 1 / gain, right, 0.0, -level / gain)
    return cv2.addWeighted(left, gain, left, 0.0, level), right


def _match_grey_levels(
    left: np.ndarray, right: np.ndarray, exposure: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the greys (N,) of the same points in both views, matched at that exposure."""
    views = _apply(exposure, left, right)
    disparity = _match(*views, (0, left.shape[1] / 3), MODES["3way"])
    # Blank surfaces match anything, and shaded ones whatever has the same grey.
    grey = views[0].astype(np.float32)
    textured = (_texture(grey) > _CLEAR_TEXTURE) & (_detail(grey) > _CLEAR_DETAIL)
    rows, columns = np.nonzero(np.isfinite(disparity) & textured)
    partners = np.rint(columns - disparity[rows, columns]).astype(int)
    inside = partners >= 0
    rows, columns, partners = rows[inside], columns[inside], partners[inside]
    if rows.size < _MIN_EVIDENCE * left.size:
        return np.empty(0), np.empty(0)
    return left[rows, columns], right[rows, partners]


def _reduce(image: np.ndarray) -> np.ndarray:
    """Return the image grey, at a quarter of its size."""
    size = [max(1, side // _COARSE) for side in image.shape[1::-1]]
    return cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)


def _match(
    left: np.ndarray, right: np.ndarray, search: tuple[float, float], mode: int
) -> np.ndarray:
    """Return disparity in px, NaN where unmatched; ``search`` is the (least, largest) to try."""
    least = int(search[0])
    count = max(16, -(-ceil(search[1] - least) // 16) * 16)
    channels = left.shape[2] if left.ndim == 3 else 1
    matcher = cv2.StereoSGBM_create(
        minDisparity=least,
        numDisparities=count,
        blockSize=_BLOCK,
        P1=8 * channels * _BLOCK**2,
        P2=32 * channels * _BLOCK**2,
        disp12MaxDiff=1,
        preFilterCap=63,
        uniquenessRatio=10,
        speckleWindowSize=100,
        speckleRange=2,
        mode=mode,
    )
    # OpenCV leaves the first columns unmatched; padding puts them outside the image.
    margin = least + count
    padded = [
        cv2.copyMakeBorder(view, 0, 0, margin, 0, cv2.BORDER_REPLICATE) for view in (left, right)
    ]
    matched = matcher.compute(*padded)[:, margin:].astype(np.float32) / 16
    return np.where(matched >= least, matched, np.float32(np.nan))


def _search_range(left: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Least and largest disparity of the pair in px, from a match at a quarter of its size."""
    width = left.shape[1]
    small_left, small_right = _reduce(left), _reduce(right)
    small_width = small_left.shape[1]
    matched = _match(small_left, small_right, (0, small_width / 3), MODES["3way"])
    # Blank surfaces match anything, often far to the left, so only textured pixels vote; and
    # since mismatches are few and large, the outer half percent of those does not.
    votes = matched[
        np.isfinite(matched) & (_texture(small_left.astype(np.float32)) > _CLEAR_TEXTURE)
    ]
    if votes.size == 0:
        return 0.0, width / 8
    least, largest = np.percentile(votes, (0.5, 99.5)) * (width / small_width)
    return max(0.0, least - 8), largest + 8


def _fill_from_background(disparity: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Give unknown pixels the smaller of the nearest known values left and right in their row.

    What a matcher misses is mostly occluded, and what is occluded belongs to the background.
    """
    from_left = _carry_along_rows(disparity, known)
    from_right = _carry_along_rows(disparity[:, ::-1], known[:, ::-1])[:, ::-1]
    filled = np.where(known, disparity, np.fmin(from_left, from_right))
    return np.nan_to_num(filled, copy=False, nan=0.0)


def _carry_along_rows(disparity: np.ndarray, known: np.ndarray) -> np.ndarray:
    column = np.where(known, np.arange(disparity.shape[1], dtype=np.int32), -1)
    np.maximum.accumulate(column, axis=1, out=column)
    carried = np.take_along_axis(disparity, np.maximum(column, 0), axis=1)
    return np.where(column >= 0, carried, np.float32(np.nan))


def _confidence(
    left: np.ndarray, right: np.ndarray, disparity: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """Product of how well the views agree, how smooth the disparity and how rich the texture is."""
    grey_left, grey_right = _grey(left), _grey(right)
    height, width = disparity.shape
    columns = np.arange(width, dtype=np.float32)[None, :] - disparity
    rows = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None], disparity.shape)
    warped = cv2.remap(
        grey_right, columns, rows.copy(), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    residual = cv2.blur(cv2.absdiff(grey_left, warped), (5, 5))
    texture = _texture(grey_left)
    mean = cv2.blur(disparity, (7, 7))
    roughness = np.sqrt(np.maximum(cv2.blur(disparity * disparity, (7, 7)) - mean * mean, 0))
    confidence = np.exp(-residual / 16.0) / (1.0 + roughness) * texture / (texture + 4.0)
    # A blank sky matches its own noise; what has so little to hold on to is a guess.
    confidence[~known | (confidence < _LEAST_CONFIDENCE)] = 0.0
    return confidence.astype(np.float32, copy=False)


def _grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _texture(grey: np.ndarray) -> np.ndarray:
    """Mean horizontal gradient around each pixel: what a match along the row can hold on to.

    Smoothed first, so that image noise does not pass for texture.
    """
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.5)
    return cv2.blur(np.abs(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3)), (9, 9))


def _detail(grey: np.ndarray) -> np.ndarray:
    """Mean distance of the grey around each pixel from its surroundings; none where it ramps."""
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.5)
    return cv2.blur(np.abs(smooth - cv2.blur(smooth, (9, 9))), (9, 9))
