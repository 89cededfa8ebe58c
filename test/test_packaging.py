"""What setup.py and package.xml say of the package."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest
import setuptools

ROOT = Path(__file__).parents[1]
PACKAGE_XML = ElementTree.parse(ROOT / "package.xml").getroot()
# The packages of ROS whose module has another name.
PACKAGES = {"tf2_ros": "tf2_ros_py"}


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    """What setup.py passes to setuptools when it runs from another folder."""
    passed = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: passed.update(arguments))
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "setup.py"))
    return passed


def test_versions_agree(arguments):
    changelog = (ROOT / "CHANGELOG.rst").read_text()
    newest = re.search(r"^(\d+\.\d+\.\d+) ", changelog, re.MULTILINE)[1]

    assert arguments["version"] == PACKAGE_XML.findtext("version") == newest


def test_every_data_file_is_installed(arguments):
    installed = {file for _, files in arguments["data_files"] for file in files}

    for folder in ("config", "launch", "models"):
        files = [path for path in (ROOT / folder).rglob("*") if path.suffix not in ("", ".pyc")]
        assert files
        assert {str(path.relative_to(ROOT)) for path in files} <= installed


def test_every_python_package_is_installed(arguments):
    folders = {path.parent for path in (ROOT / "stereo_depth_ros").rglob("*.py")}

    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(arguments["packages"]) == names


def test_every_package_of_ros_that_is_imported_is_a_dependency():
    imported = set()
    for file in [*(ROOT / "stereo_depth_ros/ros").glob("*.py"), *(ROOT / "launch").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    ros = {name for name in imported if re.search(r"rclpy|_msgs|_interfaces|_ros$|^launch", name)}
    ros = ros - {"stereo_depth_ros"} | imported & {"cv_bridge", "message_filters"}

    declared = {element.text for element in PACKAGE_XML.iter("exec_depend")}
    assert {"launch", "message_filters", "rclpy", "sensor_msgs"} <= ros
    assert {PACKAGES.get(name, name) for name in ros} <= declared
