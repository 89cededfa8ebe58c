"""One pair for a worker, and what writes its results there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stereo_depth_ros.pair_preparation import PreparedPair
from stereo_depth_ros.stereo_match import StereoMatch


@dataclass(frozen=True)
class Job:
    """A pair to be matched.

    Attributes
    ----------
    name, stamp_ns, time_ns, frame_id
        As of `stereo_depth_ros.recordings.frame.Frame`.
    pair
        Rectified, and not refused.
    is_metric
        Whether lengths are known.
    picture
        Where a picture of it for the report goes; None for none.
    """

    name: str
    stamp_ns: int
    time_ns: int
    frame_id: str
    pair: PreparedPair
    is_metric: bool
    picture: Path | None


class FrameWriter(Protocol):
    """Writes the results of single pairs; is sent to the processes that match."""

    def write(self, job: Job, match: StereoMatch) -> int:
        """Write the results of one pair, whole or not at all, and return their bytes.

        Raises
        ------
        UserError, TargetError
            When that fails.
        """
        ...
