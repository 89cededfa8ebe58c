"""A graph is published only where it agrees with its network, and the old one stays till then."""

import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_network import TinyNetwork
from weights import load_filled

from stereo_depth_ros.artifact import find_artifact, locate_reference
from stereo_depth_ros.atomic_file import WriteError
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.self_test import (
    Reference,
    load_reference,
    render_test_pair,
    run_self_test,
)
from stereo_depth_ros.export import publication, publish
from stereo_depth_ros.export.exporter import fold
from stereo_depth_ros.networks import StereoOutput

SIZE = 32, 64


def names(folder):
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def network():
    return load_filled(TinyNetwork())


def test_published_graph_agrees_and_its_reference_proves_it(network, tmp_path):
    path = tmp_path / "new" / "net.onnx"

    publication = publish(network, *SIZE, path, metadata={"licence": "MIT"})

    agreement = publication.agreements["fp32"]

    assert agreement.worst < 1e-4
    assert agreement.confidence < 1e-5
    assert names(path.parent) == ["net.onnx", "net.reference.npz", "net.yaml"]
    graph = read_graph(path)
    assert graph.metadata["licence"] == "MIT"
    reference = load_reference(locate_reference(graph.path), graph)
    assert reference.source == "PyTorch in float32"
    left, right = (
        torch.from_numpy(i).permute(2, 0, 1)[None].float() for i in render_test_pair(*SIZE)
    )
    with torch.inference_mode():
        expected = network(left, right).disparity[0, 0].numpy()
    np.testing.assert_array_equal(reference.disparity, expected)


def test_graph_for_any_size_is_compared_at_another_size_too(network, tmp_path, monkeypatch):
    sizes = []

    def compare_and_note(graph, left, *others):
        sizes.append(left.shape[:2])
        return compare(graph, left, *others)

    compare = publication.compare
    monkeypatch.setattr(publication, "compare", compare_and_note)

    agreement = publish(network, *SIZE, tmp_path / "net.onnx", any_size=True).agreements["fp32"]

    assert sizes == [SIZE, (17, 33)]
    assert agreement.worst < 1e-4
    graph = read_graph(tmp_path / "net.onnx")
    assert load_reference(locate_reference(graph.path), graph).left.shape[:2] == SIZE


class Baked(TinyNetwork):
    """Adds a slope that is worked out for the size that it is traced at."""

    def match(self, left, right):
        output = super().match(left, right)
        slope = torch.linspace(0, 9, int(left.shape[-1]))[-1] - 9 + 1e-3 * int(left.shape[-1])
        return StereoOutput(output.disparity + 10 * slope, output.confidence)


def test_graph_that_is_right_at_its_own_size_alone_is_not_kept(tmp_path):
    with pytest.raises(ValueError, match="disagrees with PyTorch"):
        publish(load_filled(Baked()), *SIZE, tmp_path / "net.onnx", any_size=True)

    assert names(tmp_path) == []


def test_both_precisions_share_the_reference_that_engines_prove_themselves_on(network, tmp_path):
    publication = publish(network, *SIZE, tmp_path / "net.onnx", precisions=("fp32", "mixed"))

    paths = {"fp32": tmp_path / "net.onnx", "mixed": tmp_path / "net.mixed.onnx"}
    graphs = [read_graph(path) for path in paths.values()]

    assert {graph.precision: graph.path for graph in graphs} == paths
    assert names(tmp_path) == ["net.mixed.onnx", "net.onnx", "net.reference.npz", "net.yaml"]
    assert publication.agreements.keys() == paths.keys()
    assert publication.artifact.file == paths["fp32"]
    assert locate_reference(graphs[0].path) == locate_reference(graphs[1].path)
    for graph in graphs:
        reference = load_reference(locate_reference(graph.path), graph)
        engine = OnnxRuntimeEngine(paths["fp32"])
        assert run_self_test(engine, reference).mae < 1e-3
        engine.close()


def test_card_says_what_the_graph_is_and_what_else_is_known(network, tmp_path):
    card = {"summary": "a tiny one", "measured": {"epe": 1.5}}

    artifact = publish(network, *SIZE, tmp_path / "net.onnx", card=card).artifact

    assert artifact == find_artifact(str(tmp_path / "net.yaml"))
    assert artifact.verify_file() == tmp_path / "net.onnx"
    found = artifact.card
    assert (found.engine, found.network, found.variant) == ("onnx", "tiny", "only")
    assert (found.summary, found.measured) == ("a tiny one", {"epe": 1.5})


def test_card_of_the_same_weights_keeps_what_was_measured(network, tmp_path):
    path = tmp_path / "net.onnx"
    publish(network, *SIZE, path, card={"measured": {"epe": 1.5}})

    again = publish(network, *SIZE, path).artifact
    with torch.no_grad():
        next(network.parameters()).add_(0.01)
    other = publish(network, *SIZE, path).artifact

    assert again.card.measured == {"epe": 1.5}
    assert other.card.measured == {}
    assert other.verify_file() == path


def test_card_names_the_graph_in_fp32_whichever_comes_last(network, tmp_path):
    publish(network, *SIZE, tmp_path / "net.onnx")

    mixed = publish(network, *SIZE, tmp_path / "net.mixed.onnx", precisions=("mixed",))

    assert mixed.artifact.card_path == tmp_path / "net.yaml"
    assert mixed.artifact.verify_file() == tmp_path / "net.onnx"
    with torch.no_grad():
        next(network.parameters()).add_(0.01)
    other = publish(network, *SIZE, tmp_path / "net.mixed.onnx", precisions=("mixed",))
    assert other.artifact.verify_file() == tmp_path / "net.mixed.onnx"


