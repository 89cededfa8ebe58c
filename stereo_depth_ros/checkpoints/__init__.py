"""Authors' checkpoints, read safely, and the weights that this package makes of them."""

from stereo_depth_ros.checkpoints.error import CheckpointError
from stereo_depth_ros.checkpoints.weights import (
    import_weights,
    load_weights,
    read_info,
    save_weights,
)
from stereo_depth_ros.checkpoints.weights_info import WeightsInfo

__all__ = [
    "CheckpointError",
    "WeightsInfo",
    "import_weights",
    "load_weights",
    "read_info",
    "save_weights",
]
