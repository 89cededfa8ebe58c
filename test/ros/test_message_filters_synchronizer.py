from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from sensor_msgs.msg import Image

from stereo_depth_ros.ros.message_filters_synchronizer import MessageFiltersSynchronizer
from stereo_depth_ros.stamps import LEFT, RIGHT

MS = 1_000_000
PERIOD = 33 * MS
START = 1_000_000 * MS


def feed(synchronizer: MessageFiltersSynchronizer, side: int, stamp: int):
    message = Image()
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 1000 * MS)
    return synchronizer.add(side, stamp, message)


def feed_both(
    synchronizer: MessageFiltersSynchronizer, count: int, start: int = START, skew: int = 0
) -> list[int]:
    """Feed both sides and return the skews of the pairs."""
    pairs = []
    for number in range(count):
        stamp = start + number * PERIOD
        pairs += [feed(synchronizer, LEFT, stamp), feed(synchronizer, RIGHT, stamp + skew)]
    return [pair.skew_ns for pair in pairs if pair is not None]


def test_without_the_package_the_cure_is_named():
    try:
        import message_filters  # noqa: F401
    except ImportError:
        with pytest.raises(ValueError, match="set sync to latest"):
            MessageFiltersSynchronizer(0, 10)
    else:
        assert MessageFiltersSynchronizer(0, 10).paired == 0


@pytest.fixture
def exact():
    pytest.importorskip("message_filters", reason="needs ROS 2's message_filters")
    return MessageFiltersSynchronizer(0, 10)


@pytest.fixture
def approximate():
    pytest.importorskip("message_filters", reason="needs ROS 2's message_filters")
    return MessageFiltersSynchronizer(5 * MS, 10)


def test_exact_pairs_equal_stamps_only(exact):
    assert feed_both(exact, 20) == [0] * 20
    assert feed_both(exact, 20, START + 40 * PERIOD, skew=1 * MS) == []
    assert exact.typical_skew_ns() is not None


def test_approximate_pairs_within_the_slop(approximate):
    assert feed_both(approximate, 20, skew=4 * MS) == [4 * MS] * 20
    assert feed_both(approximate, 20, START + 40 * PERIOD, skew=6 * MS) == []


def test_pairing_goes_on_when_the_clock_jumps_back(exact):
    feed(exact, LEFT, START + 100 * PERIOD)
    assert feed_both(exact, 20) == [0] * 20
    feed_both(exact, 15, START + 200 * PERIOD)
    assert feed_both(exact, 20) == [0] * 20
    assert exact.jumps == 2


def test_what_found_no_partner_is_counted(exact):
    for number in range(30):
        feed(exact, LEFT, START + number * PERIOD)
    assert exact.unpaired == [20, 0]


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("skew", [0, 3 * MS])
def test_a_bag_of_600_ms_gives_pairs_in_every_round(exact, approximate, lost, skew):
    synchronizer = approximate if skew else exact
    for _ in range(30):
        stamps = [START + n * PERIOD for n in range(18)]
        pairs = []
        for number, stamp in enumerate(stamps):
            pairs.append(feed(synchronizer, LEFT, stamp))
            # What never finds its partner must not fill the queues, round after round.
            if number >= lost:
                pairs.append(feed(synchronizer, RIGHT, stamp + skew))
        assert sum(pair is not None for pair in pairs) >= 18 - lost


def test_negative_stamps_are_stale_and_stop_nothing(exact):
    for side in (LEFT, RIGHT):
        assert feed(exact, side, -5 * PERIOD) is None
    assert exact.stale == 2
    assert feed_both(exact, 20) == [0] * 20
