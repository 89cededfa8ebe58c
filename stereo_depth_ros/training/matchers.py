"""Processes that find the priors of training samples; they import no PyTorch."""

from __future__ import annotations

from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from multiprocessing import get_context

import cv2
import numpy as np

from stereo_depth_ros.engines.prior import find_prior
from stereo_depth_ros.engines.sgbm import SgbmEngine


def start_matchers(processes: int) -> Executor:
    """Return an executor of `match` in as many ``processes``, 0 for a thread of this one.

    Threads would take turns, since much of the matcher is NumPy on arrays of one image.
    """
    if processes == 0:
        return ThreadPoolExecutor(1, "matcher")
    # A fork would inherit CUDA, which does not survive it.
    return ProcessPoolExecutor(processes, get_context("spawn"), cv2.setNumThreads, (1,))


def match(
    left: np.ndarray, right: np.ndarray, max_disparity: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return what SGBM finds for a pair; see `stereo_depth_ros.engines.prior.find_prior`."""
    return find_prior(_matcher(), left, right, max_disparity)


@cache
def _matcher() -> SgbmEngine:
    return SgbmEngine()
