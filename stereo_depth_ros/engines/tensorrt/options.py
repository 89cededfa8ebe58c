"""What a user may ask of a build."""

from __future__ import annotations

from dataclasses import dataclass

from stereo_depth_ros.engines.base import EngineError

PRECISIONS = ("auto", "fp32", "mixed")


@dataclass(frozen=True)
class BuildOptions:
    """What a user may ask of a build; what is 0 or None is left to the builder.

    Attributes
    ----------
    precision
        "fp32", "mixed", or "auto": mixed where this TensorRT keeps the types of a graph, and fp32
        where it does not, or where the mixed engine fails its self-test.
    workspace_mb
        Most scratch memory in MB, of the build and of the engine.
    level
        0 to 5, how long TensorRT looks for faster kernels, its own default being 3.
    tf32
        False keeps the products of float32 from being rounded to TF32, as is done by itself where
        that rounding fails the self-test.

    Raises
    ------
    EngineError
        For a value that is none of these.
    """

    precision: str = "auto"
    workspace_mb: int = 0
    level: int | None = None
    tf32: bool = True

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise EngineError(
                f"precision '{self.precision}' is not known; known are {', '.join(PRECISIONS)}"
            )
        if self.workspace_mb < 0:
            raise EngineError(f"workspace is {self.workspace_mb} MB; it must be 0 or more")
        if self.level is not None and not 0 <= self.level <= 5:
            raise EngineError(f"level is {self.level}; TensorRT knows 0 to 5")
