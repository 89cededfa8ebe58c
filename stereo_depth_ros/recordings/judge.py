"""Whether a pair of a recording is matched, decided in order, as the node does it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from stereo_depth_ros.frame_check import FrameError
from stereo_depth_ros.pair_geometry import PairGeometry
from stereo_depth_ros.pair_monitor import PairMonitor, judge_pair
from stereo_depth_ros.pair_preparation import PreparedPair, prepare_pair
from stereo_depth_ros.recordings.frame import Frame, Skip


class Judge:
    """Prepares pairs in order, and refuses those that can only give wrong depth.

    What spoils their depth without preventing it, and what is done to them, is said once.
    """

    def __init__(self, is_stream: bool, is_checked: bool, say: Callable[[str], None]) -> None:
        self.said: list[str] = []
        self._say = say
        self._is_stream = is_stream
        self._is_checked = is_checked
        self._now_s = 0.0
        self._monitor = PairMonitor(lambda: self._now_s)
        self._camera: object = None
        self._kinds: set[str] = set()

    def prepare(self, frame: Frame | Skip) -> PreparedPair | str:
        """Return the pair, ready to be matched, or why it is skipped."""
        if isinstance(frame, Skip):
            return frame.reason
        geometry = frame.geometry
        # The recording's own time, so that the speed of this machine changes nothing.
        self._now_s = frame.time_ns * 1e-9
        if geometry.camera != self._camera:
            self._camera = geometry.camera
            self._monitor.forget()
            for line in _describe_geometry(geometry):
                self._say_once(line)
        has_monitor = self._is_checked and self._is_stream
        try:
            if self._is_checked and not self._is_stream:
                maps = geometry.rectify
                state = judge_pair(frame.left, frame.right, geometry.camera.offset, maps)
                if state.refusal is not None:
                    return state.refusal
                self._say_findings(state.findings)
            prepared = prepare_pair(
                frame.left,
                frame.right,
                geometry.camera,
                geometry.rectify,
                self._monitor if has_monitor else None,
            )
        except FrameError as error:
            return str(error)
        if has_monitor:
            self._say_findings(self._monitor.state.findings)
        prepared.seconds["decode"] = frame.seconds
        return prepared

    def _say_findings(self, findings: Sequence[str]) -> None:
        for finding in findings:
            self._say_once(f"from {self._now_s:.3f} s on: {finding}", finding)

    def _say_once(self, line: str, finding: str | None = None) -> None:
        """Say ``line``, unless it or one that differs in numbers has been said."""
        kind = re.sub(r"[\d.]+", "", finding or line)
        if kind not in self._kinds:
            self._kinds.add(kind)
            self.said.append(line)
            self._say(line)


def _describe_geometry(geometry: PairGeometry) -> list[str]:
    lines = list(geometry.camera.warnings)
    if geometry.rectify is not None:
        lines.append("the images are rectified by K, D and R; --rectify never leaves them")
    elif geometry.is_in_doubt:
        lines.append("the images are taken for rectified; where they are raw: --rectify always")
    return lines
