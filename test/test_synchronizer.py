from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise

import pytest

from stereo_depth_ros.synchronizer import LEFT, RIGHT, Pair, PairSynchronizer

MS = 1_000_000
SECOND = 1_000_000_000
PERIOD = 33_333_333
START = 1_700_000_000 * SECOND

Event = tuple[int, int, int]
"""Time of arrival, side and stamp, all times in ns."""


def stream(
    side: int,
    count: int,
    start: int = START,
    delay: int = 0,
    skew: int = 0,
    period: int = PERIOD,
    without: Iterable[int] = (),
) -> list[Event]:
    """The images of one side: stamped ``skew`` after the frame's time, arriving ``delay`` later."""
    frames = [start + n * period for n in range(count) if n not in set(without)]
    return [(time + skew + delay, side, time + skew) for time in frames]


def run(synchronizer: PairSynchronizer, events: Iterable[Event]) -> list[Pair]:
    """Feed ``events`` in order of arrival; messages are (side, stamp)."""
    pairs = [
        synchronizer.add(side, stamp, (side, stamp))
        for _, side, stamp in sorted(events, key=lambda event: event[0])
    ]
    return [pair for pair in pairs if pair is not None]


def frames(pairs: Iterable[Pair], start: int = START, period: int = PERIOD) -> list[int]:
    """The number of each pair's left image."""
    return [round((pair.left[1] - start) / period) for pair in pairs]


def order(*names: str) -> list[Event]:
    """Events from names such as L3: the left image number 3."""
    return [
        (n, LEFT if name[0] == "L" else RIGHT, START + int(name[1:]) * PERIOD)
        for n, name in enumerate(names)
    ]


# -- equal stamps --------------------------------------------------------------------------------


def test_a_steady_stream_pairs_completely_in_order():
    synchronizer = PairSynchronizer(slop_ns=0)
    pairs = run(synchronizer, stream(LEFT, 90) + stream(RIGHT, 90))
    assert frames(pairs) == list(range(90))
    assert all(pair.left[1] == pair.right[1] and pair.skew_ns == 0 for pair in pairs)
    assert synchronizer.paired == 90
    assert synchronizer.unpaired == [0, 0]
    assert (synchronizer.stale, synchronizer.jumps) == (0, 0)


def test_a_pair_holds_the_left_message_left_whichever_came_first():
    synchronizer = PairSynchronizer(slop_ns=0)
    left_first, right_first = run(synchronizer, order("L0", "R0", "R1", "L1"))
    assert (left_first.left[0], left_first.right[0]) == (LEFT, RIGHT)
    assert (right_first.left[0], right_first.right[0]) == (LEFT, RIGHT)


def test_a_pair_is_complete_with_its_second_message():
    synchronizer = PairSynchronizer(slop_ns=0)
    assert synchronizer.add(LEFT, START, "left") is None
    assert synchronizer.add(RIGHT, START, "right") == Pair("left", "right", 0)


def test_jitter_of_the_arrival_costs_nothing():
    jitter = random.Random(1)
    events = [
        (arrival + jitter.randrange(0, 25 * MS), side, stamp)
        for arrival, side, stamp in stream(LEFT, 90) + stream(RIGHT, 90)
    ]
    synchronizer = PairSynchronizer(slop_ns=0)
    assert frames(run(synchronizer, events)) == list(range(90))
    assert synchronizer.unpaired == [0, 0]


def test_images_dropped_on_one_side_cost_only_their_own_pairs():
    lost = (3, 10, 11, 12, 40)
    synchronizer = PairSynchronizer(slop_ns=0)
    pairs = run(synchronizer, stream(LEFT, 60) + stream(RIGHT, 60, without=lost))
    assert frames(pairs) == [n for n in range(60) if n not in lost]
    assert synchronizer.unpaired == [len(lost), 0]


def test_drops_are_counted_on_the_side_that_was_left_alone():
    synchronizer = PairSynchronizer(slop_ns=0)
    run(synchronizer, stream(LEFT, 30, without=(5, 6)) + stream(RIGHT, 30, without=(20,)))
    assert synchronizer.paired == 27
    assert synchronizer.unpaired == [1, 2]


def test_a_side_that_arrives_100_ms_late_loses_nothing():
    synchronizer = PairSynchronizer(slop_ns=0)
    pairs = run(synchronizer, stream(LEFT, 60) + stream(RIGHT, 60, delay=100 * MS))
    assert frames(pairs) == list(range(60))
    assert synchronizer.unpaired == [0, 0]


