"""Depth from a stereo camera: ros2 launch stereo_depth_ros stereo.launch.py camera:=realsense."""

import os
from pathlib import Path

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.substitutions import ExecutableInPackage

from stereo_depth_ros.ros.transport import transport_environment
from stereo_depth_ros.share import share_directory

SHARE = share_directory()
CAMERAS = sorted(path.stem for path in (SHARE / "config" / "cameras").glob("*.yaml"))
INPUTS = {
    "left_image": "left/image_rect",
    "left_info": "left/camera_info",
    "right_image": "right/image_rect",
    "right_info": "right/camera_info",
}
CHOICES = {
    "camera": CAMERAS,
    "rviz": ["true", "false"],
    "demo": ["true", "false"],
    "use_sim_time": ["", "true", "false"],
}
ARGUMENTS = {
    "camera": ("generic", f"Which camera's topics to listen to: {', '.join(CAMERAS)}"),
    "model": ("", "auto, an installed model or the path of an exported .onnx file"),
    "backend": ("", "What runs the model: auto, tensorrt, onnxruntime, opencv"),
    "namespace": ("", "Namespace of the node and of its relative topics"),
    "params_file": ("", "Your parameters; what they leave out is as in config/stereo.yaml"),
    "rviz": ("false", "Show depth, confidence and the cloud in RViz"),
    "demo": ("false", "Start a simulated camera, so that no camera is needed"),
    "use_sim_time": ("", "true to follow /clock"),
    "log_level": ("info", "debug, info, warn or error"),
    **{name: ("", f"Topic to use instead of the preset's {name}") for name in INPUTS},
}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the nodes depend on the values of them."""
    arguments = [
        DeclareLaunchArgument(
            name,
            default_value=default,
            description=description,
            choices=CHOICES.get(name),
        )
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[Node]:
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    if value["rviz"] == "true":
        _check_rviz(context)
    preset_file = SHARE / "config" / "cameras" / f"{value['camera']}.yaml"
    preset = yaml.safe_load(preset_file.read_text())
    own = [value["params_file"]] if value["params_file"] else []
    for file in own:
        _check_parameters(file)
    defaults = str(SHARE / "config" / "stereo.yaml")
    topics = {name: value[name] or preset["topics"][name] for name in INPUTS}
    chosen = {name: value[name] for name in ("model", "backend") if value[name]}
    clock = {"use_sim_time": value["use_sim_time"] == "true"} if value["use_sim_time"] else {}
    remappings = [(INPUTS[name], topic) for name, topic in topics.items()]
    # To ROS the compressed images are topics of their own, which the simulated camera publishes.
    remappings += [
        (f"{INPUTS[name]}/compressed", f"{topics[name]}/compressed")
        for name in ("left_image", "right_image")
    ]
    frame = "scene_left_optical_frame" if value["demo"] == "true" else preset["frame"]
    shared = {
        "package": "stereo_depth_ros",
        "namespace": value["namespace"],
        "remappings": remappings,
        "additional_env": transport_environment(),
        "arguments": ["--ros-args", "--log-level", value["log_level"]],
        "output": "screen",
    }
    return [
        Node(
            executable="stereo_depth_node",
            name="stereo_depth_node",
            parameters=[defaults, *own, {**chosen, **clock}],
            **shared,
        ),
        Node(
            executable="scene_camera",
            name="scene_camera",
            parameters=[clock],
            condition=IfCondition(value["demo"]),
            **shared,
        ),
        Node(
            package="rviz2",
            executable="rviz2",
            namespace=value["namespace"],
            arguments=["-d", str(SHARE / "config" / "stereo.rviz"), "-f", frame],
            parameters=[clock],
            condition=IfCondition(value["rviz"]),
        ),
    ]


def _check_rviz(context: LaunchContext) -> None:
    """Raise before anything starts: what ran already would be left behind when rviz2 fails."""
    try:
        ExecutableInPackage("rviz2", "rviz2").perform(context)
    except (LookupError, RuntimeError) as error:
        raise RuntimeError(
            "rviz:=true needs rviz2, which is not installed here; install "
            f"ros-{os.environ.get('ROS_DISTRO', '$ROS_DISTRO')}-rviz2, or leave rviz out"
        ) from error


def _check_parameters(file: str) -> None:
    """Raise where ``file`` is missing or no YAML."""
    if not Path(file).is_file():
        raise FileNotFoundError(f"params_file {file} does not exist")
    try:
        yaml.safe_load(Path(file).read_text())
    except (ValueError, yaml.YAMLError) as error:
        text = " ".join(str(error).split())
        raise ValueError(f"params_file {file} is not YAML: {text}") from error
