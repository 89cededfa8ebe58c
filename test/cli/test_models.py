import onnx
import pytest
import torch
from authors import entries_of
from fakes import save_graph

from stereo_depth_ros.artifact import list_models
from stereo_depth_ros.checkpoints.hub import list_published
from stereo_depth_ros.cli.main import main


def test_list_names_installed_models_and_published_weights_with_their_terms(capsys):
    assert main(["models"]) == 0

    lines = capsys.readouterr().out.splitlines()
    for name in (*list_models(), *list_published()):
        assert any(line.split()[:1] == [name] for line in lines), name
    (auto,) = (line for line in lines if line.split()[:1] == ["auto,"])
    assert auto == "  auto, the default, is lite, or sgbm where that does not run"
    (s2m2,) = (line for line in lines if line.split()[:1] == ["s2m2/s"])
    assert "CC-BY-NC-4.0; NOT FOR COMMERCIAL USE" in s2m2
    (las,) = (line for line in lines if line.split()[:1] == ["lite_any_stereo/las2_m"])
    assert "41.9 MB" in las
    assert "MIT" in las
    assert "COMMERCIAL" not in las
    assert las.endswith("https://huggingface.co/tomtomtommi/LiteAnyStereoV2")


def test_broken_card_hides_no_other_model(tmp_path, monkeypatch, capsys):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "sgbm.yaml").write_text("engine: sgbm\nlicence: Apache-2.0\n")
    (tmp_path / "models" / "broken.yaml").write_text("engine: [")
    monkeypatch.setattr("stereo_depth_ros.artifact.share_directory", lambda: tmp_path)

    assert main(["models"]) == 0

    text = capsys.readouterr().out
    assert "broken.yaml cannot be read: " in text
    names = [line.split()[0] for line in text.splitlines() if line.startswith("  ")]
    assert {"sgbm", "s2m2/s"} <= set(names)


def test_weights_that_lie_elsewhere_are_linked(capsys):
    assert main(["models", "get", "foundation_stereo/vitl"]) == 0

    text = capsys.readouterr().out
    assert "NOT FOR COMMERCIAL USE" in text
    assert "fetch 23-51-11/model_best_bp2.pth from https://github.com/NVlabs" in text


def test_unknown_weights_are_one_line(capsys):
    assert main(["models", "get", "s3m3"]) == 1

    assert capsys.readouterr().err.startswith("stereo-depth models: no published weights 's3m3'")


def test_cost_of_a_network(capsys):
    arguments = ["models", "info", "lite_any_stereo", "--variant", "las2_s", "--size", "480x640"]
    assert main(arguments) == 0

    text = capsys.readouterr().out
    assert text == "lite_any_stereo las2_s at 480x640: 6.04 M parameters, 15.50 GMACs\n"


def test_cost_of_imported_weights(tmp_path, capsys):
    torch.save(entries_of("lite_any_stereo", "las2_s"), tmp_path / "LAS2_S.pth")
    output = str(tmp_path / "net.safetensors")
    main(["import", str(tmp_path / "LAS2_S.pth"), "-o", output])
    capsys.readouterr()

    assert main(["models", "info", output, "--size", "96x160"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"{output}: lite_any_stereo las2_s, from LAS2_S.pth", "MIT"]
    assert "6.04 M parameters" in lines[2]


def test_cost_of_a_graph(tmp_path, capsys):
    graph = save_graph(tmp_path / "net.onnx")

    assert main(["models", "info", str(graph)]) == 0

    nodes = len(onnx.load(graph).graph.node)
    assert capsys.readouterr().out.startswith(
        f"{graph}: {nodes} nodes; 0.00 M parameters, 0.00 GMACs"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["s3m3"], "network 's3m3' is not known"),
        (["s2m2", "--variant", "xxl"], "s2m2 has no variant 'xxl'"),
    ],
    ids=["network", "variant"],
)
def test_unknown_network_or_variant_is_one_line(arguments, message, capsys):
    assert main(["models", "info", *arguments]) == 1

    assert message in capsys.readouterr().err


def test_size_must_be_a_size(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["models", "info", "s2m2", "--size", "large"])

    assert stop.value.code == 2
    assert "'large' is not HxW" in capsys.readouterr().err
