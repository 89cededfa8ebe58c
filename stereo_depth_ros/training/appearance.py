"""Changes of what a camera makes of a view: colour, sharpness, noise, compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True)
class Look:
    """What is changed of a view; the defaults change nothing.

    ``brightness``, ``contrast`` and ``saturation`` are factors, ``hue`` degrees, ``gamma`` an
    exponent, ``blur`` a standard deviation in px, ``noise`` one of 0 to 1, ``quality`` that of
    JPEG, 0 for none.
    """

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    gamma: float = 1.0
    blur: float = 0.0
    noise: float = 0.0
    quality: int = 0


def draw_look(random: np.random.Generator) -> Look:
    """Draw a look, ours: every camera's colour, some cameras' faults."""

    def at_times(share: float, low: float, high: float) -> float:
        value = random.uniform(low, high)
        return value if random.uniform() < share else 0.0

    return Look(
        brightness=random.uniform(0.6, 1.4),
        contrast=random.uniform(0.6, 1.4),
        saturation=0.0 if random.uniform() < 0.1 else random.uniform(0.4, 1.4),
        hue=random.uniform(-20, 20),
        gamma=np.exp(random.uniform(-0.35, 0.35)),
        blur=at_times(0.2, 0.3, 1.5),
        noise=at_times(0.4, 0.002, 0.03),
        quality=round(at_times(0.25, 40, 95)),
    )


def change_look(image: np.ndarray, look: Look, random: np.random.Generator) -> np.ndarray:
    """Return ``image``, (H, W, 3) uint8 RGB, with ``look``; ``random`` draws its noise."""
    x = image.astype(np.float32) * np.float32(look.brightness / 255)
    x += (1 - np.float32(look.contrast)) * (x.mean() - x)
    grey = (x @ _GREY)[..., None]
    x = grey + np.float32(look.saturation) * (x - grey)
    x = _turn_hue(x.clip(0, 1), look.hue) ** np.float32(look.gamma)
    if look.blur:
        x = cv2.GaussianBlur(x, (0, 0), look.blur)
    if look.noise:
        x = x + look.noise * random.standard_normal(x.shape, np.float32)
    image = np.rint(255 * x).clip(0, 255).astype(np.uint8)
    if look.quality:
        _, packed = cv2.imencode(".jpg", image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, look.quality))
        image = np.ascontiguousarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1])
    return image


def _turn_hue(image: np.ndarray, degrees: float) -> np.ndarray:
    if not degrees:
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + np.float32(degrees)) % 360
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
