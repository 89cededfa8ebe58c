"""`stereo-depth models`: what there is, what it costs, and carrying models about."""

import os
import subprocess
import sys

import onnx
import pytest
import torch
from added_models import add_graph, measure
from authors import entries_of
from fakes import save_graph

from stereo_depth_ros.artifact import find_artifact, list_added, list_models
from stereo_depth_ros.cli.main import main
from stereo_depth_ros.published import PUBLISHED


def rows_of(text):
    """The cells of the tables by the name in front; a sentence about a model comes after them."""
    lines = [line.split() for line in text.splitlines() if line.startswith("  ")]
    return {cells[0]: cells[1:] for cells in reversed(lines)}


def models(capsys, *arguments):
    """Run the verb: what it printed, after a success."""
    assert main(["models", *arguments]) == 0
    return capsys.readouterr().out


def refuse(capsys, *arguments):
    """Run the verb, which fails: what it printed, and its one line."""
    assert main(["models", *arguments]) == 1
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    return out, line.removeprefix("stereo-depth models: ")


# -- the list --------------------------------------------------------------------------------------


def test_list_shows_installed_models_and_published_weights_with_their_terms(capsys):
    text = models(capsys)

    rows = rows_of(text)
    assert {*list_models(), *PUBLISHED} <= set(rows)
    lite = find_artifact("lite")
    size = sum(file.stat().st_size for file in lite.list_files())
    real = lite.card.measured["real"]
    epe, bad2 = (f"{real['lite']['epe']:.2f}", f"{real['lite']['bad2']:.1f}")
    assert rows["lite"] == [epe, bad2, f"{size / 1e6:.1f}", "Apache-2.0"]
    assert rows["sgbm"] == ["1.15", "8.3", "Apache-2.0", "(OpenCV)"]
    assert rows["las2_m"] == ["lite_any_stereo", "5.47", "41.9", "MIT"]
    assert rows["s2m2_s"] == ["s2m2", "106.0", "CC-BY-NC-4.0;", "non-commercial"]
    installed, published = text.split("Published, for stereo-depth models add NAME")
    assert "las2_m" not in installed
    assert "lite " not in published
    assert max(map(len, text.splitlines())) <= 100


def test_what_was_measured_here_is_shown_of_models_on_the_same_pairs_alone(capsys):
    for name in ("net", "other"):
        add_graph(name, licence="CC-BY-NC-4.0", commercial=False)
    measure("net", 0.5, ms=12.3)
    measure("other", 0.1, "cd" * 32)

    rows = rows_of(models(capsys))

    terms = ["CC-BY-NC-4.0;", "non-commercial"]
    assert rows["net"] == ["0.50", "5.0", "12", "(64x48)", "0.0", *terms]
    assert rows["other"] == ["0.0", "CC-BY-NC-4.0;", "non-commercial"]
    assert "EPE 0.10 px, bad-2 1.0 % on 5 pairs" in models(capsys, "info", "other")
    for name in ("lite", "sgbm", "sgbm_hh", "net"):
        measure(name, 0.7, "cd" * 32)
    rows = rows_of(models(capsys))
    assert (rows["lite"][0], rows["net"][0], rows["other"][0]) == ("0.70", "0.70", "0.10")


def test_list_says_what_auto_is_and_what_keeps_it_from_another_model(capsys):
    assert "\nauto, the default, is lite, or sgbm where no network runs\n\n" in models(capsys)

    add_graph("net")
    text = models(capsys)
    assert "\nauto, the default, is lite, or sgbm where no network runs\n  lite, as net" in text
    measure("net", 0.5, ms=12.0)
    text = models(capsys)
    assert "\nauto, the default, is net, or sgbm where no network runs\n  net is the m" in text


def test_broken_card_hides_no_other_model(models_home, capsys):
    add_graph("net")
    (models_home / "broken").mkdir()
    (models_home / "broken" / "broken.yaml").write_text("engine: [")

    text = models(capsys)

    assert "broken.yaml cannot be read: " in text
    assert {"net", "sgbm", "s2m2_s"} <= set(rows_of(text))


# -- one model -------------------------------------------------------------------------------------


def test_published_weights_say_where_they_are_from(capsys):
    text = models(capsys, "info", "foundation_stereo_vitl")

    assert "not installed; NVIDIA; non-commercial" in text
    assert "23-51-11/model_best_bp2.pth from https://github.com/NVlabs/FoundationStereo" in text
    assert "published: bad-2 1.10 % on Middlebury, half size, non-occluded" in text
    assert text.endswith("stereo-depth models add foundation_stereo_vitl --file FILE\n")
    assert models(capsys, "info", "las2_m").endswith("stereo-depth models add las2_m\n")


