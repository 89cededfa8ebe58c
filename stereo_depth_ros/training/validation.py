"""Figures and a picture of pairs that training never sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import cv2
import numpy as np
import torch

from stereo_depth_ros.colour_scale import CONFIDENCE, scale_disparity
from stereo_depth_ros.evaluation.datasets import read_dataset
from stereo_depth_ros.evaluation.sample import Sample
from stereo_depth_ros.networks.base import StereoNetwork, StereoOutput
from stereo_depth_ros.training.batch import Batch
from stereo_depth_ros.training.data import parse_data
from stereo_depth_ros.training.loading import load_whole
from stereo_depth_ros.training.losses.average import average
from stereo_depth_ros.training.pair_stream import collate
from stereo_depth_ros.training.recipe import Recipe
from stereo_depth_ros.training.stream import SceneStream

_PAIRS = 12
_SEED = 2**31  # far from every training seed


class Validation:
    """Measures networks on pairs that are the same at every call.

    Parameters
    ----------
    read_pairs
        Returns the pairs, each a batch of its own.
    description
        What they are, for the card.
    device
        Where they are to be.
    """

    def __init__(
        self, read_pairs: Callable[[], Iterator[Batch]], description: str, device: torch.device
    ) -> None:
        self.description = description
        self._read_pairs, self._device = read_pairs, device

    @torch.inference_mode()
    def figures(self, network: StereoNetwork) -> dict[str, float]:
        """Return EPE (px) and bad-2 (%) over the pixels with truth, means over the pairs."""
        epe, bad2 = [], []
        for pair in self._pairs():
            error = (_match(network, pair).disparity - pair.disparity).abs()
            epe.append(average(error, pair.valid))
            bad2.append(average((error > 2).float(), pair.valid))
        return {
            "epe": float(torch.stack(epe).mean()),
            "bad2": 100 * float(torch.stack(bad2).mean()),
        }

    @torch.inference_mode()
    def picture(self, network: StereoNetwork) -> np.ndarray:
        """Return left image, truth, disparity and confidence of four pairs, (3, H, W) uint8."""
        rows: list[np.ndarray] = []
        for pair in islice(self._pairs(), 4):
            disparity, confidence = _match(network, pair)
            truth = torch.where(pair.valid, pair.disparity, torch.nan)[0, 0].cpu().numpy()
            scale = scale_disparity(truth)
            left = pair.left[0].permute(1, 2, 0).byte().cpu().numpy()
            maps = [
                scale.paint(truth),
                scale.paint(disparity[0, 0].cpu().numpy()),
                CONFIDENCE.paint(confidence[0, 0].cpu().numpy()),
            ]
            row = cv2.resize(
                np.hstack([left, *maps]), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA
            )
            if rows and row.shape[1] != rows[0].shape[1]:
                height = round(row.shape[0] * rows[0].shape[1] / row.shape[1])
                row = cv2.resize(row, (rows[0].shape[1], height), interpolation=cv2.INTER_AREA)
            rows.append(row)
        return np.vstack(rows).transpose(2, 0, 1)

    def _pairs(self) -> Iterator[Batch]:
        return (pair.to(self._device) for pair in self._read_pairs())


def open_validation(recipe: Recipe, prior_span: int, device: torch.device) -> Validation:
    """Return what measures on the pairs that ``recipe`` names, or on rendered ones.

    Raises
    ------
    InputError
        For a folder without pairs.
    """
    if not recipe.validate:
        return validate_on_scenes(recipe.scene, device, prior_span)
    part = parse_data(recipe.validate)
    assert part.folder is not None
    return validate_on_dataset(
        read_dataset(part.folder, part.layout), part.folder.name, device, prior_span
    )


def validate_on_scenes(size: tuple[int, int], device: torch.device, prior_span: int) -> Validation:
    """Return what measures on rendered pairs of ``size`` (height, width) px.

    ``prior_span`` is that of the `Objective`.
    """
    # Drawn on the CPU, so that they are the same on every machine.
    stream = SceneStream(
        scene=size, crop=size, batch=1, seed=_SEED, padded=0, unaided=0, prior_span=prior_span
    )
    pairs = [stream.next() for _ in range(_PAIRS)]
    description = f"{_PAIRS} rendered pairs that training never saw, means over all pixels"
    return Validation(lambda: iter(pairs), description, device)


def validate_on_dataset(
    samples: Sequence[Sample], name: str, device: torch.device, prior_span: int
) -> Validation:
    """Return what measures on the pairs of the dataset ``name`` as they are.

    They are read each time, since large ones would fill the memory.
    """
    return Validation(
        lambda: (collate([load_whole(sample, prior_span)]) for sample in samples),
        f"{len(samples)} pairs of {name}, means over the pixels with truth",
        device,
    )


def _match(network: StereoNetwork, pair: Batch) -> StereoOutput:
    return network(*pair.inputs_of(network))
