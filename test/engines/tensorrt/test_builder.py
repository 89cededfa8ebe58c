"""Our builder with a real TensorRT, the one that needs no GPU."""

import errno
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from networks_to_build import attributes_of, check_sampling
from onnx import helper, numpy_helper
from stand_ins import DEVICE, save

from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.tensorrt.build_process import BuildCancelled, run_in_child
from stereo_depth_ros.engines.tensorrt.builder import Builder, build_file, workspace_for
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.options import BuildOptions

GPU = "8.6"
BUILD = "stereo_depth_ros.engines.tensorrt.builder:build_file"
OPTIONS = BuildOptions("fp32", workspace_mb=512)


@pytest.fixture
def graph(tmp_path):
    return read_graph(save(tmp_path / "net.onnx"))


@pytest.fixture(scope="module")
def network(tmp_path_factory, rtx):
    """A real network, small, as fp32 and mixed graphs."""
    from weights import load_filled

    from stereo_depth_ros.export import export_onnx
    from stereo_depth_ros.networks import create_network

    folder = tmp_path_factory.mktemp("lite")
    lite = load_filled(create_network("lite"))
    export_onnx(lite, 96, 160, folder / "lite.onnx")
    export_onnx(lite, 96, 160, folder / "lite.mixed.onnx", precision="mixed")
    return folder / "lite.onnx", folder / "lite.mixed.onnx"


def test_graph_becomes_a_plan_with_its_inputs_and_outputs(rtx, graph):
    builder = Builder(rtx, graph)

    plan = builder.build(OPTIONS, compute_capability=GPU)

    module, net = rtx.module, builder.network
    inputs = {net.get_input(i).name: net.get_input(i) for i in range(net.num_inputs)}
    outputs = {net.get_output(i).name: net.get_output(i) for i in range(net.num_outputs)}
    assert plan.nbytes > 1000
    assert set(inputs) == {"left", "right"}
    assert set(outputs) == {"disparity", "confidence"}
    assert all(tuple(t.shape) == (1, 48, 64, 3) for t in inputs.values())
    assert all(t.dtype == module.DataType.UINT8 for t in inputs.values())
    assert all(tuple(t.shape) == (1, 48, 64) for t in outputs.values())
    assert all(t.dtype == module.DataType.FLOAT for t in outputs.values())


@pytest.mark.parametrize("precision", ["fp32", "mixed"])
def test_network_that_takes_a_prior_becomes_a_plan_that_takes_it_in_float32(
    rtx, tmp_path, precision
):
    from tiny_network import GuidedNetwork
    from weights import load_filled

    from stereo_depth_ros.export import export_onnx

    path = tmp_path / "net.onnx"
    export_onnx(load_filled(GuidedNetwork()), 48, 64, path, precision=precision)
    builder = Builder(rtx, read_graph(path))

    plan = builder.build(BuildOptions(precision, workspace_mb=512), compute_capability=GPU)

    types, net = rtx.module.DataType, builder.network
    inputs = [net.get_input(index) for index in range(net.num_inputs)]
    assert plan.nbytes > 1000
    assert {t.name: (t.dtype, tuple(t.shape)) for t in inputs} == {
        "left": (types.UINT8, (1, 48, 64, 3)),
        "right": (types.UINT8, (1, 48, 64, 3)),
        "prior": (types.FLOAT, (1, 48, 64)),
        "prior_confidence": (types.FLOAT, (1, 48, 64)),
    }


def test_mixed_network_computes_in_the_types_of_its_graph(rtx, network):
    types = rtx.module.DataType

    def convolutions(path):
        builder = Builder(rtx, read_graph(path))
        builder.parse()
        net = builder.network
        layers = [net.get_layer(i) for i in range(net.num_layers)]
        kind = rtx.module.LayerType.CONVOLUTION
        return {layer.get_output(0).dtype for layer in layers if layer.type == kind}

    assert convolutions(network[0]) == {types.FLOAT}
    assert convolutions(network[1]) == {types.HALF}


def test_mixed_plan_is_smaller(rtx, network):
    sizes = [
        Builder(rtx, read_graph(path))
        .build(BuildOptions(precision, 512), compute_capability=GPU)
        .nbytes
        for path, precision in zip(network, ("fp32", "mixed"), strict=True)
    ]

    # Two bytes a weight less, of which the graphs hold little else.
    saved = network[0].stat().st_size - network[1].stat().st_size
    assert sizes[0] - sizes[1] > 0.9 * saved > 0


def test_progress_rises_through_named_steps_to_the_end(rtx, network):
    seen = []
    report = lambda percent, step: seen.append((percent, step))  # noqa: E731

    Builder(rtx, read_graph(network[0]), report=report).build(OPTIONS, compute_capability=GPU)

    percents = [percent for percent, _ in seen if percent is not None]
    assert len(percents) > 20
    assert percents == sorted(percents)
    assert 0 <= percents[0] < 20
    assert percents[-1] > 75
    assert len({step for _, step in seen}) > 5


