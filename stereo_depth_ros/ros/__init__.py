"""The ROS 2 node and its parts: the only package that imports rclpy."""
