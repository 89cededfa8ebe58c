"""How the learning rate changes over a training."""

from __future__ import annotations

import math


def anneal(done: float, total: float) -> float:
    """Warm up over the first 2 %, then fall along a cosine to 2 %.

    Parameters
    ----------
    done, total
        Steps, or seconds, that are done and that the training has.

    Returns
    -------
    float
        The share of the recipe's learning rate, 0.02 to 1.
    """
    warm = max(1, total // 50)
    if done < warm:
        return min(1, (done + 1) / warm)
    share = min(1, (done - warm) / max(1, total - warm))
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share))
