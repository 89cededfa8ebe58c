"""The DDS transport profile that carries whole images between processes."""

from __future__ import annotations

import os

from stereo_depth_ros.share import share_directory

# FastDDS 2, of Humble to Jazzy, reads the one name alone, and FastDDS 3, since Kilted, the other.
_PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")

CHOICES = (*_PROFILES, "FASTDDS_BUILTIN_TRANSPORTS")
"""Variables by which a user chooses a transport."""


def profile_environment() -> dict[str, str]:
    """Return the variables that select config/fastdds.xml, whichever FastDDS is installed."""
    return dict.fromkeys(_PROFILES, str(share_directory() / "config" / "fastdds.xml"))


def transport_environment() -> dict[str, str]:
    """Return the variables to set for the shipped profile, or for the one that the user chose.

    A file that was chosen under the name that the installed FastDDS does not read is given to the
    other name as well. Where the user chose among the built-in transports, nothing is to be set.
    """
    chosen = {name: os.environ[name] for name in CHOICES if os.environ.get(name)}
    if not chosen:
        return profile_environment()
    files = [chosen[name] for name in _PROFILES if name in chosen]
    return {name: files[0] for name in _PROFILES if files and name not in chosen}
