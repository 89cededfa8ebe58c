from __future__ import annotations

import time

import numpy as np
from fakes import FixedEngine

from stereo_depth_ros.evaluation.benchmark import as_dict, as_text, benchmark


class SlowEngine(FixedEngine):
    """Takes its time, and notes in ``log`` when it was asked."""

    def __init__(self, name: str, seconds: float, log: list[str]) -> None:
        super().__init__(5.0)
        self.name, self.seconds, self.log = name, seconds, log

    def infer(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.log.append(self.name)
        time.sleep(self.seconds)
        return super().infer(left, right)


def test_models_take_turns_and_are_compared_round_by_round():
    log: list[str] = []
    openers = [
        (name, lambda name=name, seconds=seconds: SlowEngine(name, seconds, log))
        for name, seconds in (("quick", 0.010), ("slow", 0.030))
    ]
    quick, slow = benchmark(openers, 64, 48, rounds=8)
    assert log == ["quick", "slow"] * (1 + 3 + 8)
    assert (quick.width, quick.height, quick.rounds) == (64, 48, 8)
    assert quick.ratio == (1.0, 1.0, 1.0)
    assert 1.2 < slow.ratio[1] < 4.0
    least, median, p95, p99 = slow.inference
    assert 30.0 <= least <= median <= p95 <= p99
    assert 0 <= quick.before < least
    assert 0 < quick.after < least


def test_text_and_json_carry_every_model():
    openers = [(name, lambda: FixedEngine(5.0)) for name in ("one", "two")]
    timings = benchmark(openers, 32, 24, rounds=2)
    text = as_text(timings)
    assert "32 x 24, 2 rounds in turn" in text
    assert "| one |" in text and "| two |" in text
    assert [t["model"] for t in as_dict(timings)["timings"]] == ["one", "two"]
