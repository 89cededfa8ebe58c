"""The core runs without ROS and without a training framework, the node without the latter."""

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
    "rosbags",
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
TRAINING_PACKAGES = {
    "huggingface_hub",
    "onnx",
    "safetensors",
    "tensorboard",
    "torch",
    "torchvision",
}
# Where, and only where, those may be used; the core reaches them through cli.layers alone.
TRAINING_LAYERS = ("networks", "checkpoints", "export", "training", "scenes.synthetic")


def core_files():
    rooms = ("decoding", "scenes", "evaluation", "recordings", "cli")
    folders = [PACKAGE, *(PACKAGE / name for name in rooms)]
    files = [file for folder in folders for file in folder.glob("*.py")]
    return sorted([*files, *(PACKAGE / "engines").rglob("*.py")])


def module_name(file):
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    )


def is_within(name, layers):
    return any(f"{name}.".startswith(f"stereo_depth_ros.{layer}.") for layer in layers)


def files_without_training():
    """Everything that robots run: the core and the ROS layer."""
    return [
        file
        for file in sorted(PACKAGE.rglob("*.py"))
        if not is_within(module_name(file), TRAINING_LAYERS)
    ]


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
        "stereo_depth_ros.recordings.process",
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


def test_training_layers_are_where_these_tests_look_for_them():
    names = [module_name(file) for file in sorted(PACKAGE.rglob("*.py"))]

    for layer in TRAINING_LAYERS:
        assert f"stereo_depth_ros.{layer}" in names
    robot = {module_name(file) for file in files_without_training()}
    assert {module_name(file) for file in core_files()} <= robot
    assert {"stereo_depth_ros.ros.node", "stereo_depth_ros.scenes.planar"} <= robot
    # Else the next test would hold for a package that no layer uses.
    assert "torch" in imported(ast.parse((PACKAGE / "networks" / "base.py").read_text()))


@pytest.mark.parametrize("file", files_without_training(), ids=module_name)
def test_training_packages_are_used_in_the_training_layers_alone(file):
    names = set(imported(ast.parse(file.read_text())))

    assert not {name for name in names if name.split(".")[0] in TRAINING_PACKAGES}
    assert not {name for name in names if is_within(name, TRAINING_LAYERS)}


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "lite", "-o", "never"],
        ["scenes", "--preview", "never.png"],
        ["export", "lite", "--random-weights", "--size", "64x96", "-o", "never.onnx"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_verb_that_needs_torch_says_how_to_install_it(arguments, tmp_path):
    outcome = run_without(
        {"torch"},
        f"import os\nos.chdir({str(tmp_path)!r})\n"
        "from stereo_depth_ros.cli.main import main\n"
        f"print(main({arguments!r}))",
    )

    assert outcome.stdout == "1\n", outcome.stderr
    assert "pip install 'stereo_depth_ros[training]'" in outcome.stderr
    assert outcome.stderr.startswith(f"stereo-depth {arguments[0]}: ")
    assert outcome.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