def test_a_pair_overtaken_by_a_newer_one_is_dropped():
    synchronizer = PairSynchronizer(slop_ns=0)
    pairs = run(synchronizer, order("L0", "R0", "L1", "L2", "R2", "R1", "L3", "R3"))
    assert frames(pairs) == [0, 2, 3]
    assert synchronizer.unpaired == [1, 0]
    assert synchronizer.stale == 1


def test_two_swapped_images_pair_while_nothing_newer_was_paired():
    synchronizer = PairSynchronizer(slop_ns=0)
    pairs = run(synchronizer, order("L1", "L0", "R0", "R1"))
    assert frames(pairs) == [0, 1]
    assert (synchronizer.unpaired, synchronizer.stale) == ([0, 0], 0)


def test_duplicates_pair_once_and_count_as_stale():
    synchronizer = PairSynchronizer(slop_ns=0)
    pairs = run(synchronizer, order("L0", "L0", "R0", "R0", "L0", "L1", "R1", "R1"))
    assert frames(pairs) == [0, 1]
    assert synchronizer.stale == 4
    assert synchronizer.unpaired == [0, 0]


def test_the_first_of_two_messages_with_one_stamp_is_kept():
    synchronizer = PairSynchronizer(slop_ns=0)
    synchronizer.add(LEFT, START, "first")
    synchronizer.add(LEFT, START, "second")
    assert synchronizer.add(RIGHT, START, "right").left == "first"


def test_zero_stamps_are_stale_after_the_first():
    synchronizer = PairSynchronizer()
    pairs = [synchronizer.add(side, 0, "image") for _ in range(20) for side in (LEFT, RIGHT)]
    assert sum(pair is not None for pair in pairs) <= 1
    assert synchronizer.stale == 38


def test_unequal_stamps_never_pair_without_approximation():
    synchronizer = PairSynchronizer(slop_ns=0)
    assert run(synchronizer, stream(LEFT, 60) + stream(RIGHT, 60, skew=1)) == []
    assert synchronizer.slop_ns == 0


# -- the clock -----------------------------------------------------------------------------------


def test_pairing_goes_on_at_once_when_the_clock_jumps_back():
    synchronizer = PairSynchronizer(slop_ns=0)
    before = run(synchronizer, stream(LEFT, 30) + stream(RIGHT, 30))
    back = START - 3600 * SECOND
    after = run(synchronizer, stream(LEFT, 30, back) + stream(RIGHT, 30, back))
    assert len(before) == 30
    assert frames(after, back) == list(range(30))
    assert synchronizer.jumps == 1


def test_a_straggler_of_the_old_clock_does_not_stop_pairing():
    synchronizer = PairSynchronizer(slop_ns=0)
    run(synchronizer, stream(LEFT, 30) + stream(RIGHT, 29))
    back = START - 60 * SECOND
    straggler = (back + 1, RIGHT, START + 29 * PERIOD)
    after = run(synchronizer, [*stream(LEFT, 30, back), straggler, *stream(RIGHT, 30, back)])
    assert frames(after, back)[-28:] == list(range(2, 30))


def test_pairing_goes_on_at_once_when_the_clock_jumps_forward():
    synchronizer = PairSynchronizer(slop_ns=0)
    run(synchronizer, stream(LEFT, 30) + stream(RIGHT, 30))
    ahead = START + 3600 * SECOND
    after = run(synchronizer, stream(LEFT, 30, ahead) + stream(RIGHT, 30, ahead))
    assert frames(after, ahead) == list(range(30))
    assert synchronizer.jumps == 0


def test_one_stamp_from_the_future_does_not_stop_pairing():
    synchronizer = PairSynchronizer(slop_ns=0)
    events = stream(LEFT, 60, without=(20,)) + stream(RIGHT, 60)
    events.append((START + 20 * PERIOD, LEFT, START + 3600 * SECOND))
    pairs = run(synchronizer, events)
    assert set(range(60)) - set(frames(pairs)) <= {19, 20, 21}


def test_a_looping_bag_pairs_in_every_round():
    synchronizer = PairSynchronizer()
    count = 20 * 30
    for round_number in range(3):
        pairs = run(synchronizer, stream(LEFT, count) + stream(RIGHT, count))
        assert frames(pairs) == list(range(count))
        assert synchronizer.jumps == round_number
    assert synchronizer.slop_ns == 0


