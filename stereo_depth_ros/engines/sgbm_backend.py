"""Opens OpenCV's matcher, which has no graph and runs on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

from stereo_depth_ros.artifact import Artifact
from stereo_depth_ros.engines import sgbm
from stereo_depth_ros.engines.backend import Context, Way
from stereo_depth_ros.engines.base import Engine, EngineError


class SgbmBackend:
    """See `stereo_depth_ros.engines.backend.Backend`."""

    name = sgbm.BACKEND
    engines = frozenset({"sgbm"})
    options = frozenset({"mode", "max_disparity"})
    needs_file = False

    def ways(self, artifact: Artifact, context: Context) -> Sequence[Way]:
        """Return the only way; see `stereo_depth_ros.engines.backend.Backend.ways`."""
        if context.gpu_only:
            raise EngineError(f"model '{artifact.name}' runs on the CPU alone")
        options = dict(artifact.card.options)
        if context.max_disparity:
            options["max_disparity"] = context.max_disparity

        def open_matcher() -> Engine:
            return sgbm.SgbmEngine(artifact.name, **options)

        return [Way("OpenCV", open_matcher)]
