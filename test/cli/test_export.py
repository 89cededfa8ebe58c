import json

import cv2
import onnx
import pytest
import torch

from stereo_depth_ros import export
from stereo_depth_ros.artifact import find_artifact, locate_reference
from stereo_depth_ros.checkpoints import WeightsInfo, save_weights
from stereo_depth_ros.cli import main as cli
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.self_test import load_reference
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.export.agreement import Agreement
from stereo_depth_ros.export.publication import Publication
from stereo_depth_ros.networks import create_network

SIZE = ["--size", "64x96"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of the small network as an import or a training leaves them."""
    path = tmp_path_factory.mktemp("weights") / "lite.safetensors"
    torch.manual_seed(0)  # some weights choose between equals by the last bit
    network = create_network("lite", max_disparity=96)
    info = WeightsInfo(
        "lite", network.variant, {"max_disparity": 96}, "CC-BY-NC-4.0", False, "lite.pth", "abc123"
    )
    save_weights(path, network.state_dict(), info)
    return str(path)


@pytest.fixture
def published(monkeypatch):
    """What the verb hands on to `export.publish`, which here writes a few bytes."""
    calls = []

    def publish(network, height, width, path, **settings):
        calls.append({"network": network, "size": (height, width), "path": path, **settings})
        path.write_bytes(b"graph")
        agreements = dict.fromkeys(settings["precisions"], Agreement(0.01, 0.02, 0.003))
        return Publication(find_artifact(str(path)), agreements)

    monkeypatch.setattr(export, "publish", publish)
    return calls


def test_exported_weights_carry_their_terms_agree_with_pytorch_and_run(
    weights, tmp_path, wall, capsys
):
    for name, image in (("left.png", wall.pair.left), ("right.png", wall.pair.right)):
        cv2.imwrite(str(tmp_path / name), image)
    pair = [str(tmp_path / name) for name in ("left.png", "right.png")]
    path = tmp_path / "out" / "lite.onnx"
    size = "x".join(str(side) for side in wall.pair.left.shape[:2])

    status = cli.main(["export", "lite", "--weights", weights, "--size", size, "-o", str(path)])

    text, steps = capsys.readouterr()
    assert status == 0
    assert steps.splitlines()[0] == "tracing lite …"
    assert "comparing the fp32 graph with PyTorch …" in steps
    assert "NOT FOR COMMERCIAL USE" in text
    assert f"written: {path}, " in text
    assert float(text.split("pixels within ")[1].split()[0]) < 1e-3
    found = {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
    assert (found["licence"], found["commercial"]) == ("CC-BY-NC-4.0", "false")
    assert (found["weights_sha256"], found["max_disparity"]) == ("abc123", "96")
    graph = read_graph(path)
    assert load_reference(locate_reference(graph.path), graph).source == "PyTorch in float32"
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "lite.onnx",
        "lite.reference.npz",
        "lite.yaml",
    ]

    status = cli.main(["run", *pair, "--model", str(path), "-o", str(tmp_path / "run")])

    assert status == 0, capsys.readouterr().err
    assert (tmp_path / "run" / "disparity.npy").is_file()


def test_options_reach_the_exporter(weights, published, tmp_path, capsys):
    path = tmp_path / "lite.mixed.onnx"
    options = ["--max-disparity", "64", "--precision", "mixed", "-o", str(path)]

    assert cli.main(["export", "lite", "--weights", weights, *SIZE, *options]) == 0

    (call,) = published
    assert (call["size"], call["precisions"], call["path"]) == ((64, 96), ("mixed",), path)
    assert (call["network"].max_disparity, call["network"].training) == (64, False)
    assert call["metadata"]["weights_sha256"] == "abc123"
    assert "lite base, 64x96, mixed" in capsys.readouterr().out


def test_any_size_is_made_for_the_usual_one(weights, published, tmp_path, capsys):
    options = ["--size", "any", "-o", str(tmp_path / "lite.onnx")]

    assert cli.main(["export", "lite", "--weights", weights, *options]) == 0

    assert (published[0]["size"], published[0]["any_size"]) == ((480, 640), True)
    assert "lite base, any size, fp32" in capsys.readouterr().out


def test_random_weights_say_that_they_are(published, tmp_path, capsys):
    path = tmp_path / "lite.onnx"

    assert cli.main(["export", "lite", "--random-weights", *SIZE, "-o", str(path)]) == 0

    assert "NOT FOR COMMERCIAL USE" not in capsys.readouterr().out
    assert published[0]["metadata"]["weights_sha256"] == "random"


def test_graph_that_disagrees_is_one_line(weights, tmp_path, capsys, monkeypatch):
    def publish(*arguments, **settings):
        raise InputError("net.onnx: the graph disagrees with PyTorch")

    monkeypatch.setattr(export, "publish", publish)

    status = cli.main(
        ["export", "lite", "--weights", weights, *SIZE, "-o", str(tmp_path / "n.onnx")]
    )

    error = capsys.readouterr().err
    assert status == 1
    assert error == "stereo-depth export: net.onnx: the graph disagrees with PyTorch\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["s2m2", "--weights", "{weights}"], "holds lite, not s2m2"),
        (["lite", "--weights", "{weights}", "--variant", "huge"], "not huge"),
        (["lite", "--random-weights", "--variant", "huge"], "has no variant 'huge'"),
        (["lite", "--random-weights", "--iterations", "4"], "iterations"),
        (["light", "--random-weights"], "network 'light' is not known"),
        (["lite", "--weights", "absent.safetensors"], "absent.safetensors: No such file"),
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


@pytest.mark.parametrize("name", ["e.txt", "e", "e.onnx.bak"])
def test_graph_of_another_suffix_is_refused_at_once(name, tmp_path, capsys):
    path = tmp_path / name

    assert cli.main(["export", "lite", "--random-weights", *SIZE, "-o", str(path)]) == 1

    error = capsys.readouterr().err
    assert error == f"stereo-depth export: -o is {path}, no name of a graph; end it in .onnx\n"
    assert not list(tmp_path.iterdir())


def test_folder_for_the_graph_is_called_one(tmp_path, capsys):
    assert cli.main(["export", "lite", "--random-weights", *SIZE, "-o", str(tmp_path)]) == 1

    assert f"{tmp_path} is a folder; name the file in it" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["480", "0x640", "480*640"])
def test_size_that_is_none_is_a_usage_error(size, capsys):
    with pytest.raises(SystemExit):
        cli.main(["export", "lite", "--random-weights", "--size", size, "-o", "x.onnx"])

    assert "HxW" in capsys.readouterr().err


def test_unknown_network_is_named(tmp_path, capsys):
    status = cli.main(["export", "s3m3", *SIZE, "-o", str(tmp_path / "net.onnx")])

    assert status == 1
    assert "network 's3m3' is not known; there are lite, " in capsys.readouterr().err


def test_network_whose_weights_do_not_come_with_the_package_says_where_to_get_them(
    tmp_path, capsys
):
    status = cli.main(["export", "s2m2", *SIZE, "-o", str(tmp_path / "net.onnx")])

    assert status == 1
    assert "give --weights FILE ('stereo-depth models'" in capsys.readouterr().err
