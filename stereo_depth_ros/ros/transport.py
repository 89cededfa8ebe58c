"""The DDS transport profile that carries whole images between processes."""

from __future__ import annotations

import os

from stereo_depth_ros.share import share_directory

# FastDDS renamed the variable; both ends of the rename are in supported ROS distributions.
VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
_OWN_CHOICES = (*VARIABLES, "FASTDDS_BUILTIN_TRANSPORTS", "ROS_DISCOVERY_SERVER")


def transport_environment() -> dict[str, str]:
    """Return the variables that select config/fastdds.xml; none where the user chose already."""
    if any(name in os.environ for name in _OWN_CHOICES):
        return {}
    profile = str(share_directory() / "config" / "fastdds.xml")
    return dict.fromkeys(VARIABLES, profile)