@pytest.fixture
def old_files(tmp_path):
    """An older graph and its reference, by path."""
    with zipfile.ZipFile(tmp_path / "net.reference.npz", "w") as archive:
        archive.writestr("disparity.npy", "its own")
    files = {
        tmp_path / "net.onnx": b"older graph",
        tmp_path / "net.reference.npz": (tmp_path / "net.reference.npz").read_bytes(),
    }
    for path, content in files.items():
        path.write_bytes(content)
    return files


def contents(folder):
    return {file: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize(
    ("output", "change"),
    [
        ("disparity", lambda values: values + 1.0),
        ("disparity", lambda values: values + np.nan),
        ("confidence", np.zeros_like),
        ("confidence", lambda values: values * 0.9),
        ("confidence", lambda values: values * np.nan),
    ],
    ids=["shifted", "not_a_number", "doubts_all", "doubts_more", "confidence_not_a_number"],
)
def test_graph_that_disagrees_is_not_kept_and_the_old_files_stay(
    output, change, network, old_files, tmp_path, monkeypatch
):
    outputs_of = publication.outputs_of

    def changed(*pair):
        outputs = outputs_of(*pair)
        return outputs._replace(**{output: change(getattr(outputs, output))})

    monkeypatch.setattr(publication, "outputs_of", changed)

    with pytest.raises(ValueError, match=r"net\.onnx: the graph disagrees with PyTorch \(median "):
        publish(network, *SIZE, tmp_path / "net.onnx")

    assert contents(tmp_path) == old_files


@pytest.mark.parametrize("name", ["net.yaml", "net.reference.npz"])
def test_file_of_another_kind_beside_the_graph_is_not_replaced(name, network, tmp_path):
    (tmp_path / name).write_text("image_width: 640")

    with pytest.raises(WriteError, match=rf"{name} is not a .*, and would be overwritten by that"):
        publish(network, *SIZE, tmp_path / "net.onnx")

    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "image_width: 640"


def test_reference_that_cannot_be_written_leaves_the_old_files(
    network, old_files, tmp_path, monkeypatch
):
    def fail(reference, path):
        raise WriteError(f"{path} was not written: No space left on device")

    monkeypatch.setattr(Reference, "save", fail)

    with pytest.raises(WriteError, match=r"net\.reference\.npz was not written: No space left"):
        publish(network, *SIZE, tmp_path / "net.onnx")

    assert contents(tmp_path) == old_files


def test_folder_in_place_of_the_graph_is_named_at_once(network, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.delattr(publication, "fold")

    with pytest.raises(WriteError, match=r"models is a folder; name the file in it, .*net\.onnx"):
        publish(network, *SIZE, tmp_path / "models")

    assert names(tmp_path) == ["models"]


class WithOffset(TinyNetwork):
    """Every weight alike, but disparities apart by a number of px."""

    offset = 0.0

    def match(self, left, right):
        output = super().match(left, right)
        return StereoOutput(output.disparity + self.offset, output.confidence)


def test_two_exports_to_one_file_at_once_each_publish_their_own(tmp_path, monkeypatch):
    # Both are traced before either is compared: with one name between them, one would compare and
    # publish the graph of the other.
    barrier = threading.Barrier(2, timeout=120)
    lock = threading.Lock()

    def fold_together(*arguments, **settings):
        with lock:  # tracing changes state of the whole process
            model = fold(*arguments, **settings)
        barrier.wait()
        return model

    monkeypatch.setattr(publication, "fold", fold_together)
    agreements = {}

    def run(offset):
        network = load_filled(WithOffset())
        network.offset = offset
        publication = publish(network, *SIZE, tmp_path / "net.onnx")
        agreements[offset] = publication.agreements["fp32"]

    threads = [threading.Thread(target=run, args=(offset,)) for offset in (0.0, 5.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {offset: agreement.worst < 1e-3 for offset, agreement in agreements.items()} == {
        0.0: True,
        5.0: True,
    }
    assert names(tmp_path) == ["net.onnx", "net.reference.npz", "net.yaml"]


def test_killed_export_leaves_nothing_after_the_next_one(network, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"an older graph")
    code = f"""
import sys, time
sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}
from pathlib import Path
from stereo_depth_ros.export import publication, publish
from tiny_network import TinyNetwork
def wait(*arguments):
    print("compares", flush=True)
    time.sleep(600)
publication.compare = wait
publish(TinyNetwork().eval(), 32, 64, Path({str(path)!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "compares\n"
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    process.stdout.close()
    assert path.read_bytes() == b"an older graph"
    assert len(names(tmp_path)) == 2

    publish(network, *SIZE, tmp_path / "other.onnx")

    assert names(tmp_path) == ["net.onnx", "other.onnx", "other.reference.npz", "other.yaml"]


def test_full_disk_is_named_before_anything_is_traced(network, tmp_path):
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)],
        capture_output=True,
        check=False,
    ).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        with pytest.raises(OSError, match=r"net\.onnx was not written: \d+ MB of disk are needed"):
            publish(network, *SIZE, tmp_path / "net.onnx")
        assert names(tmp_path) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
