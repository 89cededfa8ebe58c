"""Bags in, bags out: values, forms, and what is damaged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip("rosbags", reason="needs rosbags")

from bags import (
    CAMERA,
    INFOS,
    PERIOD_NS,
    START_NS,
    TOPICS,
    compress_lz4,
    error_of,
    floats,
    list_events,
    read_bag,
    read_raw,
    split_sqlite,
    write_bag,
    write_ros1_bag,
)


def png(image):
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


@pytest.fixture(scope="module")
def depth_of(views):
    """Depth of a pair as the pipeline gives it, (H, W) float32 m."""
    from stereo_depth_ros.engines import open_engine
    from stereo_depth_ros.pipeline import StereoPipeline

    pipeline = StereoPipeline(open_engine("sgbm"))
    return [pipeline.match(left, right, CAMERA).depth for left, right in views]


FORMS = {
    "mcap": lambda path, events: write_bag(path, events, "mcap"),
    "mcap, chunks by zstd": lambda path, events: write_bag(path, events, "mcap-zstd"),
    "mcap, chunks by lz4": lambda path, events: compress_lz4(write_bag(path, events, "mcap")),
    "mcap, messages by zstd": lambda path, events: write_bag(path, events, "mcap-message"),
    "one mcap file": lambda path, events: next(write_bag(path, events, "mcap").glob("*.mcap")),
    "sqlite3": lambda path, events: write_bag(path, events, "sqlite3"),
    "sqlite3, file by zstd": lambda path, events: write_bag(path, events, "sqlite3-file"),
    "sqlite3 in three files": lambda path, events: split_sqlite(path, events, 3),
    "ROS 1": lambda path, events: write_ros1_bag(path.with_suffix(".bag"), events),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_bag_becomes_the_same_depth(run, views, truth, depth_of, tmp_path, form):
    source = FORMS[form](tmp_path / "in", list_events(views[:5]))

    outcome = run(source, "-o", tmp_path / "out")

    assert outcome.status == 0, outcome.err
    assert "left: /cam/left/image_rect (guessed; --left decides)" in outcome.out
    content = read_bag(tmp_path / "out")
    assert {topic: len(messages) for topic, messages in content.items()} == dict.fromkeys(
        ("/depth/image_rect", "/depth/camera_info", "/disparity", "/confidence/image"), 5
    )
    for index, (time_ns, message) in enumerate(content["/depth/image_rect"]):
        stamp = START_NS + index * PERIOD_NS
        assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == stamp
        assert message.header.frame_id == "left_cam"
        assert time_ns == stamp + 1_000_002
        np.testing.assert_array_equal(floats(message), depth_of[index])
    assert error_of(floats(message), truth) < 0.05


def test_a_bag_becomes_files_by_wish(run, views, depth_of, tmp_path):
    source = write_bag(tmp_path / "in", list_events(views[:3]))

    assert run(source, "-o", tmp_path / "out", "--to", "folder").status == 0

    for index in range(3):
        depth = np.load(tmp_path / f"out/depth/{index:06d}.npy")
        np.testing.assert_array_equal(depth, depth_of[index])


@pytest.mark.parametrize("ros1", [False, True], ids=["ROS 2", "ROS 1"])
def test_the_other_messages_are_copied_on_request(run, views, tmp_path, ros1):
    events = list_events(views[:3])
    path = tmp_path / "in.bag" if ros1 else tmp_path / "in"
    source = (write_ros1_bag if ros1 else write_bag)(path, events)

    command = (source, "-o", tmp_path / "out", "--outputs", "depth", "points")
    assert run(*command, "--originals").status == 0

    content = read_bag(tmp_path / "out")
    counts = Counter(event.topic for event in events)
    assert {topic: len(content[topic]) for topic in counts} == counts
    for index, (_, message) in enumerate(content[TOPICS["left"]]):
        np.testing.assert_array_equal(message.data, views[index][0].ravel())
    assert len(content["/points"]) == 3
    order = [time_ns for messages in content.values() for time_ns, _ in messages]
    assert min(order) == START_NS + 1_000_000


# -- what is missing or damaged --------------------------------------------------------------------


def test_missing_halves_and_clock_jumps_are_counted(run, views, depth_of, tmp_path):
    events = list_events(views[:4])
    lost = next(
        e for e in events if e.topic == TOPICS["right"] and e.stamp_ns == START_NS + PERIOD_NS
    )
    events.remove(lost)
    # The clock of the cameras goes back by an hour, that of the recorder goes on.
    later = list_events(views[4:7], START_NS - 3_600_000_000_000)
    shift = 3_600_000_000_000 + 4 * PERIOD_NS
    events += [replace(e, time_ns=e.time_ns + shift) for e in later]

    outcome = run(write_bag(tmp_path / "in", events), "-o", tmp_path / "out")

    assert outcome.status == 0, outcome.err
    assert "6 pairs with depth, 0 skipped" in outcome.out
    assert "1 x images without a partner" in outcome.out
    assert "1 x jumps of the clock" in outcome.out
    depths = [floats(message) for _, message in read_bag(tmp_path / "out")["/depth/image_rect"]]
    for found, index in zip(depths, (0, 2, 3, 4, 5, 6), strict=True):
        np.testing.assert_array_equal(found, depth_of[index])


def test_damaged_messages_are_named_counted_and_skipped(run, views, tmp_path):
    pictures = [(png(left), png(right)) for left, right in views[:5]]
    pictures[2] = (pictures[2][0][:500], pictures[2][1])
    events = [
        replace(e, topic=e.topic + "/compressed") if e.value is not None else e
        for e in list_events(pictures)
    ]

    outcome = run(write_bag(tmp_path / "in", events), "-o", tmp_path / "out")

    assert outcome.status == 0, outcome.err
    assert "4 pairs with depth, 1 skipped" in outcome.out
    assert "left image: 500 bytes of format 'rgb8; png compressed" in outcome.out


def test_a_message_cut_short_is_named_and_its_partner_counted(run, views, tmp_path, monkeypatch):
    import bags

    serialize = bags.Messages.serialize

    def cut(self, event):
        kind, raw = serialize(self, event)
        is_cut = event.topic == TOPICS["left"] and event.stamp_ns == START_NS + PERIOD_NS
        return kind, raw[:1000] if is_cut else raw

    monkeypatch.setattr(bags.Messages, "serialize", cut)
    source = write_bag(tmp_path / "in", list_events(views[:4]))

    outcome = run(source, "-o", tmp_path / "out")

    assert outcome.status == 0, outcome.err
    assert "3 pairs with depth, 0 skipped" in outcome.out
    assert "1 x /cam/left/image_rect: damaged message" in outcome.out
    assert "1 x images without a partner" in outcome.out


@pytest.mark.parametrize("late", ["after its images", "two pairs late"])
def test_pairs_before_the_first_camera_info_take_that_one(run, views, depth_of, tmp_path, late):
    events = list_events(views[:4])
    if late == "after its images":
        # At one time the order is that of writing: every image before its camera_info.
        events = [replace(e, time_ns=e.stamp_ns) for e in events]
        events.sort(key=lambda e: (e.stamp_ns, e.value is None))
    else:
        events = [e for e in events if e.value is not None or e.stamp_ns > START_NS + PERIOD_NS]

    outcome = run(write_bag(tmp_path / "in", events), "-o", tmp_path / "out")

    assert outcome.status == 0
    assert "4 pairs with depth, 0 skipped" in outcome.out
    depths = [floats(message) for _, message in read_bag(tmp_path / "out")["/depth/image_rect"]]
    for found, expected in zip(depths, depth_of[:4], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_calibration_file_stands_in_for_camera_info(run, views, depth_of, folders, tmp_path):
    source = write_bag(tmp_path / "in", list_events(views[:2], has_infos=False))

    outcome = run(source, "-o", tmp_path / "out")
    assert outcome.status == 1
    assert "no camera_info: the bag holds none of the left camera; name" in outcome.err
    assert not (tmp_path / "out").exists()

    assert run(source, "-o", tmp_path / "out", "--calib", folders.calib).status == 0
    depths = [floats(message) for _, message in read_bag(tmp_path / "out")["/depth/image_rect"]]
    for found, expected in zip(depths, depth_of, strict=False):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_truncated_mcap_is_read_up_to_its_last_whole_chunk(run, views, tmp_path, share):
    source = write_bag(tmp_path / "in", list_events([*views, *views]))
    (file,) = source.glob("*.mcap")
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])

    outcome = run(source, "-o", tmp_path / "out")

    assert outcome.status == 0, outcome.err
    assert "is cut off" in outcome.out
    count = len(read_bag(tmp_path / "out")["/depth/image_rect"])
    # A chunk holds about ten pairs.
    assert 24 * share - 11 < count <= 24 * share
    assert f"{count} pairs with depth, 0 skipped" in outcome.out


def test_a_damaged_chunk_costs_little_more_than_itself(run, views, tmp_path):
    source = write_bag(tmp_path / "in", list_events([*views, *views, *views]), "mcap-zstd")
    (file,) = source.glob("*.mcap")
    content = bytearray(file.read_bytes())
    begin_of_zstd = b"\x28\xb5\x2f\xfd"
    middle = content.index(begin_of_zstd, len(content) // 2)
    content[middle : middle + 4] = bytes(4)
    file.write_bytes(content)

    outcome = run(source, "-o", tmp_path / "out")

    assert outcome.status == 0, outcome.err
    assert "is damaged: " in outcome.out
    count = len(read_bag(tmp_path / "out")["/depth/image_rect"])
    assert 15 <= count < 36


@pytest.mark.parametrize("content", [b"", b"\x89MCAP0\r\n", b"nonsense" * 100])
def test_a_file_that_is_no_bag_is_named(run, tmp_path, content):
    (tmp_path / "in.mcap").write_bytes(content)
    outcome = run(tmp_path / "in.mcap", "-o", tmp_path / "out")
    assert outcome.status == 1
    assert f"{tmp_path / 'in.mcap'} cannot be read: " in outcome.err
    assert outcome.err.count("\n") == 1


# -- 16 bits, and what the stream remembers --------------------------------------------------------


def test_brightness_of_16_bit_images_is_that_of_the_stream(run, views, tmp_path):
    """The scale stays that of the first pair, however dark the next ones are."""

    def deepen(image, gain):
        return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint16) * gain

    gains = [200, 200, 100, 100]
    pairs = [tuple(deepen(i, gain) for i in pair) for pair, gain in zip(views, gains, strict=False)]
    source = write_bag(tmp_path / "in", list_events(pairs))

    assert run(source, "-o", tmp_path / "out").status == 0

    from stereo_depth_ros.decoding.levels import Levels, to_rgb
    from stereo_depth_ros.decoding.samples import Samples
    from stereo_depth_ros.engines import open_engine
    from stereo_depth_ros.pipeline import StereoPipeline

    levels, pipeline = Levels(), StereoPipeline(open_engine("sgbm"))
    for pair, (_, message) in zip(
        pairs, read_bag(tmp_path / "out")["/depth/image_rect"], strict=True
    ):
        left, right = to_rgb([Samples(i, cv2.COLOR_GRAY2RGB) for i in pair], levels)
        assert left.max() < 256
        np.testing.assert_array_equal(floats(message), pipeline.match(left, right, CAMERA).depth)


def test_records_tell_what_became_of_each_pair(run, views, tmp_path):
    bad = (views[1][0], views[1][1][:60])
    source = write_bag(tmp_path / "in", list_events([views[0], bad, views[2]]))

    outcome = run(source, "-o", tmp_path / "out")

    lines = [json.loads(line) for line in (tmp_path / "out/frames.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines[1:4]] == ["000000", "000001", "000002"]
    assert [line["skipped"] == "" for line in lines[1:4]] == [True, False, True]
    assert "right image is 160 x 60 but camera_info says 160 x 120" in lines[2]["skipped"]
    assert outcome.status == 0
    assert INFOS["left"] in outcome.out


# -- parts, memory, and the library ----------------------------------------------------------------


def test_a_large_bag_is_written_in_parts(run, views, tmp_path, monkeypatch):
    """A run that ends between parts, and goes on, writes what one in one go does."""
    from stereo_depth_ros.recordings import bag_target

    source = write_bag(tmp_path / "in", list_events(views))
    assert run(source, "-o", tmp_path / "whole" / "out").status == 0
    # Each pair has 231 kB of results.
    monkeypatch.setattr(bag_target, "PART_BYTES", 900_000)
    write = bag_target.BagTarget._write_messages
    ends = iter([False, True, False, True])

    def write_or_end(self, folder, records, stop_ns):
        write(self, folder, records, stop_ns)
        if next(ends, False):
            raise KeyboardInterrupt

    monkeypatch.setattr(bag_target.BagTarget, "_write_messages", write_or_end)
    out = tmp_path / "out"
    statuses = [run(source, "-o", out, "--originals").status for _ in range(3)]

    assert statuses == [130, 130, 0]
    assert sorted(path.name for path in out.glob("*.mcap")) == [f"out_{i}.mcap" for i in range(3)]
    content, whole = read_raw(out), read_raw(tmp_path / "whole" / "out")
    for topic, messages in whole.items():
        assert content[topic] == messages
    for side in TOPICS:
        assert len(content[TOPICS[side]]) == len(content[INFOS[side]]) == 12
    metadata = yaml.safe_load((out / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert metadata["message_count"] == sum(map(len, content.values()))
    assert [file["path"] for file in metadata["files"]] == metadata["relative_file_paths"]


@pytest.mark.slow
def test_memory_stays_flat_over_thousands_of_pairs(tmp_path):
    """The peak of the second half of a recording is that of the first."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 255, (2, 32, 64, 3), np.uint8)
    changes = {"p": np.array([60.0, 0, 31.5, 0, 0, 60, 15.5, 0, 0, 0, 1, 0])}
    right = {"p": np.array([60.0, 0, 31.5, -6, 0, 60, 15.5, 0, 0, 0, 1, 0])}

    def small(events):
        for event in events:
            size = {"width": 64, "height": 32}
            if event.value is None:
                extra = right if event.side == "right" else changes
                yield replace(event, changes=size | extra)
            else:
                yield event

    source = write_bag(tmp_path / "in", small(list_events([tuple(noise)] * 4000)))
    code = f"""
import resource
from pathlib import Path
from stereo_depth_ros.recordings.matcher import Plan
from stereo_depth_ros.recordings.open_source import open_source
from stereo_depth_ros.recordings.open_target import open_target
from stereo_depth_ros.recordings.process import process
from stereo_depth_ros.recordings.rig import Rig
from stereo_depth_ros.settings import Settings
source = open_source([{str(source)!r}], Rig())
target = open_target(Path({str(tmp_path / "out")!r}), source)
plan = Plan("sgbm", "auto", 0, Settings(), target.writer)
peaks = []
def look(record, is_new):
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
process(source, target, plan, is_checked=False, done=look)
print(len(peaks), peaks[500], peaks[-1])
"""
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=600
    )

    assert outcome.returncode == 0, outcome.stderr
    count, early, late = map(int, outcome.stdout.split())
    assert count == 4000
    # In kB; a record of a pair takes about one.
    assert late - early < 12_000


