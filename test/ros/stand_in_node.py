"""The node on a machine that has, as far as it can tell, a GPU and TensorRT."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gated_build import stand_in

from stereo_depth_ros.ros.node import main

if __name__ == "__main__":
    stand_in(Path(os.environ["STAND_IN_CACHE"]))
    sys.exit(main())
