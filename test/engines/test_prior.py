"""What SGBM finds reaches the network, whichever way the model is opened."""

import numpy as np
import pytest
from fakes import METADATA, EncodedEngine, encode, save_graph
from numpy.testing import assert_array_equal

from stereo_depth_ros.engines import Context, Engine, EngineError, open_engine
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.prior import GuidedEngine, find_prior
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.engines.swap import SwappableEngine
from stereo_depth_ros.model_card import ModelError
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.settings import Settings

PRIOR = ("prior", "prior_confidence")
NAMES_IT = {**METADATA, "prior": "sgbm"}


@pytest.fixture(scope="module")
def pair(wall):
    return wall.pair.left, wall.pair.right


def save(path, pair, metadata=NAMES_IT, prior=PRIOR):
    """A graph of the size of ``pair`` whose disparity is that of its prior, plus the red / 4."""
    height, width = pair[0].shape[:2]
    return save_graph(path, width, height, metadata=metadata, prior=prior)


def write_card(folder, text):
    path = folder / "card.yaml"
    path.write_text(text)
    return str(path)


def expected(pair, largest=64):
    """What the graph answers when it is told what SGBM finds."""
    found, confidence = SgbmEngine().infer(*pair)
    within = found <= largest
    plain, doubt = EncodedEngine().infer(*pair)
    return plain + np.where(within, found, 0), np.maximum(doubt, np.where(within, confidence, 0))


def test_prior_is_what_the_matcher_finds_within_the_range_guesses_too():
    disparity = np.array([[0.0, 3.0, 20.0, 20.25, 8.0]])
    image = encode(disparity, np.array([[1.0, 0.4, 1.0, 1.0, 0.0]]))

    prior, confidence = find_prior(EncodedEngine(), image, image, 20.0)

    assert prior.dtype == confidence.dtype == np.float32
    assert_array_equal(prior, [[0, 3, 20, 0, 8]])
    assert_array_equal(confidence, np.float32([[1, 0.4, 1, 0, 0]]))


def test_prior_of_a_wall_is_its_disparity(pair):
    prior, confidence = find_prior(SgbmEngine(), *pair, 64)

    known = confidence > 0
    assert known.mean() > 0.8
    assert not known.all()
    assert np.median(prior[known]) == pytest.approx(26.0, abs=0.1)
    # A guess is what is known beside it.
    assert np.median(prior[~known]) == pytest.approx(26.0, abs=1)


def test_engine_tells_the_network_what_the_matcher_finds(tmp_path, pair):
    network = OnnxRuntimeEngine(save(tmp_path / "net.onnx", pair))

    engine = GuidedEngine(network, SgbmEngine())

    assert isinstance(engine, Engine)
    assert_array_equal(engine.infer(*pair), expected(pair))


def test_search_range_of_the_network_bounds_the_prior(tmp_path, pair):
    graph = save(tmp_path / "net.onnx", pair, {**NAMES_IT, "max_disparity": "20"})
    engine = GuidedEngine(OnnxRuntimeEngine(graph), SgbmEngine())

    disparity, confidence = engine.infer(*pair)

    assert_array_equal((disparity, confidence), expected(pair, 20))
    assert np.median(disparity - pair[0][..., 0] / np.float32(4)) == 0


def test_closing_closes_both_and_twice_is_harmless(tmp_path, pair):
    closed = []

    class Closing(EncodedEngine):
        def close(self):
            closed.append(self)

    matcher = Closing()
    network = OnnxRuntimeEngine(save(tmp_path / "net.onnx", pair))
    engine = GuidedEngine(network, matcher)

    engine.close()
    engine.close()

    assert closed[0] is matcher
    with pytest.raises(EngineError, match="encoded"):
        network.infer(*pair)


def models(tmp_path, pair):
    save(tmp_path / "net.onnx", pair)
    return {
        "path": str(tmp_path / "net.onnx"),
        "card": write_card(tmp_path, "{engine: onnx, file: net.onnx, prior: sgbm}"),
    }


@pytest.mark.parametrize("way", ["path", "card"])
def test_model_that_asks_for_it_is_told(tmp_path, pair, way):
    engine = open_engine(models(tmp_path, pair)[way])

    assert_array_equal(engine.infer(*pair), expected(pair))
    assert ", prior: OpenCV" in str(engine.spec.provenance)
    assert "StereoSGBM, mode 3way; the first choice" in str(engine.spec.provenance)
    assert (engine.spec.backend, engine.spec.device) == ("onnxruntime", "CPU")
    assert (engine.spec.width, engine.spec.max_disparity) == (pair[0].shape[1], 64.0)


