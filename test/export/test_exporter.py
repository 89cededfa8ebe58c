import hashlib

import numpy as np
import onnx
import pytest
import torch
from generator import stereo_pair
from tiny_network import TinyNetwork
from weights import load_filled

from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.export import GraphError, export_onnx
from stereo_depth_ros.export.agreement import measure_agreement
from stereo_depth_ros.graph_contract import AnySize
from stereo_depth_ros.networks import StereoOutput


@pytest.fixture
def network():
    return load_filled(TinyNetwork())


def metadata(path):
    return {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}


@pytest.mark.parametrize("size", [(96, 160), (93, 157)], ids=["multiple", "odd"])
def test_graph_agrees_with_pytorch(network, tmp_path, size):
    path = export_onnx(network, *size, tmp_path / "net.onnx")

    assert measure_agreement(network, path, *stereo_pair(*size)).worst < 1e-4


@pytest.mark.parametrize("size", [(96, 160), (93, 157), (130, 250), (8, 32)])
@pytest.mark.parametrize("made_for", [(96, 160), (61, 99)], ids=["multiple", "odd"])
def test_graph_for_any_size_agrees_with_pytorch(network, tmp_path, made_for, size):
    path = export_onnx(network, *made_for, tmp_path / "net.onnx", any_size=True)

    assert measure_agreement(network, path, *stereo_pair(*size)).worst < 1e-4


def test_graph_for_any_size_has_the_symbols_of_the_contract_and_says_which_it_takes(
    network, tmp_path
):
    network.max_disparity = 0
    path = export_onnx(network, 96, 160, tmp_path / "net.onnx", any_size=True)

    model = onnx.load(str(path))
    shapes = {
        value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "left": [1, "H", "W", 3],
        "right": [1, "H", "W", 3],
        "disparity": [1, "H", "W"],
        "confidence": [1, "H", "W"],
    }
    assert AnySize.read(metadata(path)) == AnySize((96, 160), (8, 32), 8)
    # The whole row, however long.
    assert metadata(path)["max_disparity"] == "0"


def test_network_for_one_size_is_not_exported_for_any(network, tmp_path):
    network.any_size = False

    with pytest.raises(InputError, match="tiny is exported for one size at a time; name it, HxW"):
        export_onnx(network, 96, 160, tmp_path / "net.onnx", any_size=True)

    assert list(tmp_path.iterdir()) == []


def test_graph_takes_red_first(network, tmp_path):
    engine = OnnxRuntimeEngine(export_onnx(network, 96, 160, tmp_path / "net.onnx"))
    left, right = (image * np.uint8([1, 0, 1]) for image in stereo_pair(96, 160))
    tensors = [torch.from_numpy(i).permute(2, 0, 1)[None].float() for i in (left, right)]

    disparity, confidence = engine.infer(left, right)

    with torch.no_grad():
        expected = network(*tensors)
    np.testing.assert_allclose(disparity, expected.disparity[0, 0], atol=1e-4)
    np.testing.assert_allclose(confidence, expected.confidence[0, 0], atol=1e-4)


def test_graph_is_of_opset_17_and_standard_operators_in_one_file(network, tmp_path):
    path = export_onnx(network, 32, 64, tmp_path / "net.onnx")

    model = onnx.load(str(path))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert list(tmp_path.iterdir()) == [path]


def test_norms_and_constants_are_folded(network, tmp_path):
    model = onnx.load(str(export_onnx(network, 30, 62, tmp_path / "net.onnx")))

    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"BatchNormalization", "Constant", "Shape", "Identity", "ConstantOfShape"}


def test_metadata_says_what_the_graph_is(network, tmp_path):
    path = export_onnx(
        network, 32, 64, tmp_path / "net.onnx", metadata={"licence": "MIT", "commercial": "true"}
    )

    found = metadata(path)
    assert (found["network"], found["variant"], found["iterations"]) == ("tiny", "only", "0")
    assert (found["max_disparity"], found["precision"]) == ("32", "fp32")
    assert (found["licence"], found["commercial"]) == ("MIT", "true")
    assert found["producer"].startswith("stereo_depth_ros")


def test_nothing_is_called_free_for_commerce_unasked(network, tmp_path):
    assert metadata(export_onnx(network, 32, 64, tmp_path / "net.onnx"))["commercial"] == "false"


def test_digest_follows_the_weights(network, tmp_path):
    def digest():
        return metadata(export_onnx(network, 32, 64, tmp_path / "net.onnx"))["weights_sha256"]

    before, again = digest(), digest()
    with torch.no_grad():
        network.aggregate[0].bias[0] += 1

    assert before == again != digest()
    assert len(before) == len(hashlib.sha256().hexdigest())


def test_search_along_the_whole_row_is_as_wide_as_the_image(network, tmp_path):
    network.max_disparity = 0

    path = export_onnx(network, 32, 64, tmp_path / "net.onnx")

    assert metadata(path)["max_disparity"] == "64"


def test_network_in_training_is_left_as_it_is(tmp_path):
    network = TinyNetwork().train()
    network.features[1].eval()
    modes = [module.training for module in network.modules()]
    state = {key: value.clone() for key, value in network.state_dict().items()}

    export_onnx(network, 32, 64, tmp_path / "net.onnx")

    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


class Whichever(TinyNetwork):
    """Answers with a sum over what exceeds a level, of a shape that only the data tells."""

    def match(self, left, right):
        output = super().match(left, right)
        extra = left[left > 128].sum() * 0
        return StereoOutput(output.disparity + extra, output.confidence)


def test_refused_graph_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")

    with pytest.raises(GraphError, match="NonZero"):
        export_onnx(Whichever(), 32, 64, path)

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_precision_is_named(network, tmp_path):
    with pytest.raises(ValueError, match="precision 'int4' is not one of fp32, mixed"):
        export_onnx(network, 32, 64, tmp_path / "net.onnx", precision="int4")
