import importlib.util
import shutil

import pytest

from stereo_depth_ros import share


def installed(prefix, site_packages):
    """The module as it runs when the package lies in ``site_packages`` of ``prefix``."""
    folder = prefix / site_packages / "stereo_depth_ros"
    folder.mkdir(parents=True)
    shutil.copy(share.__file__, folder)
    spec = importlib.util.spec_from_file_location("installed_share", folder / "share.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def add_data(folder):
    (folder / "models").mkdir(parents=True)
    (folder / "package.xml").touch()
    return folder


def test_data_files_are_found_in_the_running_installation():
    folder = share.share_directory()

    assert (folder / "models" / "sgbm.yaml").is_file()
    assert (folder / "config").is_dir()


@pytest.mark.parametrize(
    "site_packages",
    [
        "lib/python3.10/site-packages",
        "lib/python3.12/dist-packages",
        "local/lib/python3.10/dist-packages",
    ],
)
def test_data_files_are_found_below_the_prefix(tmp_path, site_packages):
    module = installed(tmp_path, site_packages)
    expected = add_data(tmp_path / "share" / "stereo_depth_ros")

    assert module.share_directory() == expected


def test_source_tree_comes_before_an_installation(tmp_path):
    module = installed(tmp_path, "src/stereo_depth_ros")
    source = add_data(tmp_path / "src" / "stereo_depth_ros")
    add_data(tmp_path / "share" / "stereo_depth_ros")

    assert module.share_directory() == source


def test_nearest_prefix_comes_first(tmp_path):
    module = installed(tmp_path / "workspace" / "install", "lib/python3.10/site-packages")
    add_data(tmp_path / "share" / "stereo_depth_ros")
    nearest = add_data(tmp_path / "workspace" / "install" / "share" / "stereo_depth_ros")

    assert module.share_directory() == nearest


def test_folder_without_models_is_no_data_folder(tmp_path):
    module = installed(tmp_path, "lib/python3.10/site-packages")
    half = tmp_path / "lib" / "python3.10" / "site-packages"
    (half / "package.xml").touch()
    expected = add_data(tmp_path / "share" / "stereo_depth_ros")

    assert module.share_directory() == expected


def test_installation_without_data_files_says_how_to_install(tmp_path):
    module = installed(tmp_path, "lib/python3.10/site-packages")

    with pytest.raises(FileNotFoundError, match=r"no data files .* install the package with pip"):
        module.share_directory()