def test_build_can_be_stopped_from_within(rtx, network):
    cancelled = threading.Event()

    def report(percent, step):
        if percent is not None:
            cancelled.set()

    builder = Builder(rtx, read_graph(network[0]), report=report, cancelled=cancelled)

    with pytest.raises(EngineError, match=r"lite\.onnx: the build was cancelled"):
        builder.build(OPTIONS, compute_capability=GPU)


def test_operator_that_tensorrt_lacks_is_named_with_its_node(rtx, graph):
    model = onnx.load(str(graph.path))
    (answer,) = [n for n in model.graph.node if list(n.output) == ["disparity"]]
    model.graph.node.append(helper.make_node("Det", ["left_float"], ["det"], name="the culprit"))
    model.graph.node.append(helper.make_node("Add", ["det", "answer"], ["sum"]))
    answer.input[0] = "sum"
    model.graph.node.remove(answer)
    model.graph.node.append(answer)
    onnx.save(model, str(graph.path))

    with pytest.raises(EngineError) as caught:
        Builder(rtx, graph).parse()

    text = str(caught.value)
    assert text.startswith(f"{graph.path}: {rtx} cannot run this graph: ")
    assert "Det 'the culprit'" in text
    assert "Export it with this package's export" in text


def test_operator_on_camera_bytes_is_refused_in_its_words(rtx, graph):
    model = onnx.load(str(graph.path))
    model.graph.node.insert(
        0, helper.make_node("Transpose", ["left"], ["turned"], perm=[0, 1, 2, 3], name="turn")
    )
    model.graph.node[1].input[0] = "turned"
    onnx.save(model, str(graph.path))

    with pytest.raises(EngineError, match=r"cannot run this graph: .*'turn'.*has type UInt8"):
        Builder(rtx, graph).build(OPTIONS, compute_capability=GPU)


