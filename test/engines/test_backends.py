"""A backend is a module and a line: nothing else names it."""

import numpy as np
import pytest
from fakes import FixedEngine

from stereo_depth_ros.engines import EngineError, open_engine
from stereo_depth_ros.engines import open as opening
from stereo_depth_ros.engines.backend import Way
from stereo_depth_ros.engines.backends import BACKENDS, NAMES


class SpareBackend:
    name = "spare"
    engines = frozenset({"sgbm", "fixed"})
    options = frozenset({"disparity"})
    needs_file = False

    def ways(self, artifact, context):
        return [Way("spare", lambda: FixedEngine(artifact.card.options.get("disparity", 1.0)))]


@pytest.fixture
def card(tmp_path, monkeypatch):
    """card(text): a card, where the spare backend is the last of the list."""
    monkeypatch.setattr(opening, "BACKENDS", (*BACKENDS, SpareBackend()))
    monkeypatch.setattr(opening, "NAMES", (*NAMES, "spare"))

    def write(text):
        path = tmp_path / "net.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_card_reaches_a_backend_of_the_list_with_its_options(card):
    engine = open_engine(card("{engine: fixed, options: {disparity: 7.0}}"))

    assert engine.spec.backend == "none"
    blank = np.zeros((12, 16, 3), np.uint8)
    assert (engine.infer(blank, blank)[0] == 7.0).all()
    assert str(engine.spec.provenance).endswith("; the only backend that runs it")


def test_backend_that_is_asked_for_is_taken_and_the_first_of_two_otherwise(card):
    model = card("engine: sgbm")

    assert open_engine(model, backend="spare").spec.backend == "none"
    assert open_engine(model).spec.backend == "opencv"


def test_options_of_other_backends_are_refused(card):
    with pytest.raises(EngineError, match="unknown options mode; known are disparity"):
        open_engine(card("{engine: fixed, options: {mode: hh}}"))