def test_what_waited_when_the_clock_jumped_counts_as_unpaired():
    synchronizer = PairSynchronizer(slop_ns=0)
    run(synchronizer, stream(LEFT, 4))
    run(synchronizer, stream(LEFT, 1, START - 60 * SECOND))
    assert synchronizer.unpaired == [4, 0]


def test_pairing_goes_on_after_one_side_stalled_for_three_seconds():
    stalled = range(30, 120)
    synchronizer = PairSynchronizer(slop_ns=0)
    pairs = run(synchronizer, stream(LEFT, 150) + stream(RIGHT, 150, without=stalled))
    assert frames(pairs) == [*range(30), *range(120, 150)]
    assert synchronizer.unpaired == [90, 0]


def test_images_held_back_for_three_seconds_do_not_break_pairing():
    # A reliable transport that stalls delivers everything at once afterwards.
    stalled, resumed = START + 30 * PERIOD, START + 120 * PERIOD
    right = [
        (resumed if stalled <= arrival < resumed else arrival, side, stamp)
        for arrival, side, stamp in stream(RIGHT, 240)
    ]
    synchronizer = PairSynchronizer()
    pairs = run(synchronizer, stream(LEFT, 240) + right)
    assert frames(pairs)[:30] == list(range(30))
    assert frames(pairs)[-120:] == list(range(120, 240))
    assert all(pair.skew_ns == 0 for pair in pairs)


# -- the queue -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 10])
def test_only_the_newest_images_wait_for_a_partner(size):
    synchronizer = PairSynchronizer(slop_ns=0, queue_size=size)
    run(synchronizer, stream(LEFT, 50))
    assert synchronizer.unpaired == [50 - size, 0]
    pairs = run(synchronizer, stream(RIGHT, 50))
    assert frames(pairs) == list(range(50 - size, 50))


# -- nearest stamps ------------------------------------------------------------------------------


def approximate(slop_ns: int, skew: int = 1 * MS, **how: int) -> PairSynchronizer:
    """A synchronizer that has seen, until a second before START, that stamps are never equal."""
    synchronizer = PairSynchronizer(slop_ns=slop_ns, **how)
    before = START - SECOND - 20 * PERIOD
    assert run(synchronizer, stream(LEFT, 20, before) + stream(RIGHT, 20, before, skew=skew))
    assert synchronizer.slop_ns == slop_ns
    return synchronizer


def test_approximate_pairs_within_the_slop():
    synchronizer = approximate(5 * MS)
    pairs = run(synchronizer, stream(LEFT, 60) + stream(RIGHT, 60, skew=4 * MS))
    assert frames(pairs) == list(range(60))
    assert {pair.skew_ns for pair in pairs} == {4 * MS}


def test_skew_is_right_minus_left_stamp():
    synchronizer = approximate(5 * MS)
    pairs = run(synchronizer, stream(LEFT, 40) + stream(RIGHT, 40, skew=-3 * MS))
    assert {pair.skew_ns for pair in pairs} == {-3 * MS}
    assert synchronizer.typical_skew_ns() == -3 * MS


@pytest.mark.parametrize(("difference", "paired"), [(5 * MS, True), (5 * MS + 1, False)])
def test_the_slop_itself_is_within_the_slop(difference, paired):
    synchronizer = approximate(5 * MS)
    synchronizer.add(LEFT, START, "left")
    assert (synchronizer.add(RIGHT, START + difference, "right") is not None) == paired


def test_approximate_takes_the_nearest():
    synchronizer = approximate(10 * MS)
    for name, stamp in (("far", START), ("near", START + 6 * MS), ("after", START + 12 * MS)):
        synchronizer.add(LEFT, stamp, name)
    assert synchronizer.add(RIGHT, START + 7 * MS, "right").left == "near"


def test_approximate_prefers_equal_stamps_and_returns_to_them():
    synchronizer = approximate(10 * MS)
    for stamp in (START, START + 1, START + 2):
        synchronizer.add(LEFT, stamp, stamp)
    assert synchronizer.add(RIGHT, START + 1, "right").left == START + 1
    assert synchronizer.slop_ns == 0


def test_approximate_uses_no_image_twice():
    synchronizer = approximate(10 * MS)
    synchronizer.add(LEFT, START, "left")
    assert synchronizer.add(RIGHT, START + 1 * MS, "first") is not None
    assert synchronizer.add(RIGHT, START + 2 * MS, "second") is None


