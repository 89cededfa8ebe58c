"""Who prepares training samples while the network learns."""

from __future__ import annotations

from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import cv2


def start_workers(processes: int) -> Executor:
    """Return an executor of as many ``processes``, 0 for a thread of this one.

    Threads would take turns, since much of the work is NumPy on arrays of one image.
    """
    if processes == 0:
        return ThreadPoolExecutor(1, "worker")
    # A fork would inherit CUDA, which does not survive it.
    return ProcessPoolExecutor(processes, get_context("spawn"), cv2.setNumThreads, (1,))
