import numpy as np
import onnx
import pytest
from fakes import save_graph
from onnx import helper, numpy_helper
from stand_ins import METADATA, save

from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.tensorrt.graph import counterpart, read_graph
from stereo_depth_ros.graph_contract import AnySize


@pytest.fixture
def graph(tmp_path):
    return save(tmp_path / "net.onnx")


def test_file_is_read_as_the_onnx_package_reads_it(graph):
    model = onnx.load(str(graph))

    found = read_graph(graph)

    assert found.opset == model.opset_import[0].version == 17
    assert found.metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert found.operators == {node.op_type for node in model.graph.node}
    assert (found.height, found.width) == (48, 64)
    assert found.precision == "fp32"


def test_opset_of_another_domain_is_not_taken_for_that_of_onnx(graph):
    model = onnx.load(str(graph))
    model.opset_import.append(helper.make_opsetid("com.example", 99))
    onnx.save(model, str(graph))

    assert read_graph(graph).opset == 17


@pytest.mark.parametrize(
    "breach",
    [
        {"inputs": ("image_left", "right")},
        {"image_shape": (1, "height", 16, 3)},
        {"image_shape": (2, 12, 16, 3)},
        {"image_shape": (1, 12, 16, 4)},
        {"image_type": "FLOAT"},
        {"outputs": ("depth", "confidence")},
        {"output_type": "FLOAT16"},
        {"trailing_axis": True},
    ],
    ids=lambda breach: "-".join(map(str, breach.values())),
)
def test_breach_of_the_graph_contract_is_refused(tmp_path, breach):
    path = save_graph(tmp_path / "net.onnx", metadata=METADATA, **breach)

    with pytest.raises(EngineError, match=r"net\.onnx: breaks the graph contract"):
        read_graph(path)


SIZES = AnySize((48, 64), (1, 32), 16)


def any_size(path, metadata, shape=(1, "H", "W", 3)):
    return save_graph(path, image_shape=shape, metadata={**METADATA, **metadata})


def test_graph_for_any_size_says_which(tmp_path, graph):
    found = read_graph(any_size(tmp_path / "any.onnx", SIZES.as_metadata()))

    assert (found.height, found.width, found.sizes) == (48, 64, SIZES)
    assert read_graph(graph).sizes is None
    # A reference of one serves the other.
    assert found.identity == read_graph(graph).identity


def test_graph_for_any_size_that_does_not_say_which_is_refused(tmp_path):
    with pytest.raises(EngineError, match=r"any\.onnx: metadata 'size' is missing; export"):
        read_graph(any_size(tmp_path / "any.onnx", {}))


@pytest.mark.parametrize("shape", [(1, "H", 64, 3), (1, "W", "H", 3)])
def test_symbol_at_another_place_is_refused(tmp_path, shape):
    with pytest.raises(EngineError, match="breaks the graph contract"):
        read_graph(any_size(tmp_path / "any.onnx", SIZES.as_metadata(), shape))


PRIOR = ("prior", "prior_confidence")


def test_graph_says_whether_it_takes_a_prior(tmp_path, graph):
    assert not read_graph(graph).takes_prior
    assert read_graph(save(tmp_path / "guided.onnx", prior=PRIOR)).takes_prior


@pytest.mark.parametrize(
    "breach",
    [
        {"prior": PRIOR[:1]},
        {"prior": PRIOR[1:]},
        {"prior": (*PRIOR, "hint")},
        {"prior": PRIOR, "prior_type": "FLOAT16"},
        {"prior": PRIOR, "prior_shape": (1, 12, 1)},
    ],
    ids=["no_confidence", "no_disparity", "another", "half", "width"],
)
def test_breach_of_the_graph_contract_by_a_prior_is_refused(tmp_path, breach):
    path = save_graph(tmp_path / "net.onnx", metadata=METADATA, **breach)

    with pytest.raises(EngineError, match=r"breaks the graph contract: .* both or none of"):
        read_graph(path)


