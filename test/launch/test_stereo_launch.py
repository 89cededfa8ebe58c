"""What stereo.launch.py would start, without starting it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="needs a full ROS 2 (launch, launch_ros)")

from launch import LaunchContext
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

FILE = Path(__file__).parents[2] / "launch" / "stereo.launch.py"
RECORDED = {
    "generic": ("left/image_rect", "right/image_rect"),
    "realsense": (
        "/camera/camera/infra1/image_rect_raw",
        "/camera/camera/infra2/image_rect_raw",
    ),
    "zed": (
        "/zed/zed_node/left/color/rect/image",
        "/zed/zed_node/right/color/rect/image",
    ),
    "oak": ("/oak/left/image_rect", "/oak/right/image_rect"),
}


def nodes(**given: str) -> dict[str, Node]:
    """Return the nodes that the launch file makes of the given arguments, by executable."""
    spec = importlib.util.spec_from_file_location("stereo_launch", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context = LaunchContext()
    context.launch_configurations.update(given)
    made = []
    for entity in module.generate_launch_description().entities:
        if isinstance(entity, DeclareLaunchArgument):
            entity.execute(context)
        elif isinstance(entity, OpaqueFunction):
            made = entity.execute(context)
    started = [n for n in made if n.condition is None or n.condition.evaluate(context)]
    for node in started:
        node._perform_substitutions(context)
    return {node.node_executable: node for node in started}


def test_the_node_alone_is_the_default():
    assert set(nodes()) == {"stereo_depth_node"}


def install_rviz(prefix: Path) -> None:
    """Put a package rviz2 with its executable into ``prefix``."""
    index = prefix / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "rviz2").touch()
    executable = prefix / "lib" / "rviz2" / "rviz2"
    executable.parent.mkdir(parents=True)
    executable.touch()
    executable.chmod(0o755)


def test_demo_and_rviz_add_their_nodes(tmp_path, monkeypatch):
    install_rviz(tmp_path)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    assert set(nodes(demo="true", rviz="true")) == {"stereo_depth_node", "scene_camera", "rviz2"}


@pytest.mark.parametrize("is_partial", [False, True], ids=["no package", "no executable"])
def test_rviz_that_is_not_installed_is_named_before_anything_starts(
    tmp_path, monkeypatch, is_partial
):
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    if is_partial:
        install_rviz(tmp_path)
        (tmp_path / "lib" / "rviz2" / "rviz2").unlink()
    with pytest.raises(RuntimeError, match=r"rviz2.* install ros-jazzy-rviz2, or leave rviz out"):
        nodes(rviz="true", demo="true")
    assert set(nodes(demo="true")) == {"stereo_depth_node", "scene_camera"}


@pytest.mark.parametrize("camera", RECORDED)
def test_presets_point_at_the_topics_of_the_drivers(camera):
    remaps = dict(nodes(camera=camera)["stereo_depth_node"].expanded_remapping_rules)
    assert (remaps["left/image_rect"], remaps["right/image_rect"]) == RECORDED[camera]
    for side in ("left", "right"):
        assert remaps[f"{side}/camera_info"].rsplit("/", 1)[1] == "camera_info"


def test_a_topic_argument_replaces_the_presets():
    remaps = dict(
        nodes(camera="zed", left_image="/mine")["stereo_depth_node"].expanded_remapping_rules
    )
    assert remaps["left/image_rect"] == "/mine"
    assert remaps["right/image_rect"] == RECORDED["zed"][1]


def test_users_parameters_come_after_the_defaults_and_arguments_last(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("/**:\n  ros__parameters: {slop: 0.02, model: mine}\n")
    node = nodes(params_file=str(own), model="sgbm_hh")["stereo_depth_node"]
    files = [Path(file) for file, is_file in node._Node__expanded_parameter_arguments if is_file]
    assert [file.name for file in files[:2]] == ["stereo.yaml", "own.yaml"]
    assert len(files) == 3
    assert "sgbm_hh" in files[2].read_text()


def test_namespace_reaches_every_node():
    for node in nodes(namespace="robot", demo="true").values():
        assert node.expanded_node_namespace == "/robot"


def test_a_missing_parameter_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"/no/such\.yaml"):
        nodes(params_file="/no/such.yaml")


def test_a_malformed_parameter_file_is_named_in_one_line(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("/**:\n  ros__parameters: [1\n")
    with pytest.raises(ValueError, match=rf"{file} is not YAML: .*line 3") as raised:
        nodes(params_file=str(file))
    assert "\n" not in str(raised.value)
