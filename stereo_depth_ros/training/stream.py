"""An endless, seeded stream of training samples from rendered scenes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.networks import StereoNetwork
from stereo_depth_ros.scenes.synthetic.camera import photograph
from stereo_depth_ros.scenes.synthetic.dice import Dice
from stereo_depth_ros.scenes.synthetic.layout import draw
from stereo_depth_ros.scenes.synthetic.render import RenderedBatch, render
from stereo_depth_ros.scenes.synthetic.textures import (
    SCENES_PER_BANK,
    TEXTURES_PER_BANK,
    TextureBank,
    draw_bank,
)
from stereo_depth_ros.training.matchers import match, start_matchers

UNKNOWN = 1e4  # px, where there is no truth: beyond every range, and finite to take part in sums


@dataclass
class Sample:
    """A batch of pairs as cameras see them, with the truth of the left view.

    ``left``, ``right`` (B, 3, H, W) float32 RGB 0 to 255; ``prior``, ``prior_confidence``
    (B, 1, H, W) float32, what SGBM makes of the pair, confidence 0 where it guesses; ``disparity``
    (B, 1, H, W) float32 px or UNKNOWN, ``visible`` (B, 1, H, W) bool.
    """

    left: Tensor
    right: Tensor
    prior: Tensor
    prior_confidence: Tensor
    disparity: Tensor
    visible: Tensor

    def to(self, device: torch.device) -> Sample:
        """Return the same batch on ``device``."""
        return Sample(**{name: tensor.to(device) for name, tensor in vars(self).items()})

    def inputs_of(self, network: StereoNetwork) -> tuple[Tensor, ...]:
        """Return what ``network`` takes: the views, and the prior if it does."""
        prior = (self.prior, self.prior_confidence) if network.takes_prior else ()
        return self.left, self.right, *prior


@dataclass
class _Drawn:
    """A batch of which the matcher has the ``chosen`` pairs in hand."""

    sample: Sample
    chosen: Tensor
    priors: list[Future[tuple[np.ndarray, np.ndarray]]]

    def wait(self) -> Sample:
        """Wait for the matcher and return the batch."""
        for tensor in vars(self.sample).values():
            if tensor.is_cuda:  # its memory may be used again only after the caller's work
                tensor.record_stream(torch.cuda.current_stream())
        if self.priors:
            maps_of_pairs = zip(*(prior.result() for prior in self.priors), strict=True)
            for target, maps in zip(
                (self.sample.prior, self.sample.prior_confidence), maps_of_pairs, strict=True
            ):
                target[self.chosen, 0] = torch.from_numpy(np.stack(maps)).to(target.device)
        return self.sample


class SceneStream:
    """Draws batches from a pool of rendered scenes that is renewed all the time.

    Every scene is used ``reuse`` times on average, each time with another crop and other cameras:
    rendering costs a CPU more than a training step does, and a GPU next to nothing (``reuse`` 1).
    """

    def __init__(
        self,
        *,
        scene: tuple[int, int],
        crop: tuple[int, int],
        batch: int,
        reuse: int = 1,
        seed: int = 0,
        photos: Sequence[Path] = (),
        padded: float = 0.2,
        unaided: float = 0.15,
        prior_span: int,
        device: torch.device | str = "cpu",
    ) -> None:
        """``scene`` and ``crop`` are (height, width) px, the crop no larger than the scene.

        The share ``padded`` of the samples ends below or to the right as inference pads a pair; the
        share ``unaided`` has no prior, the others one of up to ``prior_span`` px; 0: none has one.
        """
        if crop[0] > scene[0] or crop[1] > scene[1]:
            raise InputError(f"a crop of {crop} px does not fit into scenes of {scene} px")
        self._scene, self._crop, self._batch, self._reuse = scene, crop, batch, reuse
        self._padded, self._unaided = padded, unaided if prior_span else 1.0
        self._prior_span = prior_span
        self._seed, self._photos, self._device = seed, photos, torch.device(device)
        # A GPU would wait for the matcher; on a CPU nothing else is idle.
        self._matchers = start_matchers(0 if self._device.type == "cpu" else os.cpu_count() or 1)
        # Of its own, so that to hand images to the matcher does not wait for the training step.
        self._cuda_stream = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None
        self._dice = Dice(seed)
        self._pool: deque[RenderedBatch] = deque(maxlen=max(batch, 8 * reuse))
        self._banks = self._rendered = self._owed = 0
        self._painter = ThreadPoolExecutor(1, "painter")
        self._next_bank: Future[TextureBank] | None = None

    def next(self) -> Sample:
        """Return the next batch."""
        return self.draw().wait()

    def draw(self) -> _Drawn:
        """Draw the next batch and set its matching going."""
        with torch.cuda.stream(self._cuda_stream):  # does nothing for None
            return self._draw()

    def _draw(self) -> _Drawn:
        self._owed += self._batch
        fresh = max(self._owed // self._reuse, self._batch - len(self._pool))
        self._owed = max(self._owed - fresh * self._reuse, 0)
        # A GPU wants all scenes at once, a CPU the small windows of one.
        at_once = 1 if self._device.type == "cpu" else self._batch
        while fresh > 0:
            self._render(min(fresh, at_once))
            fresh -= at_once
        newest = len(self._pool) - self._batch if self._reuse == 1 else 0
        used = [newest + i for i in range(self._batch)]
        if self._reuse > 1:
            used = self._dice.integers(len(self._pool), self._batch).tolist()
        crops = [self._cut(self._pool[i]) for i in used]
        left, right, disparity, visible = (torch.cat(parts) for parts in zip(*crops, strict=True))
        left, right = photograph(left, right, self._dice)
        nothing = torch.zeros_like(disparity)
        sample = Sample(left, right, nothing, nothing.clone(), disparity, visible)
        for index in range(self._batch):
            self._letterbox(sample, index)
        aided = (~self._dice.chance(self._unaided, self._batch)).nonzero().flatten()
        chosen = aided.to(self._device)
        lefts, rights = (
            image[chosen].permute(0, 2, 3, 1).byte().cpu().numpy()
            for image in (sample.left, sample.right)
        )
        priors = [
            self._matchers.submit(match, left, right, self._prior_span)
            for left, right in zip(lefts, rights, strict=True)
        ]
        return _Drawn(sample, chosen, priors)

    def _letterbox(self, sample: Sample, index: int) -> None:
        """By chance repeat a last row or column to the edge."""
        kind, share = self._dice.uniform(0.0, 1.0, 2).tolist()
        if kind >= self._padded:
            return
        side = 2 if kind < self._padded / 2 else 3
        inside = int(sample.left.shape[side] * (0.35 + 0.6 * share))

        def beyond(x: Tensor) -> Tensor:
            return x[index].narrow(side - 1, inside, x.shape[side] - inside)

        for image in (sample.left, sample.right):
            beyond(image).copy_(image[index].narrow(side - 1, inside - 1, 1))
        beyond(sample.disparity).fill_(UNKNOWN)
        beyond(sample.visible).fill_(False)

    def _render(self, count: int) -> None:
        if self._rendered >= self._banks * SCENES_PER_BANK:
            ahead, self._next_bank = self._next_bank, None
            self._bank = ahead.result() if ahead is not None else self._draw_bank(self._banks)
            self._banks += 1
        self._rendered += count
        # In time for a GPU, and not for a stream of a few scenes.
        if self._next_bank is None and self._rendered >= (self._banks - 0.5) * SCENES_PER_BANK:
            self._next_bank = self._painter.submit(self._draw_bank, self._banks)
        scenes = draw(self._dice, count, *self._scene, self._bank.count)
        pairs = render(scenes, self._bank, *self._scene, self._device)
        for i in range(count):
            one = slice(i, i + 1)
            self._pool.append(
                RenderedBatch(
                    pairs.left[one], pairs.right[one], pairs.disparity[one], pairs.visible[one]
                )
            )

    def _draw_bank(self, number: int) -> TextureBank:
        seed = self._seed + 7919 * SCENES_PER_BANK * number
        return draw_bank(seed, TEXTURES_PER_BANK, self._photos, self._device)

    def _cut(self, pair: RenderedBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        top, left = (
            int(self._dice.integers(whole - part + 1, 1))
            for whole, part in zip(self._scene, self._crop, strict=True)
        )
        window = (..., slice(top, top + self._crop[0]), slice(left, left + self._crop[1]))
        return pair.left[window], pair.right[window], pair.disparity[window], pair.visible[window]


_AHEAD = 2  # one batch is drawn while the matcher has another


def draw_ahead(stream: SceneStream) -> Generator[Sample, None, None]:
    """Yield the batches of ``stream``, the next ones drawn while the caller works."""
    with ThreadPoolExecutor(1, "stream") as worker:
        ahead = deque(worker.submit(stream.draw) for _ in range(_AHEAD))
        while True:
            sample = ahead.popleft().result().wait()
            ahead.append(worker.submit(stream.draw))
            yield sample
