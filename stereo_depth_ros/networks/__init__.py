"""What the graphs are, in PyTorch: one module or folder for each network."""

from stereo_depth_ros.networks.base import StereoNetwork, StereoOutput
from stereo_depth_ros.networks.registry import NetworkError, create_network, list_networks

__all__ = ["NetworkError", "StereoNetwork", "StereoOutput", "create_network", "list_networks"]
