"""The loss of Lite Any Stereo without refinement: smooth L1 on its two predictions.

Published is the loss, not how much each prediction counts; the weights are those of LightStereo,
whose head this is. As in `sequence`, what is infinitely far counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from stereo_depth_ros.training.batch import Batch
from stereo_depth_ros.training.losses.average import average

_INTERPOLATED = 0.3


def loss(disparities: Sequence[Tensor], batch: Batch, span: float) -> dict[str, Tensor]:
    """Return the loss terms, scalars, where the truth is below ``span`` px.

    ``disparities`` are the interpolated and the upsampled one, (B, 1, H, W) px.
    """
    valid = batch.disparity < span
    interpolated, upsampled = (
        average(F.smooth_l1_loss(disparity, batch.disparity, reduction="none"), valid)
        for disparity in disparities
    )
    return {"upsampled": upsampled, "interpolated": _INTERPOLATED * interpolated}
