import json

import onnx
import pytest

from stereo_depth_ros.checkpoints import WeightsInfo, save_weights
from stereo_depth_ros.cli import main as cli
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.self_test import (
    load_reference,
    reference_beside,
    run_self_test,
)
from stereo_depth_ros.export import agreement
from stereo_depth_ros.networks import create_network

SIZE = ["--size", "64x96"]


def metadata(path):
    return {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}


@pytest.fixture
def weights(tmp_path):
    """Weights of the small network as an import or a training leaves them."""
    network = create_network("lite", max_disparity=96)
    info = WeightsInfo(
        "lite", network.variant, {"max_disparity": 96}, "CC-BY-NC-4.0", False, "lite.pth", "abc123"
    )
    save_weights(tmp_path / "lite.safetensors", network.state_dict(), info)
    return str(tmp_path / "lite.safetensors")


def test_exported_weights_carry_their_terms_and_agree_with_pytorch(weights, tmp_path, capsys):
    path = tmp_path / "out" / "lite.onnx"

    status = cli.main(["export", "lite", "--weights", weights, *SIZE, "-o", str(path)])

    text = capsys.readouterr().out
    assert status == 0
    assert "NOT FOR COMMERCIAL USE" in text
    assert f"written to {path}" in text
    assert float(text.split("pixels within ")[1].split()[0]) < 1e-3
    found = metadata(path)
    assert (found["licence"], found["commercial"]) == ("CC-BY-NC-4.0", "false")
    assert (found["weights_sha256"], found["max_disparity"]) == ("abc123", "96")


def test_graph_that_answers_otherwise_is_not_kept_and_the_old_one_stays(
    weights, tmp_path, capsys, monkeypatch
):
    path = tmp_path / "lite.onnx"
    path.write_bytes(b"an older graph")
    right = agreement.outputs_of

    def one_px_off(*arguments):
        outputs = right(*arguments)
        return outputs._replace(disparity=outputs.disparity + 1)

    monkeypatch.setattr(agreement, "outputs_of", one_px_off)

    status = cli.main(["export", "lite", "--weights", weights, *SIZE, "-o", str(path)])

    assert status == 1
    assert "answers otherwise than PyTorch (median 1 px" in capsys.readouterr().err
    assert path.read_bytes() == b"an older graph"
    assert {file.name for file in tmp_path.iterdir()} == {"lite.onnx", "lite.safetensors"}


def test_both_precisions_share_the_reference_that_engines_prove_themselves_on(weights, tmp_path):
    graphs = {"fp32": tmp_path / "lite.onnx", "mixed": tmp_path / "lite.mixed.onnx"}
    for precision, path in graphs.items():
        arguments = ["--weights", weights, "--precision", precision, "-o", str(path)]
        assert cli.main(["export", "lite", *SIZE, *arguments]) == 0

    kept = [read_graph(path) for path in graphs.values()]
    found = [load_reference(reference_beside(graph), graph) for graph in kept]

    assert reference_beside(kept[0]) == reference_beside(kept[1])
    for reference in found:
        assert reference.source == "PyTorch in float32"
        engine = OnnxRuntimeEngine(graphs["fp32"])
        assert run_self_test(engine, reference).mae < 1e-3
        engine.close()


def test_search_range_can_be_changed(weights, tmp_path):
    path = tmp_path / "lite.onnx"
    arguments = ["--weights", weights, "--max-disparity", "64", "-o", str(path)]

    assert cli.main(["export", "lite", *SIZE, *arguments]) == 0

    assert metadata(path)["max_disparity"] == "64"


def test_random_weights_say_that_they_are(tmp_path, capsys):
    path = tmp_path / "lite.onnx"
    arguments = ["--random-weights", "--precision", "mixed", "-o", str(path)]

    assert cli.main(["export", "lite", *SIZE, *arguments]) == 0

    assert "NOT FOR COMMERCIAL USE" not in capsys.readouterr().out
    found = metadata(path)
    assert (found["weights_sha256"], found["precision"]) == ("random", "mixed")


def test_graph_runs_with_the_run_verb(tmp_path, wall, capsys):
    import cv2

    for name, image in (("left.png", wall.pair.left), ("right.png", wall.pair.right)):
        cv2.imwrite(str(tmp_path / name), image)
    files = [str(tmp_path / name) for name in ("left.png", "right.png", "lite.onnx", "out")]
    size = "x".join(str(n) for n in wall.pair.left.shape[:2])

    cli.main(["export", "lite", "--random-weights", "--size", size, "-o", files[2]])
    status = cli.main(["run", *files[:2], "--model", files[2], "-o", files[3]])

    assert status == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["s2m2", "--weights", "{weights}"], "holds lite, not s2m2"),
        (["lite", "--weights", "{weights}", "--variant", "huge"], "not huge"),
        (["lite", "--random-weights", "--variant", "huge"], "has no variant 'huge'"),
        (["lite", "--random-weights", "--iterations", "4"], "iterations"),
        (["light", "--random-weights"], "network 'light' is not known"),
        (["lite", "--weights", "absent.safetensors"], "absent.safetensors"),
    ],
    ids=lambda value: None if isinstance(value, str) else json.dumps(value[1:]),
)
def test_wish_that_cannot_be_met_is_one_line(weights, tmp_path, capsys, arguments, message):
    path = tmp_path / "lite.onnx"
    arguments = [argument.format(weights=weights) for argument in arguments]

    status = cli.main(["export", *arguments, *SIZE, "-o", str(path)])

    error = capsys.readouterr().err
    assert status == 1
    assert message in error
    assert error.count("\n") == 1
    assert not path.exists()


@pytest.mark.parametrize("size", ["480", "0x640", "480*640"])
def test_size_that_is_none_is_a_usage_error(size, capsys):
    with pytest.raises(SystemExit):
        cli.main(["export", "lite", "--random-weights", "--size", size, "-o", "x.onnx"])

    assert "HxW" in capsys.readouterr().err


def test_network_whose_weights_do_not_come_with_the_package_says_where_to_get_them(
    tmp_path, capsys
):
    status = cli.main(["export", "s2m2", *SIZE, "-o", str(tmp_path / "net.onnx")])

    assert status == 1
    assert "give --weights FILE ('stereo-depth models'" in capsys.readouterr().err
