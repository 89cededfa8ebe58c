"""Installs with colcon (ament_python) on a ROS machine and with pip on any other.

Name, version, description, licence and maintainer are those of package.xml.
"""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

# Resolved, as `colcon build --symlink-install` runs a link to this file, from a folder of its own.
ROOT = Path(__file__).resolve().parent
PACKAGE = ElementTree.parse(ROOT / "package.xml").getroot()
NAME = PACKAGE.findtext("name", "")
(MAINTAINER,) = PACKAGE.iter("maintainer")


def list_files(pattern: str) -> list[str]:
    """Return the files that match ``pattern``, relative to this one, as setuptools asks for."""
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern))


setup(
    name=NAME,
    version=PACKAGE.findtext("version"),
    description=" ".join(PACKAGE.findtext("description", "").split()),
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license=PACKAGE.findtext("license"),
    maintainer=MAINTAINER.text,
    maintainer_email=MAINTAINER.get("email"),
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Image Processing",
        "Typing :: Typed",
    ],
    packages=find_packages(str(ROOT), include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed"]},
    python_requires=">=3.10",
    install_requires=[
        "numpy>=1.21,<3",
        "opencv-python-headless>=4.5.4,<6",
        "PyYAML>=5.4,<7",
        "onnxruntime>=1.15,<2",
        "tqdm>=4.57,<5",
    ],
    extras_require={
        "ros-jazzy": [
            "ros-jazzy-rclpy",
            "ros-jazzy-rmw-fastrtps-cpp",
            "ros-jazzy-sensor-msgs",
            "ros-jazzy-stereo-msgs",
            "ros-jazzy-diagnostic-msgs",
            "ros-jazzy-lifecycle-msgs",
        ],
        "training": [
            "torch>=2.2,<3",
            "onnx>=1.15,<2",
            "safetensors>=0.4,<1",
            "huggingface_hub>=0.23,<3",
            "tensorboard>=2.10,<3",
        ],
        "tensorrt": ["tensorrt>=8.5,<12", "pycuda>=2022.2"],
        # Where pycuda, which is compiled on installation, cannot be.
        "cuda-python": ["cuda-python>=12.9.1,<14"],
        # For the tests: it builds engines without a GPU, and is this small for PCs alone.
        "tensorrt-rtx": ["tensorrt-rtx==1.4.0.76; platform_machine == 'x86_64'"],
        "test": ["pytest>=7", "pytest-xdist>=3.5", "ruff>=0.6", "mypy>=1.10", "types-PyYAML"],
        # Makes a site with search of the Markdown files in doc/, which are read without it too.
        "doc": ["mkdocs-material>=9.5,<10"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *(
            (f"share/{NAME}/{folder}", list_files(f"{folder}/{files}"))
            for folder, files in {
                "launch": "*.launch.py",
                "config": "*.*",
                "config/cameras": "*.yaml",
                "models": "*.*",
            }.items()
        ),
    ],
    entry_points={
        "console_scripts": [
            "stereo-depth = stereo_depth_ros.cli.main:main",
            "stereo_depth_node = stereo_depth_ros.ros.start:stereo_depth_node",
            "scene_camera = stereo_depth_ros.ros.start:scene_camera",
        ],
    },
    zip_safe=False,
)
