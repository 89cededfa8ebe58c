"""Training batches of a dataset's pairs."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stereo_depth_ros.evaluation.sample import Sample
from stereo_depth_ros.training.batch import UNKNOWN, Batch
from stereo_depth_ros.training.loading import LoadedPair, load_variation


def collate(loaded: Sequence[LoadedPair]) -> Batch:
    """Return pairs of one size as a batch."""
    pairs = [each.pair for each in loaded]

    def images(views: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float()

    def maps(values: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(values))[:, None]

    return Batch(
        images([pair.left for pair in pairs]),
        images([pair.right for pair in pairs]),
        maps([each.prior for each in loaded]),
        maps([each.prior_confidence for each in loaded]),
        maps([pair.disparity for pair in pairs]).nan_to_num(nan=UNKNOWN),
        maps([pair.visible for pair in pairs]),
    )


class _Loading:
    """A batch that workers have in hand."""

    def __init__(self, pairs: list[Future[LoadedPair]], device: torch.device) -> None:
        self._pairs, self._device = pairs, device

    def wait(self) -> Batch:
        """Wait for the workers and return the batch."""
        batch = collate([pair.result() for pair in self._pairs])
        if self._device.type == "cuda":
            batch = Batch(**{name: x.pin_memory() for name, x in vars(batch).items()})
        return batch.to(self._device)


class PairStream:
    """Draws batches of ``samples``, each sample once before any comes again.

    The number of a pair and ``seed`` decide which one it is and how it is varied, so that the
    position is all there is to go on from.

    Parameters
    ----------
    samples
        Of a dataset.
    crop
        (height, width) px of what is learned from.
    batch
        Pairs of a batch.
    seed
        0 or more.
    prior_span
        Largest disparity in px of the priors, 0 for none.
    workers
        What loads them.
    share
        Which of how many processes draws here; together they draw each sample once.
    device
        Where the batches are to be.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        crop: tuple[int, int],
        batch: int,
        seed: int,
        prior_span: int,
        workers: Executor,
        share: tuple[int, int] = (0, 1),
        device: torch.device | str = "cpu",
    ) -> None:
        self._samples, self._crop, self._batch = samples, crop, batch
        self._seed, self._prior_span, self._workers = seed, prior_span, workers
        self._share, self._device = share, torch.device(device)
        self._order = lru_cache(2)(self._draw_order)
        self._drawn = 0

    def draw(self) -> _Loading:
        """Set the workers going on the next batch."""
        process, processes = self._share
        first = (self._drawn * processes + process) * self._batch
        self._drawn += 1
        return _Loading([self._load(first + i) for i in range(self._batch)], self._device)

    def get_state(self) -> dict[str, Any]:
        """Return what `set_state` goes on from."""
        return {"drawn": self._drawn}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on where another stream, of the same arguments, was."""
        self._drawn = state["drawn"]

    def _load(self, number: int) -> Future[LoadedPair]:
        round_, place = divmod(number, len(self._samples))
        sample = self._samples[self._order(round_)[place]]
        seed = (self._seed, number)
        return self._workers.submit(load_variation, sample, self._crop, seed, self._prior_span)

    def _draw_order(self, round_: int) -> np.ndarray:
        # Apart from the seeds of pairs, which have two numbers.
        return np.random.default_rng((self._seed, round_, 1)).permutation(len(self._samples))
