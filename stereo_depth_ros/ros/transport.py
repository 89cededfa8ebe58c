"""The DDS transport profile that carries whole images between processes."""

from __future__ import annotations

import os

from stereo_depth_ros.share import share_directory

# FastDDS renamed the variable; both ends of the rename are in supported ROS distributions.
_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")

CHOICES = (*_VARIABLES, "FASTDDS_BUILTIN_TRANSPORTS")
"""Variables by which a user chooses a transport."""


def profile_environment() -> dict[str, str]:
    """Return the variables that select config/fastdds.xml."""
    return dict.fromkeys(_VARIABLES, str(share_directory() / "config" / "fastdds.xml"))


def transport_environment() -> dict[str, str]:
    """Return `profile_environment`, or nothing where the user chose a transport already."""
    return {} if any(name in os.environ for name in CHOICES) else profile_environment()
