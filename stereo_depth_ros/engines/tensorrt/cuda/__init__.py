"""The little of CUDA that running an engine needs, with two back ends."""

from __future__ import annotations

from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.tensorrt.cuda.api import Cuda, HostMemory

__all__ = ["BACKENDS", "Cuda", "HostMemory", "open_cuda"]

BACKENDS = ("auto", "pycuda", "cuda-python")


def open_cuda(backend: str = "auto") -> Cuda:
    """Open CUDA on the first visible GPU, for the calling thread.

    Parameters
    ----------
    backend
        One of `BACKENDS`; "auto" takes pycuda, or cuda-python where pycuda is absent or does not
        work.

    Returns
    -------
    Cuda
        Its caller's to close.

    Raises
    ------
    EngineError
        When the back end is unknown or not installed, or finds no GPU.
    """
    if backend not in BACKENDS:
        raise EngineError(f"cuda_backend '{backend}' is not known; known are {', '.join(BACKENDS)}")
    reasons, failures = [], []
    for name in BACKENDS[1:] if backend == "auto" else (backend,):
        try:
            return _open(name)
        # A library that does not load is an OSError in some versions.
        except (ImportError, OSError) as error:
            reasons.append(f"{name}: {error}")
        except EngineError as error:
            failures.append(error)
    if failures:
        # What is installed and fails says more than what is not installed.
        raise failures[-1]
    raise EngineError(
        f"CUDA cannot be used from Python ({'; '.join(reasons)}); install pycuda ('pip install "
        "pycuda', which needs the CUDA toolkit) or cuda-python ('pip install cuda-python', of the "
        "driver's CUDA version), and the NVIDIA driver if that is missing"
    )


def _open(name: str) -> Cuda:
    if name == "pycuda":
        from stereo_depth_ros.engines.tensorrt.cuda.pycuda_api import PyCuda

        return PyCuda()
    from stereo_depth_ros.engines.tensorrt.cuda.cuda_python_api import CudaPython

    return CudaPython()
