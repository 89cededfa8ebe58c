"""What real cameras do to an ideal pair: each view on its own, as hardware does."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from stereo_depth_ros.scenes.synthetic.dice import Dice

_RADIUS = 3  # of the blur kernel, px


@torch.no_grad()
def photograph(left: Tensor, right: Tensor, dice: Dice) -> tuple[Tensor, Tensor]:
    """Make a rendered pair what two 8-bit cameras see of it.

    Only the right view is moved, and only vertically, by at most about half a px: the left view's
    truth stays true.

    Parameters
    ----------
    left, right
        (B, 3, H, W) float32, 0 to 1 and above.
    dice
        What exposure, blur and noise are drawn with.

    Returns
    -------
    tuple of Tensor
        Left and right, (B, 3, H, W) float32, whole numbers 0 to 255.
    """
    batch = left.shape[0]
    good = dice.chance(0.6, batch)  # in good light, well adjusted, its images not compressed
    right = _misalign(right, dice, torch.where(good, 0.2, 0.5))
    # Automatic exposure, which misses its aim now and then.
    aim = dice.log_uniform(0.32, 0.65, batch).to(left.device)
    exposure = (
        (aim / left.clamp(max=1).mean((1, 2, 3)).clamp(min=0.02)).clamp(max=4).view(-1, 1, 1, 1)
    )
    left, right = left * exposure, right * exposure
    grey = dice.chance(0.15, batch)
    common = {
        "gamma": dice.log_uniform(0.75, 1.35, batch),
        # The area of a pixel alone blurs by 0.3 px.
        "sigma": dice.uniform(0.3, 0.9, batch).clamp(max=torch.where(good, 0.5, 0.9)),
        "sharpening": dice.uniform(0.0, 1.0, batch) * dice.chance(0.5, batch),
        "noise": dice.log_uniform(0.001, 0.03, batch) * torch.where(good, 0.3, 1.0),
        "vignette": dice.uniform(0.0, 0.45, batch),
        "jpeg": dice.uniform(0.2, 2.5, batch) * dice.chance(0.6, batch) * ~good,
    }
    views = []
    for image in (left, right):
        device = image.device

        def own(name: str, spread: float, device: torch.device = device) -> Tensor:
            drawn = common[name] * (1 + spread * dice.normal(batch)).clamp(0.3, 3)
            return drawn.to(device).view(-1, 1, 1, 1)

        image = _blur(image, own("sigma", 0.15), own("sharpening", 0.1))
        image = image.clamp(min=1e-4) ** own("gamma", 0.01)
        # Mostly matched, now and then two cameras that each expose as they like.
        apart = torch.where(good, 0.01, 0.04)[:, None] + 0.15 * dice.chance(0.1, batch, 1)
        gain = (1 + apart * dice.normal(batch, 1)).clamp(0.5, 1.8)
        balance = (gain * (1 + 2 * apart.clamp(max=0.02) * dice.normal(batch, 3))).to(device)[
            :, :, None, None
        ]
        image = image * balance * _vignette(image, own("vignette", 0.1))
        image = torch.where(
            grey.to(device).view(-1, 1, 1, 1), image.mean(1, keepdim=True).expand_as(image), image
        )
        # Drawn where it is needed: one CPU thread would hold up a GPU.
        grain = torch.Generator(device).manual_seed(int(dice.integers(2**31 - 1, 1)))
        noise = torch.randn(image.shape, generator=grain, device=device)
        noise = torch.where(grey.to(device).view(-1, 1, 1, 1), noise[:, :1], noise)
        strength = own("noise", 0.1)
        image = image + noise * strength * (0.4 + image.clamp(0, 1)).sqrt()
        image = image.clamp(0, 1)
        packed = common["jpeg"] > 0
        image[packed] = _jpeg(image[packed], own("jpeg", 0.05)[packed])
        views.append((image.clamp(0, 1) * 255).round())
    return views[0], views[1]


def _misalign(image: Tensor, dice: Dice, most: Tensor) -> Tensor:
    """Shift, turn and stretch rows by up to ``most`` (B,) px in sum, as poor calibration does."""
    batch, _, height, width = image.shape
    often = dice.chance(0.5, batch, 1)
    drawn = dice.uniform(-1.0, 1.0, batch, 3) / 3 * most[:, None] * often
    shift, turn, stretch = drawn.to(image.device).T
    x = torch.linspace(-1, 1, width, device=image.device)
    y = torch.linspace(-1, 1, height, device=image.device)
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    off = shift[:, None, None] + turn[:, None, None] * grid_x + stretch[:, None, None] * grid_y
    rows = grid_y + off * 2 / (height - 1)
    grid = torch.stack([grid_x.expand_as(rows), rows], dim=3)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _blur(image: Tensor, sigma: Tensor, sharpening: Tensor) -> Tensor:
    """Gaussian blur of ``sigma`` px, then an unsharp mask of 1 px; both (B, 1, 1, 1)."""
    batch, channels, height, width = image.shape
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, device=image.device, dtype=image.dtype)

    def gaussian(variance: Tensor) -> Tensor:
        kernel = torch.exp(-offsets.square() / (2 * variance.clamp(min=0.0025)))
        return kernel / kernel.sum(1, keepdim=True)

    variance, more = sigma.view(-1, 1).square(), sharpening.view(-1, 1)
    kernel = (1 + more) * gaussian(variance) - more * gaussian(variance + 1)
    kernel = kernel.repeat_interleave(channels, 0)
    flat = image.reshape(1, batch * channels, height, width)
    padded = F.pad(flat, (_RADIUS,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel[:, None, :, None], groups=batch * channels)
    both = F.conv2d(rows, kernel[:, None, None, :], groups=batch * channels)
    return both.view_as(image)


def _vignette(image: Tensor, strength: Tensor) -> Tensor:
    height, width = image.shape[2:]
    x = torch.linspace(-1, 1, width, device=image.device)
    y = torch.linspace(-1, 1, height, device=image.device)[:, None]
    return 1 - strength.clamp(0, 0.6) * (x.square() + y.square()) / 2


def _jpeg(image: Tensor, strength: Tensor) -> Tensor:
    """Quantise 8 x 8 block spectra as JPEG does, coarser with ``strength``; 0 changes nothing."""
    height, width = image.shape[2:]
    padded = F.pad(image, (0, -width % 8, 0, -height % 8), mode="replicate")
    n = torch.arange(8, device=image.device, dtype=image.dtype)
    basis = torch.cos((n[None] + 0.5) * n[:, None] * torch.pi / 8) * 0.5
    basis[0] = 8**-0.5
    blocks = padded.unfold(2, 8, 8).unfold(3, 8, 8)
    spectrum = basis @ blocks @ basis.T
    step = strength[..., None, None] * (10 + 6 * (n[:, None] + n)) / 255
    rough = torch.round(spectrum / step.clamp(min=1e-6)) * step
    spectrum = torch.where(step > 1e-5, rough, spectrum)
    blocks = basis.T @ spectrum @ basis
    image = blocks.permute(0, 1, 2, 4, 3, 5).reshape(padded.shape)
    return image[..., :height, :width]
