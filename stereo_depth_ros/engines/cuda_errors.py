"""Which errors of CUDA end its use in a process."""

from __future__ import annotations

from stereo_depth_ros.engines.base import EngineError, EngineLostError

# Those after which, says the CUDA runtime's documentation of cudaError_t, any further work returns
# the same error until the process is relaunched; 214, memory that cannot be corrected; and 999,
# unknown, which behaves alike.
_STICKY = {214, 226, 700, 702, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911, 999}


def cuda_error(text: str, code: int) -> EngineError:
    """Return the error for ``code``, a cudaError_t or CUresult, which share these numbers."""
    kind = EngineLostError if code in _STICKY else EngineError
    return kind(text)
