"""The layouts for RViz and Foxglove show topics that exist, as what they are."""

from __future__ import annotations

import json

import pytest
import yaml

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from stereo_depth_ros.ros.outputs import TYPES
from stereo_depth_ros.share import share_directory

CONFIG = share_directory() / "config"
FOXGLOVE = json.loads((CONFIG / "foxglove.json").read_text())
INPUTS = {"left/image_rect": Image, "left/camera_info": CameraInfo}
KINDS = {f"/{name}": kind for name, kind in {**TYPES, **INPUTS}.items()}


def panels_of(layout):
    if isinstance(layout, str):
        return [layout]
    return panels_of(layout["first"]) + panels_of(layout["second"])


def test_foxglove_places_every_panel_once():
    assert sorted(panels_of(FOXGLOVE["layout"])) == sorted(FOXGLOVE["configById"])


def test_foxglove_shows_images_with_their_camera_info():
    images = [
        panel["imageMode"]
        for name, panel in FOXGLOVE["configById"].items()
        if name.startswith("Image!")
    ]

    assert len(images) == 3
    assert {KINDS[image["imageTopic"]] for image in images} == {Image}
    assert {KINDS[image["calibrationTopic"]] for image in images} == {CameraInfo}


def test_foxglove_shows_every_cloud():
    clouds = {name for name, kind in KINDS.items() if kind is PointCloud2}

    assert set(FOXGLOVE["configById"]["3D!points"]["topics"]) == clouds


def test_foxglove_shows_the_diagnostics():
    (panel,) = [p for name, p in FOXGLOVE["configById"].items() if name.startswith("Diagnostic")]

    assert panel["topicToRender"] == "/diagnostics"


def test_rviz_shows_topics_as_what_they_are():
    content = yaml.safe_load((CONFIG / "stereo.rviz").read_text())
    displays = content["Visualization Manager"]["Displays"]

    shown = {d["Topic"]["Value"]: d["Class"].rpartition("/")[2] for d in displays}
    assert shown == {name: TYPES[name].__name__ for name in shown}
    assert len(shown) == 3
