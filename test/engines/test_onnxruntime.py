import numpy as np
import onnx
import onnxruntime
import pytest
from fakes import METADATA, EncodedEngine, save_graph
from numpy.testing import assert_array_equal

from stereo_depth_ros.engines import Engine, EngineError
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.graph_contract import AnySize


def pair(width=16, height=12):
    return np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)


@pytest.fixture
def graph(tmp_path):
    return save_graph(tmp_path / "net.onnx")


def test_answers_are_those_of_the_graph(graph):
    left, right = pair()

    disparity, confidence = OnnxRuntimeEngine(graph).infer(left, right)

    expected_disparity, expected_confidence = EncodedEngine().infer(left, right)
    assert disparity.dtype == confidence.dtype == np.float32
    assert_array_equal(disparity, expected_disparity)
    assert_array_equal(confidence, expected_confidence)


def test_mirrored_views_are_matched(graph):
    left, right = pair()

    disparity, _ = OnnxRuntimeEngine(graph).infer(left[:, ::-1], right[:, ::-1])

    assert_array_equal(disparity, left[:, ::-1, 0] / np.float32(4))


def test_spec_comes_from_the_graph(graph):
    engine = OnnxRuntimeEngine(graph)

    spec = engine.spec
    assert isinstance(engine, Engine)
    assert (spec.name, spec.backend, spec.width, spec.height) == ("encoded", "onnxruntime", 16, 12)
    assert (spec.max_disparity, spec.precision, spec.device) == (64.0, "fp32", "CPU")
    assert str(spec.provenance).startswith(f"{graph}, ONNX Runtime ")


def test_precision_is_fp32_where_the_graph_says_nothing(tmp_path):
    metadata = {k: v for k, v in METADATA.items() if k != "precision"}

    engine = OnnxRuntimeEngine(save_graph(tmp_path / "net.onnx", metadata=metadata))

    assert engine.spec.precision == "fp32"


@pytest.mark.parametrize("provider", ["cpu", "CPU", "CPUExecutionProvider"])
def test_provider_may_be_named_short_or_in_full(graph, provider):
    assert OnnxRuntimeEngine(graph, [provider], threads=1).spec.device == "CPU"