def test_approximate_passes_over_what_is_older_than_a_pair():
    synchronizer = approximate(10 * MS)
    unpaired = list(synchronizer.unpaired)
    synchronizer.add(LEFT, START, "older")
    synchronizer.add(LEFT, START + 6 * MS, "paired")
    assert synchronizer.add(RIGHT, START + 7 * MS, "right").left == "paired"
    assert synchronizer.add(RIGHT, START + 8 * MS, "next") is None
    assert synchronizer.unpaired == [unpaired[0] + 1, unpaired[1]]


# -- exact first, then the stated slop -----------------------------------------------------------


@pytest.mark.parametrize("skew_ms", [4, -4, 9, -9])
def test_pairs_by_nearest_stamp_once_ten_images_found_no_partner(skew_ms):
    synchronizer = PairSynchronizer(slop_ns=10 * MS)
    pairs = run(synchronizer, stream(LEFT, 60) + stream(RIGHT, 60, skew=skew_ms * MS))
    assert len(pairs) >= 50
    assert frames(pairs) == list(range(60 - len(pairs), 60))
    assert {pair.skew_ns for pair in pairs} == {skew_ms * MS}


def test_a_skew_beyond_the_stated_slop_is_known_but_never_paired():
    synchronizer = PairSynchronizer(slop_ns=5 * MS)
    assert run(synchronizer, stream(LEFT, 90) + stream(RIGHT, 90, skew=8 * MS)) == []
    assert synchronizer.typical_skew_ns() == 8 * MS


@pytest.mark.parametrize("loss", [0.3, 0.7, 0.8, 0.9])
@pytest.mark.parametrize("seed", range(5))
def test_equal_stamps_are_never_paired_with_others_however_many_are_lost(loss, seed):
    chance = random.Random(seed)
    kept = [{n for n in range(3000) if chance.random() > loss} for _ in range(2)]
    pairs = run(
        PairSynchronizer(),
        stream(LEFT, 3000, without=set(range(3000)) - kept[0])
        + stream(RIGHT, 3000, without=set(range(3000)) - kept[1]),
    )
    assert {pair.skew_ns for pair in pairs} == {0}
    assert frames(pairs) == sorted(kept[0] & kept[1])


def test_what_is_older_than_the_age_limit_is_dropped_and_counted():
    synchronizer = PairSynchronizer(slop_ns=0, queue_size=100, max_age_ns=300 * MS)
    run(synchronizer, stream(LEFT, 30))
    assert synchronizer.unpaired == [20, 0]
    assert run(synchronizer, stream(RIGHT, 5)) == []
    assert frames(run(synchronizer, stream(RIGHT, 5, START + 25 * PERIOD))) == [25, 26, 27, 28, 29]


def test_waits_for_ten_images_of_each_side():
    synchronizer = PairSynchronizer()
    run(synchronizer, stream(LEFT, 30) + stream(RIGHT, 9, skew=4 * MS))
    assert synchronizer.slop_ns == 0
    run(synchronizer, [(0, RIGHT, START + 9 * PERIOD + 4 * MS)])
    assert synchronizer.slop_ns == 10 * MS


def test_stays_exact_while_stamps_are_equal():
    drops = random.Random(2)
    lost = [{n for n in range(900) if drops.random() < 0.3} for _ in range(2)]
    synchronizer = PairSynchronizer()
    pairs = run(
        synchronizer, stream(LEFT, 900, without=lost[0]) + stream(RIGHT, 900, without=lost[1])
    )
    assert frames(pairs) == [n for n in range(900) if n not in lost[0] | lost[1]]
    assert synchronizer.slop_ns == 0


def test_stays_exact_when_one_side_is_silent():
    synchronizer = PairSynchronizer()
    run(synchronizer, stream(LEFT, 300))
    assert synchronizer.slop_ns == 0


def test_stays_exact_when_equal_stamps_missed_each_other():
    # Every image's partner comes, but after it was dropped from the queue.
    synchronizer = PairSynchronizer(queue_size=2)
    late = stream(RIGHT, 50, delay=5 * PERIOD + 1)
    assert run(synchronizer, stream(LEFT, 60) + late) == []
    assert synchronizer.slop_ns == 0


@pytest.mark.parametrize("share", [0.47, 0.5, 0.53])
def test_never_pairs_images_half_a_period_apart(share):
    synchronizer = PairSynchronizer()
    events = stream(LEFT, 300) + stream(RIGHT, 300, skew=round(share * PERIOD))
    assert run(synchronizer, events) == []
    assert synchronizer.typical_skew_ns() is None


