"""Surface textures: drawn by formula, and photographs from a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from stereo_depth_ros.errors import InputError

SIZE = 512
LEVELS = 10  # 512 px down to 1 px
TEXTURES_PER_BANK = 32
SCENES_PER_BANK = 256


class TextureBank:
    """Square textures with their mip levels, sampled with wrap-around.

    Each is RGB 0 to 1 with mean 0.5, so that a material's tint alone sets its brightness.

    Parameters
    ----------
    images
        (512, 512, 3) uint8 RGB each.
    device
        Where they lie.
    """

    def __init__(self, images: Sequence[np.ndarray], device: torch.device | str = "cpu") -> None:
        """``images``: (512, 512, 3) uint8 each."""
        stack = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(device).float() / 255
        stack = stack - stack.mean((1, 2, 3), keepdim=True) + 0.5
        levels, self._starts, start = [], [], 0
        for level in range(LEVELS):
            size = SIZE >> level
            levels.append(stack.permute(0, 2, 3, 1).reshape(-1, 3))
            self._starts.append(start)
            start += len(images) * size * size
            if size > 1:
                stack = torch.nn.functional.avg_pool2d(stack, 2)
        self._texels = torch.cat(levels)
        self._start = torch.tensor(self._starts, device=device)
        self.count = len(images)

    def sample(self, texture: Tensor, u: Tensor, v: Tensor, texels: Tensor) -> Tensor:
        """Look colours up.

        Parameters
        ----------
        texture
            Index of the texture, int64 of any shape.
        u, v
            Where in it, in tiles, float32 of that shape.
        texels
            How many texels of the finest level one image pixel spans, which picks the level.

        Returns
        -------
        Tensor
            (…, 3) float32, 0.5 on average.
        """
        # Rather too smooth than too fine, which would differ between two views.
        level = (texels.clamp(min=1e-6).log2() + 0.25).round().clamp(0, LEVELS - 1).long()
        size = SIZE >> level
        base = self._start[level] + texture * size * size
        u, v = u * size - 0.5, v * size - 0.5
        u0, v0 = u.floor(), v.floor()
        fu, fv = (u - u0)[..., None], (v - v0)[..., None]
        mask = size - 1
        u0, v0 = u0.long() & mask, v0.long() & mask
        u1, v1 = (u0 + 1) & mask, (v0 + 1) & mask
        top, bottom = base + v0 * size, base + v1 * size
        above = torch.lerp(self._texels[top + u0], self._texels[top + u1], fu)
        below = torch.lerp(self._texels[bottom + u0], self._texels[bottom + u1], fu)
        return torch.lerp(above, below, fv)


def photographs(folder: Path) -> list[Path]:
    """List the image files below a folder.

    Parameters
    ----------
    folder
        Searched in all its depth.

    Returns
    -------
    list of Path
        Sorted.

    Raises
    ------
    InputError
        When there is none.
    """
    files = sorted(
        file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png")
    )
    if not files:
        raise InputError(f"no .jpg or .png below {folder}; give a folder of photographs")
    return files


def draw_bank(
    seed: int, count: int, photos: Sequence[Path] = (), device: torch.device | str = "cpu"
) -> TextureBank:
    """Draw textures.

    Parameters
    ----------
    seed
        Decides them, with all that follows.
    count
        How many.
    photos
        Photographs, of which crops make six of ten textures.
    device
        Where the bank lies.

    Returns
    -------
    TextureBank
        Of ``count`` textures.

    Raises
    ------
    InputError
        For a photograph that cannot be read.
    """
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        if photos and rng.random() < 0.6:
            images.append(_photo_texture(rng, photos[int(rng.integers(len(photos)))]))
        else:
            images.append(_draw_texture(rng))
    return TextureBank(images, device)


def _photo_texture(rng: np.random.Generator, file: Path) -> np.ndarray:
    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{file} is not an image that OpenCV reads; remove it from the folder")
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    side = int(min(image.shape[:2]) * rng.uniform(0.7, 1.0))
    top = rng.integers(image.shape[0] - side + 1)
    left = rng.integers(image.shape[1] - side + 1)
    crop = image[top : top + side, left : left + side]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    crop = np.rot90(crop, int(rng.integers(4)))
    return cv2.resize(
        np.ascontiguousarray(crop),
        (SIZE, SIZE),
        interpolation=cv2.INTER_AREA if side > SIZE else cv2.INTER_CUBIC,
    )


def _noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise of ``cells`` x ``cells`` bumps, (512, 512), about -1 to 1, seamless."""
    grid = rng.standard_normal((cells, cells)).astype(np.float32)
    grid = np.pad(grid, 2, mode="wrap")
    scale = SIZE / cells
    large = cv2.resize(grid, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    border = round(2 * scale)
    return large[border : border + SIZE, border : border + SIZE]


def _octaves(rng: np.random.Generator) -> np.ndarray:
    roughness = rng.uniform(0.4, 1.0)
    first = int(rng.integers(0, 4))
    return np.sum([roughness**i * _noise(rng, 4 << i) for i in range(first, 7)], axis=0)


def _draw_texture(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE * 2 * np.pi
    kind = rng.integers(7)
    n, m = int(rng.integers(1, 17)), int(rng.integers(1, 17))
    if kind == 0:  # stone, plaster
        pattern = _octaves(rng)
    elif kind == 1:  # stripes, wood
        pattern = np.sin(n * x + m * (rng.random() < 0.5) * y + _noise(rng, 8) * rng.uniform(0, 2))
    elif kind == 2:  # tiles
        pattern = np.sign(np.sin(n * x) * np.sin(m * y))
    elif kind == 3:  # bricks
        row = np.floor(y / (2 * np.pi) * 2 * m)
        joint = np.minimum(np.abs(np.sin(m * y)), np.abs(np.sin(n * x / 2 + row * np.pi / 2)))
        pattern = np.where(joint < 0.12, -1.5, 0.3 * _noise(rng, 16))
    elif kind == 4:  # spots, leaves
        pattern = np.sign(_octaves(rng) - rng.uniform(-0.5, 0.5))
    elif kind == 5:  # gravel, grain
        pattern = _noise(rng, 128) + 0.5 * _noise(rng, 16)
    else:  # printed matter
        pattern = _draw_print(rng)
    pattern = pattern + rng.uniform(0, 0.6) * _octaves(rng)
    pattern = (pattern - pattern.mean()) / (pattern.std() + 1e-3)
    colour = rng.uniform(-1, 1, 3) * 0.4 + rng.choice([-1.0, 1.0])
    second = rng.uniform(-1, 1, 3) * rng.uniform(0, 0.4)
    image = 128 + 50 * pattern[..., None] * colour + 50 * _noise(rng, 8)[..., None] * second
    return np.clip(image, 0, 255).astype(np.uint8)


def _draw_print(rng: np.random.Generator) -> np.ndarray:
    image = np.zeros((SIZE, SIZE), np.float32)
    for _ in range(int(rng.integers(20, 120))):
        x, y = (int(v) for v in rng.integers(0, SIZE, 2))
        w, h = (int(v) for v in rng.integers(3, 90, 2))
        ink = float(rng.uniform(-1, 1))
        shape = rng.integers(3)
        if shape == 0:
            cv2.rectangle(image, (x, y), (x + w, y + h), ink, -1)
        elif shape == 1:
            cv2.ellipse(image, (x, y), (w, h), float(rng.uniform(0, 180)), 0, 360, ink, -1)
        else:
            end = (x + int(rng.integers(-200, 200)), y + int(rng.integers(-200, 200)))
            cv2.line(image, (x, y), end, ink, int(rng.integers(1, 8)), cv2.LINE_AA)
    return image