def with_sampling(path, opset, mode):
    """Put a GridSample of the left image, which changes nothing, before the answer."""
    model = onnx.load(str(path))
    grid = np.zeros((1, 48, 64, 2), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(grid, "grid"))
    sampled = [
        helper.make_node("Transpose", ["left_float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("GridSample", ["planes", "grid"], ["sampled"], mode=mode, align_corners=1),
        helper.make_node("Gather", ["sampled", "red"], ["sampled_red"], axis=1),
        helper.make_node("Add", ["sampled_red", "shift"], ["sum"]),
    ]
    nodes = list(model.graph.node)
    (index,) = [i for i, node in enumerate(nodes) if list(node.output) == ["answer"]]
    nodes[index].input[0] = "sum"
    nodes[index:index] = sampled
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.opset_import[0].version = opset
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return [attributes_of(node) for node in model.graph.node if node.op_type == "GridSample"]


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_sampling_of_opset_17_is_understood(rtx, graph, mode):
    wanted = with_sampling(graph.path, 17, mode)
    builder = Builder(rtx, read_graph(graph.path))

    builder.parse()

    check_sampling(builder.network, rtx.module, wanted)


def test_sampling_that_is_misunderstood_does_not_pass_for_understood(rtx, graph):
    (wanted,) = with_sampling(graph.path, 17, "nearest")
    builder = Builder(rtx, read_graph(graph.path))
    builder.parse()

    with pytest.raises(AssertionError):
        check_sampling(builder.network, rtx.module, [{**wanted, "mode": "bilinear"}])
    with pytest.raises(AssertionError):
        check_sampling(builder.network, rtx.module, [{**wanted, "align_corners": 0}])


def test_tensorrt_10_misunderstands_sampling_of_opset_20_which_is_why_it_is_refused(rtx, graph):
    if not rtx.version.startswith("1.4."):
        pytest.skip("later ones understand it")
    with_sampling(graph.path, 20, "linear")

    builder = Builder(rtx, graph)  # read before it was changed, so not refused
    builder.parse()

    wanted = [{"mode": "nearest", "align_corners": 1}]
    check_sampling(builder.network, rtx.module, wanted)
    with pytest.raises(EngineError, match="opset 20"):
        read_graph(graph.path)


def test_gpu_that_is_not_built_for_is_named(rtx, graph):
    with pytest.raises(EngineError, match=r"compute capability 7\.2"):
        Builder(rtx, graph).build(OPTIONS, compute_capability="7.2")


@pytest.mark.filterwarnings("ignore:.*no-ops in TensorRT-RTX")
@pytest.mark.parametrize("known", [None, b"", b"no timings at all"], ids=["none", "empty", "junk"])
def test_timings_are_written_whatever_was_there(rtx, graph, tmp_path, known):
    timings = tmp_path / "some.timings"
    if known is not None:
        timings.write_bytes(known)

    for _ in range(2):
        build_here(graph.path, tmp_path / "plan", timing_cache=str(timings))
        assert timings.read_bytes() not in (b"", known)

    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx", "plan", "some.timings"]


@pytest.mark.filterwarnings("ignore:.*no-ops in TensorRT-RTX")
def test_plan_is_not_lost_on_timings_that_cannot_be_written(rtx, graph, tmp_path, caplog):
    built = build_here(graph.path, tmp_path / "plan", timing_cache=str(tmp_path / "absent" / "t"))

    assert built["layers"] > 3
    assert (tmp_path / "plan").stat().st_size > 1000
    assert "timings are not kept" in caplog.text


def test_timings_on_a_mount_that_is_read_only_are_a_line_in_the_log(tmp_path, monkeypatch, caplog):
    builder = object.__new__(Builder)
    builder._timings = SimpleNamespace(serialize=lambda: b"timings")

    def refuse(path, *arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    with monkeypatch.context() as mount:
        mount.setattr(Path, "write_bytes", refuse)
        mount.setattr(Path, "unlink", refuse)
        builder.save_timings(tmp_path / "t.timings")

    assert "timings are not kept" in caplog.text


@pytest.mark.filterwarnings("ignore:.*no-ops in TensorRT-RTX")
def test_timings_of_a_build_that_was_stopped_are_kept(rtx, network, tmp_path):
    cancelled = threading.Event()

    def report(percent, step):
        if (percent or 0) > 1:
            cancelled.set()

    with pytest.raises(EngineError, match="cancelled"):
        build_here(
            network[0],
            tmp_path / "plan",
            timing_cache=str(tmp_path / "t"),
            report=report,
            cancelled=cancelled,
        )

    assert (tmp_path / "t").stat().st_size > 0
    assert not (tmp_path / "plan").exists()


def build_here(graph, output, **others):
    """Build in this process, where there is no GPU."""
    how = {"report": lambda percent, step: None, "cancelled": threading.Event(), **others}
    return build_file(
        str(graph),
        str(output),
        runtime="tensorrt_rtx",
        precision="fp32",
        compute_capability=GPU,
        **how,
    )


def arguments(graph, output, **others):
    return {
        "graph": str(graph),
        "output": str(output),
        "runtime": "tensorrt_rtx",
        "precision": "fp32",
        "compute_capability": GPU,
        **others,
    }


def test_child_process_builds_and_reports(rtx, network, tmp_path):
    seen = []

    built = run_in_child(BUILD, arguments(network[0], tmp_path / "plan"), report=seen.append)

    assert built["layers"] > 100
    assert built["seconds"] > 0
    assert (tmp_path / "plan").stat().st_size > 1e5
    assert max(p.percent or 0 for p in seen) > 10


def test_child_process_stops_in_the_middle_of_a_real_build(rtx, network, tmp_path):
    cancelled = threading.Event()

    def report(progress):
        if (progress.percent or 0) > 1:
            cancelled.set()

    with pytest.raises(BuildCancelled):
        run_in_child(
            BUILD,
            arguments(network[0], tmp_path / "plan"),
            report=report,
            cancelled=cancelled,
        )

    assert not (tmp_path / "plan").exists()


def test_error_of_a_real_build_passes_through_the_child(rtx, graph, tmp_path):
    with pytest.raises(EngineError, match=r"does not build for compute capability 1\.0"):
        run_in_child(BUILD, arguments(graph.path, tmp_path / "plan", compute_capability="1.0"))


def test_absent_runtime_passes_through_the_child(graph, tmp_path):
    with pytest.raises(EngineError, match="TensorRT cannot be imported"):
        run_in_child(BUILD, arguments(graph.path, tmp_path / "plan", runtime="tensorrt_of_none"))


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a driver")
def test_build_for_the_gpu_here_says_that_there_is_none(graph, tmp_path):
    with pytest.raises(EngineError, match="no NVIDIA driver"):
        build_file(
            str(graph.path),
            str(tmp_path / "plan"),
            runtime="tensorrt_rtx",
            precision="fp32",
            report=lambda percent, step: None,
            cancelled=threading.Event(),
        )


MB = 2**20


def test_workspace_is_three_eighths_of_a_free_gpu():
    board = replace_memory(8000)

    assert workspace_for(20 * MB, 0, board, 7500) == 3000


def test_workspace_shrinks_with_what_is_free():
    assert workspace_for(20 * MB, 0, replace_memory(8000), 3000) == 3000 - 1024 - 80


def test_workspace_of_a_large_gpu_is_capped():
    assert workspace_for(20 * MB, 0, replace_memory(80000), 79000) == 8192


def test_workspace_that_was_asked_for_is_taken():
    assert workspace_for(20 * MB, 512, replace_memory(8000), 7500) == 512


@pytest.mark.parametrize("asked", [0, 6000])
def test_memory_that_will_not_do_is_told_before_the_build(asked):
    with pytest.raises(EngineError, match=r"only 1200 MB are free on Orin; stop what else"):
        workspace_for(20 * MB, asked, replace_memory(8000), 1200)


def replace_memory(megabytes):
    from dataclasses import replace

    return replace(DEVICE, memory_mb=megabytes)
