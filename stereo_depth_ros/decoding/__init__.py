"""From the bytes of cameras and files to RGB images of 8 bits, without ROS."""
