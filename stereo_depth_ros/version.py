"""The version of the package, as its installation or else its source tree states it."""

from importlib.metadata import PackageNotFoundError, version
from xml.etree import ElementTree

from stereo_depth_ros.share import PACKAGE, share_directory


def find_version() -> str:
    """Return the version, such as "0.1.0".

    Raises
    ------
    FileNotFoundError
        When the package is neither installed nor in its source tree.
    """
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        manifest = ElementTree.parse(share_directory() / "package.xml")
        return manifest.findtext("version", "unknown")
