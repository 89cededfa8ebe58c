"""Bags with bytes lost, changed and missing: what can be read is, and nothing else happens."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs rosbags")

from bags import TOPICS, compress_lz4, list_events, read_raw, write_bag, write_ros1_bag

from stereo_depth_ros.errors import UserError
from stereo_depth_ros.recordings.bag import Bag, BagError
from stereo_depth_ros.recordings.bag_source import BagSource
from stereo_depth_ros.recordings.frame import Frame
from stereo_depth_ros.recordings.mended_mcap import MendedMcap, list_ends
from stereo_depth_ros.recordings.rig import Rig

PAIRS = 24
FORMS = {
    "mcap": lambda path, events: write_bag(path, events, "mcap"),
    "mcap, chunks by zstd": lambda path, events: write_bag(path, events, "mcap-zstd"),
    "mcap, chunks by lz4": lambda path, events: compress_lz4(write_bag(path, events, "mcap")),
    "mcap, messages by zstd": lambda path, events: write_bag(path, events, "mcap-message"),
    "sqlite3": lambda path, events: write_bag(path, events, "sqlite3"),
    "ROS 1": lambda path, events: write_ros1_bag(path.with_suffix(".bag"), events),
}


@pytest.fixture(scope="module")
def events():
    """Noise, which no compression makes small."""
    noise = np.random.default_rng(0).integers(0, 255, (PAIRS, 2, 120, 160, 3), np.uint8)
    return list_events([tuple(pair) for pair in noise])


def file_of(bag: Path) -> Path:
    return bag if bag.is_file() else next(p for p in bag.iterdir() if p.suffix != ".yaml")


def damage(content: bytes, dice: random.Random) -> bytes:
    place, size = dice.randrange(len(content)), dice.randrange(1, 200_000)
    changed = bytearray(content)
    match dice.randrange(4):
        case 0:
            del changed[place:]
        case 1:
            changed[place] ^= 255
        case 2:
            changed[place : place + size] = bytes(len(changed[place : place + size]))
        case 3:
            del changed[place : place + size]
    return bytes(changed)


@pytest.mark.parametrize("form", FORMS)
def test_damage_costs_pairs_and_raises_nothing_else(events, tmp_path, form):
    bag = FORMS[form](tmp_path / "in", events)
    file = file_of(bag)
    content = file.read_bytes()
    assert sum(isinstance(frame, Frame) for frame in BagSource(bag, Rig(), {})) == PAIRS
    dice = random.Random(form)
    counts = []
    for _ in range(16):
        file.write_bytes(damage(content, dice))
        try:
            frames = list(BagSource(bag, Rig(), {}))
        except UserError as error:
            assert "\n" not in str(error)
            continue
        names = [frame.name for frame in frames]
        assert names == [f"{index:06d}" for index in range(len(names))]
        counts.append(sum(isinstance(frame, Frame) for frame in frames))
    assert max(counts) <= PAIRS
    assert sum(count > 0 for count in counts) >= 3


def test_a_cut_mcap_gives_the_messages_before_the_cut(events, tmp_path):
    bag = write_bag(tmp_path / "in", events)
    whole = read_raw(bag)[TOPICS["left"]]
    content = file_of(bag).read_bytes()
    cut = tmp_path / "cut.mcap"
    most = 0
    for share in np.linspace(0, 1, 15):
        cut.write_bytes(content[: int(share * len(content))])
        try:
            with Bag(cut) as part:
                messages = [(m.time_ns, m.raw) for m in part.messages([TOPICS["left"]])]
        except BagError:
            assert share < 0.2
            continue
        assert messages == whole[: len(messages)]
        assert len(messages) >= most
        most = len(messages)
    assert most == PAIRS


def test_a_mended_file_reads_as_one_with_an_end(events, tmp_path):
    file = file_of(write_bag(tmp_path / "in", events[:20]))
    end = list_ends(file)[0]
    with MendedMcap(file, end).open("rb") as joined:
        content = joined.read()
        assert content[:end] == file.read_bytes()[:end]
        assert content[-8:] == b"\x89MCAP0\r\n"
        # Across the joint, and from the end.
        joined.seek(end - 3)
        assert joined.read(6) == content[end - 3 : end + 3]
        joined.seek(-37, 2)
        assert joined.read() == content[-37:]
