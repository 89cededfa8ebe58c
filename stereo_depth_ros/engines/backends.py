"""The one list of backends, in the order in which `auto` tries them."""

from __future__ import annotations

from stereo_depth_ros.engines.backend import Backend
from stereo_depth_ros.engines.onnxruntime_backend import OnnxRuntimeBackend
from stereo_depth_ros.engines.sgbm_backend import SgbmBackend
from stereo_depth_ros.engines.tensorrt.backend import TensorRTBackend

BACKENDS: tuple[Backend, ...] = (TensorRTBackend(), OnnxRuntimeBackend(), SgbmBackend())

NAMES = ("auto", *(backend.name for backend in BACKENDS))
"""What users may ask for."""
