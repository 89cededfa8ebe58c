"""Installs with colcon (ament_python) on a ROS machine and with pip on any other."""

from glob import glob

from setuptools import find_packages, setup

NAME = "stereo_depth_ros"

setup(
    name=NAME,
    version="0.1.0",
    description="Real-time stereo depth for robots: metric depth, disparity, confidence, clouds",
    license="Apache-2.0",
    maintainer="stereo_depth_ros maintainers",
    maintainer_email="maintainers@stereo-depth-ros.invalid",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
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
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", glob("launch/*.launch.py")),
        (f"share/{NAME}/config", glob("config/*.*")),
        (f"share/{NAME}/config/cameras", glob("config/cameras/*.yaml")),
        (f"share/{NAME}/models", glob("models/*.*")),
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