def test_card_decides_against_the_metadata_of_its_graph(tmp_path, pair):
    save(tmp_path / "net.onnx", pair)
    save(tmp_path / "mute.onnx", pair, METADATA)

    plain = open_engine(write_card(tmp_path, "{engine: onnx, file: net.onnx}"))
    told = open_engine(write_card(tmp_path, "{engine: onnx, file: mute.onnx, prior: sgbm}"))

    assert_array_equal(plain.infer(*pair), EncodedEngine().infer(*pair))
    assert "; without the prior that it may take; " in str(plain.spec.provenance)
    assert_array_equal(told.infer(*pair), expected(pair))


def test_bare_graph_that_names_no_prior_runs_without(tmp_path, pair):
    engine = open_engine(str(save(tmp_path / "mute.onnx", pair, METADATA)))

    assert_array_equal(engine.infer(*pair), EncodedEngine().infer(*pair))
    assert "; without the prior that it may take; " in str(engine.spec.provenance)


def test_graph_without_inputs_for_a_prior_says_nothing_of_one(tmp_path, pair):
    engine = open_engine(str(save(tmp_path / "net.onnx", pair, METADATA, prior=())))

    assert "prior" not in str(engine.spec.provenance).replace(str(tmp_path), "")


def test_card_that_asks_a_graph_without_inputs_for_it_is_refused(tmp_path, pair):
    save(tmp_path / "net.onnx", pair, METADATA, prior=())
    card = write_card(tmp_path, "{engine: onnx, file: net.onnx, prior: sgbm}")

    with pytest.raises(EngineError, match=r"net\.onnx: has no inputs prior and .* 'prior: sgbm'"):
        open_engine(card)


def test_card_of_sgbm_itself_takes_no_prior(tmp_path):
    with pytest.raises(EngineError, match="asks for a prior, which only graphs take"):
        open_engine(write_card(tmp_path, "{engine: sgbm, prior: sgbm}"))


def test_unknown_prior_of_a_card_or_a_graph_lists_the_known(tmp_path, pair):
    graph = save(tmp_path / "net.onnx", pair, {**METADATA, "prior": "magic"})

    with pytest.raises(ModelError, match="prior is 'magic'; known are sgbm"):
        open_engine(write_card(tmp_path, "{engine: onnx, file: net.onnx, prior: magic}"))
    with pytest.raises(EngineError, match=r"net\.onnx: its metadata names the prior 'magic'"):
        open_engine(str(graph))


def test_search_range_is_still_that_of_the_graph(tmp_path, pair):
    with pytest.raises(EngineError, match="fixed when it is exported"):
        open_engine(models(tmp_path, pair)["card"], context=Context(max_disparity=96))


def test_size_of_a_guided_graph_is_checked(tmp_path, pair):
    with pytest.raises(EngineError, match="takes 240 x 180 images, not 640 x 480"):
        open_engine(models(tmp_path, pair)["card"], height=480, width=640)


def test_swap_takes_it_and_closes_it(tmp_path, pair):
    engine, swappable = open_engine(models(tmp_path, pair)["card"]), SwappableEngine()
    swappable.swap(engine)

    assert_array_equal(swappable.infer(*pair), expected(pair))
    swappable.close()
    with pytest.raises(EngineError, match="encoded"):
        engine.infer(*pair)


def test_mirrored_second_inference_has_a_prior_of_its_own(tmp_path, wall):
    """Red is 0, so that the graph answers with its prior: the wall, which both views agree on."""
    left, right = (view * np.uint8([0, 1, 1]) for view in (wall.pair.left, wall.pair.right))
    engine = open_engine(models(tmp_path, (left, right))["card"])
    pipeline = StereoPipeline(engine, Settings(lr_check=True, confidence_threshold=0.0))

    result = pipeline.process(left, right, wall.camera, {Output.DISPARITY})

    # The 26 columns that the right view does not show have no partner.
    known = result.match.valid
    assert known[:, 40:-40].mean() > 0.8
    assert np.median(result.match.disparity[known]) == pytest.approx(26.0, abs=0.1)
