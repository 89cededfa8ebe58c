"""An endless, seeded stream of training samples from rendered scenes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stereo_depth_ros.errors import InputError
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
from stereo_depth_ros.training.batch import UNKNOWN, Batch
from stereo_depth_ros.training.matchers import UNAIDED, match
from stereo_depth_ros.training.workers import start_workers


@dataclass
class _Drawn:
    """A batch of which the matcher has the ``chosen`` pairs in hand."""

    batch: Batch
    chosen: Tensor
    priors: list[Future[tuple[np.ndarray, np.ndarray]]]

    def wait(self) -> Batch:
        """Wait for the matcher and return the batch."""
        for tensor in vars(self.batch).values():
            if tensor.is_cuda:  # its memory may be used again only after the caller's work
                tensor.record_stream(torch.cuda.current_stream())
        if self.priors:
            maps_of_pairs = zip(*(prior.result() for prior in self.priors), strict=True)
            for target, maps in zip(
                (self.batch.prior, self.batch.prior_confidence), maps_of_pairs, strict=True
            ):
                target[self.chosen, 0] = torch.from_numpy(np.stack(maps)).to(target.device)
        return self.batch


class _Origin(NamedTuple):
    """What a rendered scene is made anew from: of ``drawn`` at once the one at ``place``."""

    dice: Tensor
    bank: int
    drawn: int
    place: int


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
        unaided: float = UNAIDED,
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
        self._matchers = start_workers(0 if self._device.type == "cpu" else os.cpu_count() or 1)
        # Of its own, so that to hand images to the matcher does not wait for the training step.
        self._cuda_stream = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None
        self._dice = Dice(seed)
        self._pool: deque[RenderedBatch] = deque(maxlen=max(batch, 8 * reuse))
        self._origins: deque[_Origin] = deque(maxlen=self._pool.maxlen)
        self._banks = self._rendered = self._owed = 0
        self._painter = ThreadPoolExecutor(1, "painter")
        self._next_bank: Future[TextureBank] | None = None

    def next(self) -> Batch:
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
        batch = Batch(left, right, nothing, nothing.clone(), disparity, visible.float())
        for index in range(self._batch):
            self._letterbox(batch, index)
        aided = (~self._dice.chance(self._unaided, self._batch)).nonzero().flatten()
        chosen = aided.to(self._device)
        lefts, rights = (
            image[chosen].permute(0, 2, 3, 1).byte().cpu().numpy()
            for image in (batch.left, batch.right)
        )
        priors = [
            self._matchers.submit(match, left, right, self._prior_span)
            for left, right in zip(lefts, rights, strict=True)
        ]
        return _Drawn(batch, chosen, priors)

    def _letterbox(self, batch: Batch, index: int) -> None:
        """By chance repeat a last row or column to the edge."""
        kind, share = self._dice.uniform(0.0, 1.0, 2).tolist()
        if kind >= self._padded:
            return
        side = 2 if kind < self._padded / 2 else 3
        inside = int(batch.left.shape[side] * (0.35 + 0.6 * share))

        def beyond(x: Tensor) -> Tensor:
            return x[index].narrow(side - 1, inside, x.shape[side] - inside)

        for image in (batch.left, batch.right):
            beyond(image).copy_(image[index].narrow(side - 1, inside - 1, 1))
        beyond(batch.disparity).fill_(UNKNOWN)
        beyond(batch.visible).fill_(0)

    def _render(self, count: int) -> None:
        if self._rendered >= self._banks * SCENES_PER_BANK:
            ahead, self._next_bank = self._next_bank, None
            self._bank = ahead.result() if ahead is not None else self._draw_bank(self._banks)
            self._banks += 1
        self._rendered += count
        # In time for a GPU, and not for a stream of a few scenes.
        if self._next_bank is None and self._rendered >= (self._banks - 0.5) * SCENES_PER_BANK:
            self._next_bank = self._painter.submit(self._draw_bank, self._banks)
        dice = self._dice.generator.get_state()
        self._pool.extend(self._render_with(self._dice, self._bank, count))
        self._origins.extend(_Origin(dice, self._banks - 1, count, i) for i in range(count))

    def _render_with(self, dice: Dice, bank: TextureBank, count: int) -> list[RenderedBatch]:
        """Return ``count`` scenes one by one."""
        scenes = draw(dice, count, *self._scene, bank.count)
        pairs = render(scenes, bank, *self._scene, self._device)
        parts = (x.split(1) for x in (pairs.left, pairs.right, pairs.disparity, pairs.visible))
        return [RenderedBatch(*one) for one in zip(*parts, strict=True)]

    def get_state(self) -> dict[str, Any]:
        """Return what `set_state` goes on from."""
        return {
            "dice": self._dice.generator.get_state(),
            "counts": (self._banks, self._rendered, self._owed),
            # Without reuse nothing old is shown again.
            "origins": [tuple(origin) for origin in self._origins if self._reuse > 1],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on where another stream, of the same arguments, was, its scenes rendered anew."""
        self._banks, self._rendered, self._owed = state["counts"]
        banks: dict[int, TextureBank] = {}
        rendered: dict[bytes, list[RenderedBatch]] = {}
        for saved in state["origins"]:
            origin = _Origin(*saved)
            if origin.bank not in banks:
                banks[origin.bank] = self._draw_bank(origin.bank)
            key = origin.dice.numpy().tobytes()
            if key not in rendered:
                dice = Dice(0)
                dice.generator.set_state(origin.dice)
                rendered[key] = self._render_with(dice, banks[origin.bank], origin.drawn)
            self._pool.append(rendered[key][origin.place])
            self._origins.append(origin)
        if self._banks:
            last = self._banks - 1
            self._bank = banks[last] if last in banks else self._draw_bank(last)
        self._dice.generator.set_state(state["dice"])

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
