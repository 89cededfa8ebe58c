"""Training in bfloat16 where that is fast enough, and float32 where it counts."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from stereo_depth_ros.networks import StereoNetwork


def keep_float32_parts(network: StereoNetwork, device: torch.device) -> None:
    """Make the ``float32_parts`` of ``network`` compute in float32 within autocast."""
    for name in network.float32_parts:
        part = network.get_submodule(name)
        part.forward = _in_float32(part.forward, device.type)


def _in_float32(forward: Callable[..., Any], kind: str) -> Callable[..., Any]:
    @wraps(forward)
    def run(*inputs: Tensor) -> Any:
        with torch.autocast(kind, enabled=False):
            return forward(*(x.float() for x in inputs))

    return run
