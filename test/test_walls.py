"""The core runs without ROS and without a training framework."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import stereo_depth_ros

PACKAGE = Path(stereo_depth_ros.__file__).parent
FORBIDDEN = {
    "action_msgs",
    "ament_index_python",
    "builtin_interfaces",
    "cv_bridge",
    "diagnostic_msgs",
    "diagnostic_updater",
    "geometry_msgs",
    "image_transport",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "message_filters",
    "onnx",
    "rcl_interfaces",
    "rclpy",
    "safetensors",
    "sensor_msgs",
    "sensor_msgs_py",
    "std_msgs",
    "stereo_msgs",
    "tf2_msgs",
    "tf2_ros",
    "torch",
    "torchvision",
}


def core_files():
    folders = [PACKAGE, *(PACKAGE / name for name in ("engines", "scenes", "evaluation", "cli"))]
    return sorted(file for folder in folders for file in folder.glob("*.py"))


def module_name(file):
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    )


def run_without(blocked, code):
    """Run ``code`` in a fresh interpreter in which the ``blocked`` packages do not exist."""
    block = f"import sys\nfor name in {sorted(blocked)!r}: sys.modules[name] = None\n"
    path = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", block + code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_core_is_where_these_tests_look_for_it():
    names = {module_name(file) for file in core_files()}

    assert {
        "stereo_depth_ros",
        "stereo_depth_ros.pipeline",
        "stereo_depth_ros.engines.onnxruntime",
        "stereo_depth_ros.scenes.planar",
        "stereo_depth_ros.cli.main",
    } <= names


def test_core_modules_import_without_ros_and_torch():
    names = [module_name(file) for file in core_files()]

    outcome = run_without(
        FORBIDDEN,
        f"import importlib\nfor name in {names!r}: importlib.import_module(name)\n"
        "print(sum(n.startswith('stereo_depth_ros.ros') for n in sys.modules))",
    )

    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.strip() == "0"


def test_block_of_a_package_works():
    # Otherwise the test above could not fail.
    outcome = run_without({"cv2"}, "import stereo_depth_ros.filters")

    assert outcome.returncode != 0
    assert "cv2" in outcome.stderr


def test_sgbm_matches_without_ros_torch_and_onnxruntime():
    outcome = run_without(
        FORBIDDEN | {"onnxruntime"},
        "import numpy as np\n"
        "from stereo_depth_ros.engines import open_engine\n"
        "blank = np.zeros((48, 64, 3), np.uint8)\n"
        "print(open_engine('sgbm').infer(blank, blank)[0].shape)",
    )

    assert outcome.stdout.strip() == "(48, 64)", outcome.stderr


def test_missing_onnxruntime_is_an_error_that_says_how_to_install_it():
    outcome = run_without(
        {"onnxruntime"},
        "from pathlib import Path\n"
        "from stereo_depth_ros.engines import EngineError\n"
        "from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine\n"
        "try: OnnxRuntimeEngine(Path('net.onnx'))\n"
        "except EngineError as error: print(error)",
    )

    assert "pip install onnxruntime" in outcome.stdout, outcome.stderr


def imported(tree):
    """Names of the modules that ``tree`` imports, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports would pass unseen"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", core_files(), ids=module_name)
def test_core_module_names_no_package_of_ros_or_training(file):
    names = set(imported(ast.parse(file.read_text())))

    assert not {name for name in names if name.split(".")[0] in FORBIDDEN}


@pytest.mark.parametrize("file", core_files(), ids=module_name)
def test_core_module_imports_no_ros_layer_when_it_is_imported(file):
    tree = ast.parse(file.read_text())
    if file.parent.name == "cli":
        # A verb may start the node, but only once it runs.
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                node.body = []

    ros = "stereo_depth_ros.ros"
    assert not {n for n in imported(tree) if n == ros or n.startswith(f"{ros}.")}