def test_options_of_a_provider_reach_it(graph, monkeypatch):
    import onnxruntime

    chosen = []
    session = onnxruntime.InferenceSession

    def record(path, options, providers):
        chosen.extend(providers)
        return session(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    OnnxRuntimeEngine(graph, ["cpu:device_id=1:arena=kSame", "cpu"])

    options = {"device_id": "1", "arena": "kSame"}
    assert chosen == [("CPUExecutionProvider", options), ("CPUExecutionProvider", {})]


@pytest.mark.parametrize("provider", ["cpu:device_id", "cpu:=1", "cpu:device_id="])
def test_option_of_a_provider_that_is_none_is_refused(graph, provider):
    with pytest.raises(EngineError, match=f"'{provider}' is not NAME:KEY=VALUE, such as cuda:"):
        OnnxRuntimeEngine(graph, [provider])


def test_unknown_provider_lists_the_available_ones(graph):
    with pytest.raises(EngineError, match=r"provider 'cude' is not in .* available: .*\bcpu\b"):
        OnnxRuntimeEngine(graph, ["cude"])


@pytest.mark.parametrize(
    ("breach", "message"),
    [
        ({"inputs": ("image_left", "right")}, "inputs are image_left, right"),
        ({"image_shape": (1, "height", 16, 3)}, "input left has shape .*height"),
        ({"image_shape": ("batch", 12, 16, 3)}, "input left has shape .*batch"),
        ({"image_shape": (2, 12, 16, 3)}, r"input left has shape \[2, 12, 16, 3\]"),
        ({"image_shape": (1, 12, 16, 4)}, r"input left has shape \[1, 12, 16, 4\]"),
        ({"image_type": "FLOAT"}, r"left is tensor\(float\)"),
        ({"outputs": ("disparity", "certainty")}, "outputs are certainty, disparity"),
        ({"outputs": ("depth", "confidence")}, "outputs are confidence, depth"),
        ({"output_type": "DOUBLE"}, r"disparity is tensor\(double\)"),
        ({"output_type": "FLOAT16"}, r"disparity is tensor\(float16\)"),
        ({"trailing_axis": True}, r"disparity is tensor\(float\) \[1, 12, 16, 1\]"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_breach_of_the_graph_contract_is_named(tmp_path, breach, message):
    graph = save_graph(tmp_path / "net.onnx", **breach)

    with pytest.raises(EngineError, match=rf"net\.onnx: breaks the graph contract: {message}"):
        OnnxRuntimeEngine(graph)


PRIOR = ("prior", "prior_confidence")


def told(value, shape=(12, 16)):
    return np.random.default_rng(1).random(shape, np.float32) * np.float32(value)


def test_prior_reaches_the_graph_and_does_not_stay(tmp_path):
    engine = OnnxRuntimeEngine(save_graph(tmp_path / "net.onnx", prior=PRIOR))
    left, right = pair()
    plain, doubt = EncodedEngine().infer(left, right)
    prior, sure = told(50), told(1)

    disparity, confidence = engine.infer_with_prior(left, right, prior, sure)

    assert engine.takes_prior
    assert_array_equal(disparity, plain + prior)
    assert_array_equal(confidence, np.maximum(doubt, sure))
    assert_array_equal(engine.infer(left, right), (plain, doubt))


def test_prior_of_any_strides_is_taken(tmp_path):
    engine = OnnxRuntimeEngine(save_graph(tmp_path / "net.onnx", prior=PRIOR))
    blank, prior = np.zeros((12, 16, 3), np.uint8), told(50)

    disparity, _ = engine.infer_with_prior(blank, blank, prior[:, ::-1], told(1)[:, ::-1])

    assert_array_equal(disparity, prior[:, ::-1])


def test_graph_without_a_prior_takes_none(graph):
    engine = OnnxRuntimeEngine(graph)

    assert not engine.takes_prior
    with pytest.raises(EngineError, match=r"encoded: ONNX Runtime failed: .*prior"):
        engine.infer_with_prior(*pair(), told(50), told(1))


def test_prior_of_another_size_is_an_error(tmp_path):
    engine = OnnxRuntimeEngine(save_graph(tmp_path / "net.onnx", prior=PRIOR))

    with pytest.raises(EngineError, match=r"encoded: ONNX Runtime failed: .*prior"):
        engine.infer_with_prior(*pair(), told(50, (12, 8)), told(1))


@pytest.mark.parametrize(
    ("breach", "message"),
    [
        ({"prior": PRIOR[:1]}, "inputs are left, prior, right.* both or none of prior, prior_con"),
        ({"prior": PRIOR[1:]}, "inputs are left, prior_confidence, right"),
        ({"prior": (*PRIOR, "hint")}, "inputs are hint, left"),
        ({"prior": PRIOR, "prior_type": "FLOAT16"}, r"prior is tensor\(float16\)"),
        ({"prior": PRIOR, "prior_shape": (1, 12, 1)}, r"prior is tensor\(float\) \[1, 12, 1\]"),
    ],
    ids=["no_confidence", "no_disparity", "another", "half", "width"],
)
def test_breach_of_the_graph_contract_by_a_prior_is_named(tmp_path, breach, message):
    graph = save_graph(tmp_path / "net.onnx", **breach)

    with pytest.raises(EngineError, match=rf"net\.onnx: breaks the graph contract: {message}"):
        OnnxRuntimeEngine(graph)


@pytest.mark.parametrize("key", ["network", "max_disparity"])
def test_missing_metadata_is_named(tmp_path, key):
    metadata = {k: v for k, v in METADATA.items() if k != key}
    graph = save_graph(tmp_path / "net.onnx", metadata=metadata)

    with pytest.raises(EngineError, match=f"metadata '{key}' is missing"):
        OnnxRuntimeEngine(graph)


def test_max_disparity_that_is_no_number_is_named(tmp_path):
    graph = save_graph(tmp_path / "net.onnx", metadata={**METADATA, "max_disparity": "wide"})

    with pytest.raises(EngineError, match="max_disparity"):
        OnnxRuntimeEngine(graph)


SIZES = AnySize((12, 16), (2, 8), 4)


def save_any_size(path, metadata=METADATA, **settings):
    metadata = {**metadata, **SIZES.as_metadata()}
    return save_graph(path, image_shape=(1, "H", "W", 3), metadata=metadata, **settings)


def test_graph_for_any_size_matches_pairs_of_all_of_them(tmp_path):
    graph = save_any_size(tmp_path / "net.onnx", prior=PRIOR, prior_shape=(1, "H", "W"))

    engine = OnnxRuntimeEngine(graph)

    spec = engine.spec
    assert (spec.height, spec.width, spec.sizes) == (None, None, SIZES)
    for height, width in (SIZES.size, (7, 9), (7, 9), (30, 40), (2, 8)):
        left, right = pair(width, height)
        red = left[..., 0] / np.float32(4)
        assert_array_equal(engine.infer(left, right)[0], red)
        prior = np.full((height, width), 3, np.float32)
        assert_array_equal(engine.infer_with_prior(left, right, prior, prior)[0], red + 3)


@pytest.mark.parametrize(
    ("size", "ready"), [(None, [[12, 16]]), ((7, 9), [[7, 9]]), ((7, 3), [[7, 3], [7, 8]])]
)
def test_graph_for_any_size_is_made_ready_for_the_one_that_is_expected(tmp_path, size, ready):
    loaded = []

    class Noting(onnxruntime.InferenceSession):
        def __init__(self, *arguments, **settings):
            super().__init__(*arguments, **settings)
            loaded.append(self.get_inputs()[0].shape[1:3])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnxruntime, "InferenceSession", Noting)
        OnnxRuntimeEngine(save_any_size(tmp_path / "net.onnx"), size=size)

    # Unasked, the metadata has to be read first.
    assert loaded == ([["H", "W"]] if size is None else []) + ready


def test_pair_below_the_smallest_size_is_named_and_the_next_is_matched(tmp_path):
    engine = OnnxRuntimeEngine(save_any_size(tmp_path / "net.onnx"))

    with pytest.raises(EngineError, match=r"takes images from 2x8 px \(HxW\) on, not 12x7"):
        engine.infer(*pair(7, 12))
    left, right = pair(16, 12)
    assert_array_equal(engine.infer(left, right)[0], left[..., 0] / np.float32(4))


def test_graph_for_any_size_whose_metadata_is_damaged_is_named(tmp_path):
    graph = save_any_size(tmp_path / "net.onnx", {**METADATA})
    model = onnx.load(str(graph))
    model.metadata_props[-1].value = "some"
    onnx.save(model, str(graph))

    with pytest.raises(EngineError, match=r"net\.onnx: metadata 'multiple' is 'some'"):
        OnnxRuntimeEngine(graph)


def test_static_graph_keeps_its_size_whatever_is_asked_for(graph):
    engine = OnnxRuntimeEngine(graph, size=(7, 9))

    assert (engine.spec.height, engine.spec.width) == (12, 16)


def test_search_along_the_whole_row_is_as_wide_as_the_images(tmp_path):
    graph = save_any_size(tmp_path / "net.onnx", {**METADATA, "max_disparity": "0"})

    assert OnnxRuntimeEngine(graph, size=(12, 40)).spec.max_disparity == 40.0


def test_file_that_is_no_graph_is_named(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"no graph at all")

    with pytest.raises(EngineError, match=r"net\.onnx: ONNX Runtime .* cannot load this graph"):
        OnnxRuntimeEngine(path)


def test_truncated_graph_is_named(tmp_path, graph):
    path = tmp_path / "half.onnx"
    path.write_bytes(graph.read_bytes()[: graph.stat().st_size // 2])

    with pytest.raises(EngineError, match=r"half\.onnx"):
        OnnxRuntimeEngine(path)


def test_engine_stays_usable_after_a_pair_of_the_wrong_size(graph):
    engine = OnnxRuntimeEngine(graph)
    left, right = pair()

    with pytest.raises(EngineError, match="encoded: ONNX Runtime failed"):
        engine.infer(*pair(20, 12))
    disparity, _ = engine.infer(left, right)

    assert_array_equal(disparity, left[..., 0] / np.float32(4))


def test_closed_engine_answers_no_more(graph):
    engine = OnnxRuntimeEngine(graph)

    engine.close()
    engine.close()

    with pytest.raises(EngineError, match="encoded"):
        engine.infer(*pair())