def test_a_missing_library_is_an_error_that_says_what_to_install(run, views, tmp_path, monkeypatch):
    source = write_bag(tmp_path / "in", list_events(views[:1]))
    for name in [*sys.modules]:
        if name.split(".")[0] == "rosbags":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rosbags", None)

    outcome = run(source, "-o", tmp_path / "out")

    assert outcome.status == 1
    assert "pip install 'stereo_depth_ros[recordings]'" in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("damage", ["a file is missing", "a file is damaged", "no metadata"])
def test_a_split_bag_gives_what_is_left_of_it(run, views, tmp_path, damage):
    source = split_sqlite(tmp_path / "in", list_events(views), 3)
    middle = source / "in_1.db3"
    if damage == "a file is missing":
        middle.unlink()
    elif damage == "a file is damaged":
        middle.write_bytes(b"nonsense" * 999)
    else:
        (source / "metadata.yaml").unlink()

    outcome = run(source, "-o", tmp_path / "out")

    assert outcome.status == 0, outcome.err
    count = 12 if damage == "no metadata" else 8
    assert f"{count} pairs with depth, 0 skipped" in outcome.out
    if count == 8:
        assert "is damaged: " in outcome.out


def test_what_spoils_the_depth_is_said_once(run, views, tmp_path):
    dim = [(left, (right * 0.5).astype(np.uint8)) for left, right in views[:4]]

    outcome = run(write_bag(tmp_path / "in", list_events(dim)), "-o", tmp_path / "out")

    assert outcome.status == 0
    assert outcome.out.count("the exposures differ; give both cameras the same exposure") == 1
    assert "the exposures differ" in (tmp_path / "out/report.html").read_text()


def test_images_that_the_engine_cannot_match_are_skipped(run, views, tmp_path):
    from bags import START_NS as start

    tiny = [(left[:4], right[:4]) for left, right in views[:2]]
    events = list_events(tiny, start)
    for event in events:
        tx = -15.6 if event.side == "right" else 0.0
        p = np.array([130, 0, 79.5, tx, 0, 130, 1.5, 0, 0, 0, 1, 0])
        event.changes.update({"width": 160, "height": 4, "p": p})
    later = list_events(views[:2], start + 10 * PERIOD_NS)

    outcome = run(write_bag(tmp_path / "in", events + later), "-o", tmp_path / "out", "--no-check")

    assert outcome.status == 0, outcome.err
    assert "2 pairs with depth, 2 skipped" in outcome.out
    assert "the images are 160 x 4; at least 5 x 5 px are needed to match" in outcome.out


def test_a_bag_is_not_split(run, views, tmp_path):
    source = write_bag(tmp_path / "in", list_events(views[:1]))
    outcome = run(source, "-o", tmp_path / "out", "--split", "side-by-side")
    assert outcome.status == 1
    assert "--split divides one video, and SOURCE is none; leave it out" in outcome.err