@pytest.mark.parametrize("key", ["network", "max_disparity"])
def test_missing_metadata_is_named(tmp_path, key):
    metadata = {k: v for k, v in METADATA.items() if k != key}
    path = save_graph(tmp_path / "net.onnx", metadata=metadata)

    with pytest.raises(EngineError, match=f"metadata '{key}' is missing"):
        read_graph(path)


def with_node(path, operator, opset=17, **attributes):
    """Add a node whose output nobody reads; it need not make sense."""
    model = onnx.load(str(path))
    model.graph.node.append(helper.make_node(operator, ["left"], ["unread"], **attributes))
    model.opset_import[0].version = opset
    onnx.save(model, str(path))
    return path


def test_sampling_that_tensorrt_gets_wrong_without_a_word_is_refused(graph):
    with_node(graph, "GridSample", opset=20)

    with pytest.raises(EngineError, match=r"opset 20, whose GridSample .* nearest"):
        read_graph(graph)


@pytest.mark.parametrize("opset", [16, 17, 18])
def test_sampling_by_its_old_names_is_taken(graph, opset):
    assert "GridSample" in read_graph(with_node(graph, "GridSample", opset=opset)).operators


@pytest.mark.parametrize("operator", ["Loop", "If", "NonZero"])
def test_operator_that_no_cuda_graph_captures_is_named(graph, operator):
    with pytest.raises(EngineError, match=f"operator {operator} "):
        read_graph(with_node(graph, operator))


def test_plugin_is_refused(graph):
    with pytest.raises(EngineError, match=r"FFSGWCVolume is of domain 'com\.example'"):
        read_graph(with_node(graph, "FFSGWCVolume", domain="com.example"))


def test_weights_in_another_file_are_refused(tmp_path, graph):
    model = onnx.load(str(graph))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1024), "big"))
    path = tmp_path / "split.onnx"
    onnx.save(
        model, str(path), save_as_external_data=True, location="split.data", size_threshold=100
    )

    with pytest.raises(EngineError, match="weights lie in another file"):
        read_graph(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_file_that_is_cut_short_is_refused(graph, share):
    content = graph.read_bytes()
    graph.write_bytes(content[: int(share * len(content))])

    with pytest.raises(EngineError, match=r"net\.onnx: "):
        read_graph(graph)


@pytest.mark.parametrize("content", [b"", b"no graph at all", bytes(range(256))])
def test_file_that_is_no_graph_is_refused(tmp_path, content):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)

    with pytest.raises(EngineError, match=r"net\.onnx"):
        read_graph(path)


def test_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(EngineError, match=r"absent\.onnx: cannot be read: No such file"):
        read_graph(tmp_path / "absent.onnx")


def test_graph_is_its_own_counterpart_in_its_precision(graph):
    assert counterpart(read_graph(graph), "fp32").path == graph
    assert counterpart(read_graph(graph), "mixed") is None


def test_counterparts_find_each_other_by_their_names(tmp_path, graph):
    mixed = save(tmp_path / "net.mixed.onnx")

    assert counterpart(read_graph(graph), "mixed").path == mixed
    assert counterpart(read_graph(mixed), "fp32").path == graph


@pytest.mark.parametrize(
    "change",
    [
        {"weights_sha256": "another"},
        {"variant": "large"},
        {"max_disparity": "128"},
        {"precision": "fp32"},
        {"width": 96},
    ],
    ids=lambda change: next(iter(change)),
)
def test_file_of_the_name_but_of_something_else_is_no_counterpart(tmp_path, graph, change):
    save(tmp_path / "net.mixed.onnx", **change)

    assert counterpart(read_graph(graph), "mixed") is None


def test_random_weights_have_no_counterpart_as_every_export_draws_others(tmp_path):
    graph = save(tmp_path / "net.onnx", weights_sha256="random")
    save(tmp_path / "net.mixed.onnx", weights_sha256="random")

    assert counterpart(read_graph(graph), "mixed") is None


def test_hash_is_that_of_the_file(graph):
    import hashlib

    assert read_graph(graph).sha256 == hashlib.sha256(graph.read_bytes()).hexdigest()
