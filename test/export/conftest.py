"""Images and weights are those of the parity fixtures."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "networks"))
