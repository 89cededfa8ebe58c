"""Authors' checkpoints, read safely, and the weights that this package makes of them."""

from stereo_depth_ros.checkpoints.error import CheckpointError
from stereo_depth_ros.checkpoints.weights import (
    WeightsInfo,
    import_weights,
    load_weights,
    read_info,
    save_weights,
)

__all__ = [
    "CheckpointError",
    "WeightsInfo",
    "import_weights",
    "load_weights",
    "read_info",
    "save_weights",
]
