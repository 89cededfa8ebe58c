import numpy as np
import pytest
from fakes import FixedEngine

from stereo_depth_ros.engines import Engine, EngineError
from stereo_depth_ros.engines.swap import SwappableEngine

PAIR = (np.zeros((4, 6, 3), np.uint8),) * 2


class Closing(FixedEngine):
    closed = 0

    def close(self):
        self.closed += 1


def test_it_is_an_engine():
    assert isinstance(SwappableEngine(), Engine)


def test_pairs_go_to_the_newest_engine_and_the_one_before_is_closed():
    engine, first, second = SwappableEngine(), Closing(1.0), Closing(2.0, width=6, height=4)

    engine.swap(first)
    assert engine.infer(*PAIR)[0].max() == 1
    engine.swap(second)

    assert engine.infer(*PAIR)[0].max() == 2
    assert engine.spec == second.spec
    assert (first.closed, second.closed) == (1, 0)


def test_without_an_engine_a_pair_is_an_error():
    engine = SwappableEngine()

    assert not engine.is_ready
    with pytest.raises(EngineError, match="no engine is loaded"):
        engine.infer(*PAIR)


def test_closing_closes_the_engine_of_the_moment_and_whatever_comes_later():
    engine, early, late = SwappableEngine(), Closing(1.0), Closing(2.0)
    engine.swap(early)

    engine.close()
    engine.swap(late)
    engine.close()

    assert (early.closed, late.closed) == (1, 1)
    assert not engine.is_ready
