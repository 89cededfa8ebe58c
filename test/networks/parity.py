"""Compare a network with what the published implementation returned, stage by stage.

A fixture is three files in test/data/parity/<network>/: ``<variant>.shapes.json`` (state-dict key
to shape; ``shapes_from`` names another's), ``<variant>.npz`` (arrays) and ``<variant>.json`` (what
they are, with tolerances). Its
weights and images are regenerated from names and shapes; see test/networks/generator.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from stereo_depth_ros.networks import create_network
from stereo_depth_ros.networks.fast_foundation_stereo.structure import Structure

DATA = Path(__file__).parents[1] / "data" / "parity"
# Variant and changes of its config behind the fixtures that are not named after a variant.
SETTINGS = {
    "fast_foundation_stereo/released_vitl_d192": ("pruned", {}),
    "fast_foundation_stereo/unpruned_vits_d192": (
        "unpruned",
        {"structure": Structure(features=128)},
    ),
    "fast_foundation_stereo/unpruned_vits_d64_nonorm": (
        "unpruned",
        {"structure": Structure(features=128, normalise=False), "max_disparity": 64},
    ),
    "foundation_stereo/vits_dispattn": ("vits", {"attention_axis": "disparity"}),
    "foundation_stereo/vits_md416": ("vits", {"attention_axis": "heads"}),
    "s2m2/s_neg": ("s", {"allow_negative": True}),
    "smoe_stereo/damv2_vits_noselect": ("damv2_vits", {"selective": False}),
    # Untrained, the first match lies near the middle of its range, with 800 px out of the views.
    "waft_stereo/dav2_vits": ("dav2_vits", {"max_disparity": 64}),
    "waft_stereo/dav2_vits_i5": ("dav2_vits", {"max_disparity": 64, "iterations": 5}),
    "waft_stereo/dav2_vits_pad": ("dav2_vits", {}),
    "waft_stereo/dav2_vitb": ("dav2_vitb", {"max_disparity": 64}),
    "waft_stereo/dav2_vitl": ("dav2_vitl", {"max_disparity": 64}),
}


def create_recorded(network, fixture, **changes):
    """Build the network behind a fixture, untrained, with ``changes``."""
    variant, settings = SETTINGS.get(f"{network}/{fixture}", (fixture, {}))
    return create_network(network, variant, **{**settings, **changes})


class Fixture:
    """One published variant: ``info``, ``shapes`` and the recorded ``arrays``."""

    def __init__(self, network, variant):
        folder = DATA / network
        self.info = json.loads((folder / f"{variant}.json").read_text())
        shapes = folder / f"{self.info.get('shapes_from', variant)}.shapes.json"
        self.shapes = {key: tuple(shape) for key, shape in json.loads(shapes.read_text()).items()}
        with np.load(folder / f"{variant}.npz") as arrays:
            self.arrays = dict(arrays)


def as_tensor(image):
    """(H, W, 3) uint8 to (1, 3, H, W) float32, 0 to 255."""
    return torch.from_numpy(image).permute(2, 0, 1)[None].float()
