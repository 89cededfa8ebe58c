"""A private DDS domain, and rendered scenes that several tests share."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.scenes.planar import RenderedPair, plane_scene, render, yard_scene

# No robot and no other test run may hear this one, nor its child processes. Domains above 101
# collide with the ephemeral ports of Linux.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
# PyTorch's threads wait for each other in busy loops: on a busy machine one is up to five times as
# fast as several.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Nor may a test see the models of whoever runs it; each has a folder of its own, see below.
os.environ["STEREO_DEPTH_MODELS"] = "/dev/null/models"


@dataclass(frozen=True)
class Scene:
    """A rendered pair and the camera that saw it."""

    camera: StereoCamera
    pair: RenderedPair


@pytest.fixture(autouse=True)
def _log_level():
    """Undo what verbs of the command line set."""
    yield
    logging.getLogger("stereo_depth_ros").setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def models_home(tmp_path_factory, monkeypatch) -> Path:
    """The folder of added models and of what was measured of models, empty."""
    folder = tmp_path_factory.mktemp("models")
    monkeypatch.setenv("STEREO_DEPTH_MODELS", str(folder))
    return folder


@pytest.fixture(scope="session")
def yard() -> Scene:
    """Floor, wall, boxes, posts and sky at 320 x 240, with sensor noise."""
    camera = StereoCamera(320, 240, 260.0, 260.0, 159.5, 119.5, 159.5, 0.12)
    pair = render(yard_scene(), camera)
    random = np.random.default_rng(0)

    def noisy(image: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(image + random.normal(0, 2, image.shape)), 0, 255).astype(np.uint8)

    return Scene(camera, replace(pair, left=noisy(pair.left), right=noisy(pair.right)))


@pytest.fixture(scope="session")
def wall() -> Scene:
    """A textured wall at exactly 2 m that fills the view, 240 x 180, disparity 26.0 px."""
    camera = StereoCamera(240, 180, 260.0, 260.0, 119.5, 89.5, 119.5, 0.2)
    return Scene(camera, render(plane_scene(2.0), camera))
