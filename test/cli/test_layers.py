import sys

import pytest

from stereo_depth_ros.cli.layers import import_training
from stereo_depth_ros.errors import UserError


def test_missing_package_is_an_error_that_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "stereo_depth_ros.checkpoints.cost", raising=False)

    with pytest.raises(UserError, match=r"torch.*; pip install 'stereo_depth_ros\[training\]'"):
        import_training("checkpoints.cost")


def test_missing_module_of_the_package_is_a_fault_of_its_own():
    with pytest.raises(ModuleNotFoundError, match=r"stereo_depth_ros\.absent"):
        import_training("absent")
