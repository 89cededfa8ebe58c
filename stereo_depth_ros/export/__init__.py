"""From a network to one checked ONNX file that keeps the graph contract."""

from stereo_depth_ros.export.exporter import export_onnx
from stereo_depth_ros.export.gate import GraphError, check_graph
from stereo_depth_ros.export.publication import publish

__all__ = ["GraphError", "check_graph", "export_onnx", "publish"]