@pytest.mark.parametrize(
    ("rate", "skew_ms"), [(30, 4), (30, 12), (30, 14.5), (60, 4), (90, 1), (90, 4), (120, 2)]
)
def test_never_pairs_neighbouring_frames_after_a_drop(rate, skew_ms):
    period, skew = SECOND // rate, round(skew_ms * MS)
    synchronizer = PairSynchronizer(slop_ns=20 * MS)
    pairs = run(
        synchronizer,
        stream(LEFT, 90, period=period, without=(40,))
        + stream(RIGHT, 90, skew=skew, period=period, without=(60,)),
    )
    assert {pair.skew_ns for pair in pairs} == {skew}
    assert frames(pairs, period=period)[-29:] == list(range(61, 90))


def test_forgives_jitter_of_the_stamps():
    jitter = random.Random(3)
    events = []
    for side, skew in ((LEFT, 0), (RIGHT, 4 * MS)):
        for arrival, _, stamp in stream(side, 120, skew=skew):
            events.append((arrival, side, stamp + jitter.randrange(-MS, MS)))
    pairs = run(PairSynchronizer(), events)
    assert frames(pairs)[-100:] == list(range(20, 120))
    assert all(2 * MS <= pair.skew_ns <= 6 * MS for pair in pairs)


def test_pairs_cameras_that_are_approximate_across_a_clock_jump():
    synchronizer = PairSynchronizer()
    run(synchronizer, stream(LEFT, 60) + stream(RIGHT, 60, skew=4 * MS))
    back = START - 60 * SECOND
    after = run(synchronizer, stream(LEFT, 60, back) + stream(RIGHT, 60, back, skew=4 * MS))
    assert frames(after, back) == list(range(60))


def test_typical_skew_is_unknown_at_first():
    synchronizer = PairSynchronizer()
    assert synchronizer.typical_skew_ns() is None
    run(synchronizer, stream(LEFT, 2) + stream(RIGHT, 2))
    assert synchronizer.typical_skew_ns() is None


def test_typical_skew_is_forgotten_when_the_clock_jumps():
    synchronizer = PairSynchronizer()
    run(synchronizer, stream(LEFT, 40) + stream(RIGHT, 40, skew=4 * MS))
    assert synchronizer.typical_skew_ns() == 4 * MS
    back = START - 60 * SECOND
    run(synchronizer, stream(LEFT, 2, back) + stream(RIGHT, 2, back))
    assert synchronizer.typical_skew_ns() is None


def test_typical_skew_is_unknown_for_clocks_that_have_nothing_in_common():
    synchronizer = PairSynchronizer()
    run(
        synchronizer,
        stream(LEFT, 60) + [(a, s, t - 1000 * SECOND) for a, s, t in stream(RIGHT, 60)],
    )
    assert synchronizer.typical_skew_ns() is None


# -- invariants ----------------------------------------------------------------------------------


def shuffled_streams(seed: int) -> tuple[list[Event], int]:
    """Streams with random drops, delays, disorder, duplicates and jitter of the stamps."""
    chance = random.Random(seed)
    jitter = chance.choice([0, 0, 2 * MS, 12 * MS])
    events: list[Event] = []
    for side in (LEFT, RIGHT):
        skew = chance.choice([0, 0, 3 * MS, -8 * MS])
        loss, delay = chance.choice([0.0, 0.1, 0.5]), chance.choice([0, 5 * MS, 90 * MS])
        for arrival, _, stamp in stream(side, 200, skew=skew):
            if chance.random() < loss:
                continue
            stamp += chance.randint(-jitter, jitter)
            late = chance.randint(0, delay) if delay else 0
            events += [(arrival + late, side, stamp)] * (2 if chance.random() < 0.05 else 1)
    return events, chance.choice([1, 3, 10, 30])


@pytest.mark.parametrize("slop_ms", [0, 4, 10])
@pytest.mark.parametrize("seed", range(40))
def test_whatever_arrives_pairs_are_new_ordered_and_close(slop_ms, seed):
    events, queue_size = shuffled_streams(seed)
    synchronizer = PairSynchronizer(slop_ms * MS, queue_size)
    emitted: list[Pair] = []
    for _, side, stamp in sorted(events, key=lambda event: event[0]):
        pair = synchronizer.add(side, stamp, (side, stamp))
        if pair is None:
            continue
        assert (side, stamp) in (pair.left, pair.right)
        assert (pair.left[0], pair.right[0]) == (LEFT, RIGHT)
        assert pair.skew_ns == pair.right[1] - pair.left[1]
        assert abs(pair.skew_ns) <= slop_ms * MS
        emitted.append(pair)
    for earlier, later in pairwise(emitted):
        assert later.left[1] > earlier.left[1]
        assert later.right[1] > earlier.right[1]
    assert synchronizer.paired == len(emitted)
    assert synchronizer.jumps == 0


