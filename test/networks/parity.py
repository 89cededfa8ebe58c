"""Compare a network with what the published implementation returned, stage by stage.

A fixture is three files in test/data/parity/<network>/: ``<variant>.shapes.json`` (state-dict key
to shape), ``<variant>.npz`` (arrays) and ``<variant>.json`` (what they are, with tolerances). Its
weights and images are regenerated from names and shapes; see test/networks/generator.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

DATA = Path(__file__).parents[1] / "data" / "parity"


class Fixture:
    """One published variant: ``info``, ``shapes`` and the recorded ``arrays``."""

    def __init__(self, network, variant):
        folder = DATA / network
        self.info = json.loads((folder / f"{variant}.json").read_text())
        self.shapes = {
            key: tuple(shape)
            for key, shape in json.loads((folder / f"{variant}.shapes.json").read_text()).items()
        }
        with np.load(folder / f"{variant}.npz") as arrays:
            self.arrays = dict(arrays)


def as_tensor(image):
    """(H, W, 3) uint8 to (1, 3, H, W) float32, 0 to 255."""
    return torch.from_numpy(image).permute(2, 0, 1)[None].float()
