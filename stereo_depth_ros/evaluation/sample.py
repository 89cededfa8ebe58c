"""One pair with truth, and what identifies several."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stereo_depth_ros.file_hash import sha256_of
from stereo_depth_ros.pictures import read_pair


@dataclass(frozen=True)
class Sample:
    """One pair with truth, read when asked.

    Attributes
    ----------
    name
        Within its dataset.
    left, right
        The image files.
    truth
        Reads (H, W) float32 px, NaN unknown and 0 infinitely far.
    nonocc, sky
        Read (H, W) bool; None where the dataset has no mask of pixels seen in both views, or of the
        sky.
    """

    name: str
    left: Path
    right: Path
    truth: Callable[[], np.ndarray]
    nonocc: Callable[[], np.ndarray] | None = None
    sky: Callable[[], np.ndarray] | None = None

    def images(self) -> tuple[np.ndarray, np.ndarray]:
        """Read both images.

        Returns
        -------
        tuple of np.ndarray
            Left and right, (H, W, 3) uint8 RGB.

        Raises
        ------
        FileNotFoundError, IsADirectoryError, InputError
            As `read_image`.
        """
        return read_pair(self.left, self.right)


def digest_of(samples: Sequence[Sample]) -> str:
    """Identify samples by the content of their images and truth.

    Parameters
    ----------
    samples
        In the order that counts.

    Returns
    -------
    str
        SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256()
    for sample in samples:
        for image in (sample.left, sample.right):
            digest.update(sha256_of(image).encode())
        truth = sample.truth()
        digest.update(f"{truth.shape}".encode())
        digest.update(truth.astype("<f4").tobytes())
    return digest.hexdigest()