@pytest.mark.parametrize("seed", range(20))
def test_every_image_is_paired_unpaired_stale_or_still_waiting(seed):
    events, queue_size = shuffled_streams(seed)
    synchronizer = PairSynchronizer(10 * MS, queue_size)
    run(synchronizer, events)
    accounted = 2 * synchronizer.paired + sum(synchronizer.unpaired) + synchronizer.stale
    assert 0 <= len(events) - accounted <= 2 * queue_size


@pytest.mark.parametrize("seed", range(10))
def test_exact_pairs_every_stamp_that_both_sides_sent_in_order(seed):
    chance = random.Random(seed)
    kept = [{n for n in range(200) if chance.random() > 0.3} for _ in range(2)]
    delay = chance.choice([0, 40 * MS, 90 * MS])
    pairs = run(
        PairSynchronizer(slop_ns=0),
        stream(LEFT, 200, without=set(range(200)) - kept[0])
        + stream(RIGHT, 200, delay=delay, without=set(range(200)) - kept[1]),
    )
    assert frames(pairs) == sorted(kept[0] & kept[1])


def nanoseconds(message) -> int:
    return message.header.stamp.sec * SECOND + message.header.stamp.nanosec


@pytest.mark.parametrize("seed", range(5))
def test_equal_stamps_pair_as_message_filters_pairs_them(seed):
    message_filters = pytest.importorskip("message_filters", reason="needs ROS 2's message_filters")
    from sensor_msgs.msg import Image

    chance = random.Random(seed)
    events = [
        (arrival + chance.randrange(0, 20 * MS), side, stamp)
        for arrival, side, stamp in stream(LEFT, 100) + stream(RIGHT, 100)
        if chance.random() > 0.2
    ]
    events.sort(key=lambda event: event[0])
    filters = [message_filters.SimpleFilter() for _ in range(2)]
    expected: list[int] = []
    theirs = message_filters.TimeSynchronizer(filters, 10)
    theirs.registerCallback(lambda left, right: expected.append(nanoseconds(left)))
    ours: list[int] = []
    synchronizer: PairSynchronizer[Image] = PairSynchronizer()
    for _, side, stamp in events:
        message = Image()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, SECOND)
        filters[side].signalMessage(message)
        pair = synchronizer.add(side, nanoseconds(message), message)
        if pair is not None:
            ours.append(nanoseconds(pair.left))
    assert len(ours) > 40
    assert ours == expected


@pytest.mark.parametrize(("hz", "count"), [(30, 18), (60, 36), (10, 6), (5, 3)])
@pytest.mark.parametrize("delay", [0, 40 * MS])
@pytest.mark.parametrize("skew", [0, 3 * MS])
def test_a_bag_of_600_ms_gives_pairs_in_every_round(hz, count, delay, skew):
    period = SECOND // hz
    synchronizer = PairSynchronizer(slop_ns=10 * MS)
    # Until it is certain that stamps are never equal, nothing is paired.
    run(synchronizer, stream(LEFT, 20, 0) + stream(RIGHT, 20, 0, skew=skew))
    counts = []
    for number in range(8):
        shift = number * (count + 1) * period
        events = stream(LEFT, count, period=period)
        events += stream(RIGHT, count, period=period, delay=delay, skew=skew)
        counts.append(
            len(run(synchronizer, [(time + shift, side, stamp) for time, side, stamp in events]))
        )
    assert counts[0] >= count - 1
    # The third image of a side that was there before shows that the clock went back.
    assert min(counts) >= max(count - 3, 1)
    assert synchronizer.jumps <= 8


def test_images_that_come_twice_do_not_pass_for_a_new_round():
    """As of two relays of one camera, the slower of them three images behind."""
    fast = stream(LEFT, 60) + stream(RIGHT, 60)
    slow = [(time + 3 * PERIOD + 1, side, stamp) for time, side, stamp in fast[:57] + fast[60:117]]
    synchronizer = PairSynchronizer(slop_ns=0)
    assert frames(run(synchronizer, fast + slow)) == list(range(60))
    assert (synchronizer.jumps, synchronizer.stale) == (0, 114)
