"""Whatever goes wrong, the verbs leave no engine open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import FixedEngine

from stereo_depth_ros import stereo_model
from stereo_depth_ros.cli import evaluate
from stereo_depth_ros.cli.main import main
from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.evaluation.benchmark import benchmark
from stereo_depth_ros.pictures import write_image


class Failing(FixedEngine):
    """Works ``good`` times and counts how often it is closed."""

    def __init__(self, good: int = 0) -> None:
        super().__init__(1.0)
        self.good, self.closed = good, 0

    def infer(self, left, right):
        self.good -= 1
        if self.good < 0:
            raise EngineError("no memory")
        return super().infer(left, right)

    def close(self):
        self.closed += 1


@pytest.fixture
def pair(tmp_path) -> Path:
    folder = tmp_path / "data" / "one"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for side in ("left", "right"):
        image = random.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        write_image(folder / f"{side}.png", image)
    np.save(folder / "disp.npy", np.ones((24, 32), np.float32))
    return folder


def test_run_closes_its_engine(pair, tmp_path, monkeypatch, capsys):
    engine = Failing()
    monkeypatch.setattr(stereo_model, "open_engine", lambda *_, **__: engine)

    files = [str(pair / "left.png"), str(pair / "right.png")]
    assert main(["run", *files, "-o", str(tmp_path / "out")]) == 1

    assert capsys.readouterr().err == "stereo-depth run: no memory\n"
    assert engine.closed == 1


@pytest.mark.parametrize("fails", ["open", "infer"])
def test_evaluate_closes_every_engine(pair, monkeypatch, fails):
    opened = []

    def open_engine(model, **options):
        if fails == "open" and model == "sgbm":
            raise EngineError("no memory")
        opened.append(Failing())
        return opened[-1]

    monkeypatch.setattr(evaluate, "open_engine", open_engine)

    arguments = ["--model", "net", "--data", str(pair.parent), "--layout", "plain"]
    assert main(["evaluate", *arguments]) == 1

    assert [engine.closed for engine in opened] == [1] * (1 if fails == "open" else 3)


@pytest.mark.parametrize("good", [0, 2])
def test_benchmark_closes_every_engine(good):
    engines = [Failing(100), Failing(good)]

    with pytest.raises(EngineError, match="no memory"):
        benchmark([(str(e), lambda e=e: e) for e in engines], 64, 48, rounds=2)

    assert [engine.closed for engine in engines] == [1, 1]