def test_installed_model_says_what_is_known_of_it(models_home, capsys):
    add_graph("las2_m", licence="CC-BY-NC-4.0", commercial=False)
    measure("las2_m", 0.5, ms=12.34)

    lines = models(capsys, "info", "las2_m").splitlines()

    assert lines[:4] == [
        "las2_m: las2_m of a test",
        "CC-BY-NC-4.0; NOT FOR COMMERCIAL USE",
        "EPE 0.50 px, bad-2 5.0 % on 5 pairs",
        "12.3 ms an inference at 64 x 48 here",
    ]
    assert lines[-1].startswith(f"{models_home}/las2_m/las2_m.onnx, ")


def test_path_is_that_of_the_card_or_of_the_graph_itself(models_home, capsys):
    folder = add_graph("net")

    assert models(capsys, "path", "net") == f"{folder}/net.yaml\n"
    assert models(capsys, "path", f"{folder}/net.onnx") == f"{folder}/net.onnx\n"
    assert "'s3m3' is not known" in refuse(capsys, "path", "s3m3")[1]


def test_model_is_packed_added_elsewhere_and_removed(models_home, tmp_path, monkeypatch, capsys):
    add_graph("net", licence="CC-BY-NC-4.0", commercial=False)
    monkeypatch.chdir(tmp_path)

    assert models(capsys, "pack", "net").splitlines() == [
        f"written: net.stereo.zip, {os.path.getsize('net.stereo.zip') / 1e6:.1f} MB",
        "there: stereo-depth models add net.stereo.zip",
    ]
    assert models(capsys, "remove", "net") == f"removed {models_home}/net\n"
    assert list_added() == []
    assert models(capsys, "add", "net.stereo.zip").splitlines() == [
        "CC-BY-NC-4.0; NOT FOR COMMERCIAL USE",
        f"installed in {models_home}/net",
        "next: stereo-depth run left.png right.png --model net -o out",
    ]
    assert list_added() == ["net"]


def test_pack_that_cannot_be_written_is_refused_before_the_work(models_home, tmp_path, capsys):
    add_graph("net")

    output = tmp_path / "absent" / "net.zip"
    assert (
        f"make the folder {tmp_path}/absent first"
        in refuse(capsys, "pack", "net", "-o", str(output))[1]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["remove", "lite"], "'lite' comes with the package and cannot be removed"),
        (["remove", "net"], "no model 'net' was added; 'stereo-depth models' lists them"),
        (["pack", "lite"], "'lite' comes with the package; there is nothing to carry"),
        (["pack", "s3m3"], "model 's3m3' is not known; "),
        (["add", "s3m3"], "no published weights 's3m3'; there are las2_s, "),
        (["add", "s3m3.stereo.zip"], "there is no file s3m3.stereo.zip to add"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_one_line(arguments, message, capsys):
    assert refuse(capsys, *arguments)[1].startswith(message)


def test_file_of_the_authors_is_no_pack_and_the_right_way_is_named(tmp_path, capsys):
    torch.save({"weight": torch.ones(1)}, tmp_path / "LAS2_S.pth")

    _, line = refuse(capsys, "add", str(tmp_path / "LAS2_S.pth"))

    assert "is no model that 'stereo-depth models pack' wrote" in line
    assert line.endswith("go to 'stereo-depth models add NAME --file FILE'")


@pytest.mark.parametrize("option", ["--size=32x64", "--iterations=3", "--file=x.pth"])
def test_pack_is_as_it_was_packed(models_home, tmp_path, capsys, option):
    add_graph("net")
    models(capsys, "pack", "net", "-o", str(tmp_path / "net.zip"))
    models(capsys, "remove", "net")

    _, line = refuse(capsys, "add", str(tmp_path / "net.zip"), option)

    assert "is taken as a packed model, which is as it was packed: leave --file, --si" in line
    assert list_added() == []


def test_without_pytorch_all_but_making_a_model_works(models_home, tmp_path):
    add_graph("net")
    pack = str(tmp_path / "net.zip")
    commands = [
        *(["models"], ["models", "info", "lite"], ["models", "info", "las2_s"]),
        *(["models", "path", "net"], ["models", "pack", "net", "-o", pack]),
        *(["models", "remove", "net"], ["models", "add", pack], ["models", "info", "net"]),
        ["models", "add", "las2_s"],
    ]
    code = f"""
import sys
for name in ("torch", "onnx", "safetensors", "huggingface_hub", "tensorboard", "rclpy"):
    sys.modules[name] = None
from stereo_depth_ros.cli.main import main
print([main(command) for command in {commands!r}])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.stdout.splitlines()[-1] == str([0] * 8 + [1]), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("stereo-depth models: ")
    assert line.endswith("; pip install 'stereo_depth_ros[training]'")
    assert list_added() == ["net"]


# -- what a network costs --------------------------------------------------------------------------


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
