"""Recordings of a rendered yard with known truth."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from bags import CAMERA

from stereo_depth_ros.pictures import write_image
from stereo_depth_ros.scenes.planar import render, yard_scene


@pytest.fixture(scope="session")
def views() -> list[tuple[np.ndarray, np.ndarray]]:
    """Twelve pairs of the yard with the noise of a sensor, all different."""
    pair = render(yard_scene(), CAMERA)
    random = np.random.default_rng(0)

    def noisy(image: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(image + random.normal(0, 2, image.shape)), 0, 255).astype(np.uint8)

    return [(noisy(pair.left), noisy(pair.right)) for _ in range(12)]


@pytest.fixture(scope="session")
def truth() -> np.ndarray:
    """Depth of the left view, (H, W) float32 m, +Inf for sky."""
    return render(yard_scene(), CAMERA).depth


@pytest.fixture
def folders(views, tmp_path) -> SimpleNamespace:
    """Two folders of images and their calibration."""
    for index, pair in enumerate(views):
        for side, image in zip(("left", "right"), pair, strict=True):
            write_image(tmp_path / side / f"{index:04d}.png", image)
    calibration = tmp_path / "camera.yaml"
    calibration.write_text(
        f"{{focal_px: {CAMERA.fx}, baseline_m: {CAMERA.baseline}, cx: {CAMERA.cx}, "
        f"cy: {CAMERA.cy}, doffs_px: 0}}"
    )
    return SimpleNamespace(
        left=str(tmp_path / "left"), right=str(tmp_path / "right"), calib=str(calibration)
    )


@pytest.fixture
def run(capsys) -> Callable[..., SimpleNamespace]:
    """Run ``stereo-depth process`` with sgbm; return status, output and errors."""
    from stereo_depth_ros.cli.main import main

    def process(*arguments: object) -> SimpleNamespace:
        status = main(["process", *map(str, arguments), "--model", "sgbm"])
        printed = capsys.readouterr()
        return SimpleNamespace(status=status, out=printed.out, err=printed.err)

    return process
