"""A network traced as an ONNX graph with the contract's inputs and outputs."""

from __future__ import annotations

import copy
import inspect
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.graph_contract import IMAGES, OUTPUTS, PRIOR, SYMBOLS
from stereo_depth_ros.networks.base import StereoNetwork

# The newest that TensorRT 8.5 reads; later ones rename what its importers know by the old names.
OPSET = 17


class ContractGraph(nn.Module):
    """A network between camera bytes and maps; see `stereo_depth_ros.graph_contract`."""

    def __init__(self, network: StereoNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, left: Tensor, right: Tensor, *prior: Tensor) -> tuple[Tensor, Tensor]:
        """Match one pair; ``prior`` are the two inputs of a network that takes them."""
        disparity, confidence = self.network(
            _planes(left), _planes(right), *(map_[:, None] for map_ in prior)
        )
        shape = left.shape[:3]
        return disparity.reshape(shape), confidence.reshape(shape)


def _planes(image: Tensor) -> Tensor:
    # The cast comes first because TensorRT lets no other operator touch uint8.
    return image.float().permute(0, 3, 1, 2)


def trace(
    network: StereoNetwork, height: int, width: int, path: Path, any_size: bool = False
) -> None:
    """Write ``network`` at ``height`` x ``width`` to ``path``, as the exporter leaves it.

    For ``any_size`` these are symbols of the graph; an InputError says that the network cannot.
    """
    dynamic: dict[str, dict[int, str]] = {}
    if any_size:
        if not network.any_size:
            raise InputError(f"{network.name} is exported for one size at a time; name it, HxW")
        dynamic = {name: dict(enumerate(SYMBOLS, 1)) for name in IMAGES + PRIOR + OUTPUTS}
        # Where nothing is padded the trace would hold no padding.
        height, width = (side + (side % network.multiple == 0) for side in (height, width))
    # A copy, so that a network in training keeps its device and the mode of every layer.
    graph = ContractGraph(copy.deepcopy(network).cpu().float()).eval()
    generator = torch.Generator().manual_seed(0)
    shape = (1, height, width, 3)
    given = [torch.randint(256, shape, dtype=torch.uint8, generator=generator) for _ in IMAGES]
    names = list(IMAGES)
    if network.takes_prior:
        given += [torch.rand(shape[:3], generator=generator) for _ in PRIOR]
        names += PRIOR
    # The tracing exporter is in every PyTorch since 2.2, writes opset 17 itself, folds batch
    # norms into convolutions and names nodes after modules. The newer one writes opset 18 at
    # the lowest, relies on a down-conversion for less, and needs onnxscript.
    has_newer = "dynamo" in inspect.signature(torch.onnx.export).parameters
    tracing: dict[str, Any] = {"dynamo": False} if has_newer else {}
    with warnings.catch_warnings(), torch.no_grad():
        # What becomes constant is meant here; so is the exporter that is called legacy.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            tuple(given),
            str(path),
            opset_version=OPSET,
            input_names=names,
            output_names=list(OUTPUTS),
            dynamic_axes={name: dynamic[name] for name in (*names, *OUTPUTS) if name in dynamic},
            **tracing,
        )
