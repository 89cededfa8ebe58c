"""A GPU that is lost ends the node, so that whoever started it can start it again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from fakes import encode
from rig import floats

from stereo_depth_ros.ros.tools.processes import run_process

pytestmark = pytest.mark.ros

HERE = Path(__file__).parent
PLANE = encode(np.full((120, 160), 25.0))


@pytest.fixture
def told(tmp_path):
    """The file that says how the engine fails."""
    return tmp_path / "told"


@pytest.fixture
def node(dds, told, tmp_path):
    """node(namespace): the process with that engine; a context."""

    def start(namespace):
        paths = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "LOST_ENGINE": str(told),
        }
        return run_process(
            "lost_engine_node", {}, namespace, environment=environment, log=tmp_path / "log"
        )

    return start


@pytest.mark.parametrize(
    ("act", "cause"),
    [
        ("sticky", "an illegal memory access (700)"),
        ("passing", "pairs in a row failed within 10 s"),
    ],
)
def test_lost_engine_ends_the_node_with_its_cause(node, rigs, told, tmp_path, act, cause):
    with node(f"/{act}") as process:
        rig = rigs(f"/{act}")
        rig.show_until_received(PLANE, "depth/image_rect")
        np.testing.assert_allclose(floats(rig.last("depth/image_rect")), 2.0, atol=1e-3)
        told.write_text(act)
        ended = rig.until(lambda: rig.show(PLANE) and process.poll() is not None, 90.0)
        log = (tmp_path / "log").read_text()
        assert ended, log
    assert process.returncode == os.EX_TEMPFAIL
    (fatal,) = [line for line in log.splitlines() if "FATAL" in line]
    assert cause in fatal
    assert log.count("engine closed") == 1
    assert "Traceback" not in log


def test_engine_that_is_lost_while_it_opens_ends_the_node_too(node, told, tmp_path):
    told.write_text("opening")
    with node("/opening") as process:
        status = process.wait(90.0)
    log = (tmp_path / "log").read_text()
    assert status == os.EX_TEMPFAIL, log
    (fatal,) = [line for line in log.splitlines() if "FATAL" in line]
    assert "an illegal memory access (700)" in fatal
    assert "Traceback" not in log


def test_pair_that_fails_costs_that_pair_alone(node, rigs, told):
    with node("/once") as process:
        rig = rigs("/once")
        rig.show_until_received(PLANE, "depth/image_rect")
        told.write_text("passing")
        rig.show(PLANE)
        failed = rig.until(lambda: int(rig.reports("inference").get("failed", "0")) > 0, 30.0)
        told.write_text("")
        assert failed, rig.reports("inference")
        rig.show_until_received(PLANE, "depth/image_rect")
        assert process.poll() is None
