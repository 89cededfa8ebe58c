"""Where the package's data files (models, config, launch) lie, however it was installed."""

from pathlib import Path

PACKAGE = "stereo_depth_ros"


def share_directory() -> Path:
    """Return the folder that holds ``models/`` and ``config/``.

    The source tree when running from one (editable installs, ``colcon --symlink-install``), else
    ``share/stereo_depth_ros`` of the prefix the package was installed into: a virtual environment,
    ``~/.local``, a colcon install space or ``/opt/ros/<distro>``.

    Raises
    ------
    FileNotFoundError
        When the installation lacks its data files.
    """
    here = Path(__file__).resolve().parent
    candidates = [here.parent, *(p / "share" / PACKAGE for p in here.parents)]
    for candidate in candidates:
        if (candidate / "package.xml").is_file() and (candidate / "models").is_dir():
            return candidate
    raise FileNotFoundError(
        f"{PACKAGE}: no data files (models/, config/) found for the code in {here}; "
        "install the package with pip or colcon instead of copying its folder"
    )
