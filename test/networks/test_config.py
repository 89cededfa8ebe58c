"""Changes of a config, which may come from a user or from JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from stereo_depth_ros.networks.config import require_min, require_multiple, update


@dataclass(frozen=True)
class Inner:
    sizes: tuple[int, int] = (1, 2)
    blocks: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outer:
    count: int = 3
    name: str = "a"
    is_on: bool = False
    inner: Inner = Inner(sizes=(7, 7))


def test_fields_that_are_not_given_stay():
    assert update(Outer(count=5), {"name": "b"}) == Outer(count=5, name="b")


def test_a_record_replaces_the_whole_inner_config():
    changed = update(Outer(), {"inner": {"blocks": {"x": [1]}}})

    assert changed.inner == Inner((1, 2), {"x": [1]})
    assert update(Outer(), {"inner": Inner((3, 4))}).inner.sizes == (3, 4)


def test_a_list_becomes_a_tuple():
    assert update(Outer(), {"inner": {"sizes": [3, 4]}}).inner.sizes == (3, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counts": 1}, "takes no counts, only count, name, is_on, inner"),
        ({"inner": {"size": 1}}, "takes no inner.size, only sizes, blocks"),
        ({"count": True}, "count is True; it must be a whole number"),
        ({"count": 1.0}, "count is 1.0; it must be a whole number"),
        ({"count": None}, "count is None; it must be a whole number"),
        ({"is_on": 1}, "is_on is 1; it must be true or false"),
        ({"name": 1}, "name is 1; it must be a word"),
        ({"inner": 1}, "inner is 1; it must be a record"),
        ({"inner": {"sizes": [1]}}, "inner.sizes is [1]; it must be 2 whole numbers"),
        ({"inner": {"sizes": [1, True]}}, "inner.sizes is [1, True]; it must be 2 whole numbers"),
        ({"inner": {"blocks": [1]}}, "inner.blocks is [1]; it must be a record"),
    ],
)
def test_names_and_types_are_those_of_the_fields(changes, message):
    with pytest.raises(ValueError) as caught:
        update(Outer(), changes)

    assert str(caught.value) == message


def test_limits_name_the_value():
    require_min(1, a=1)
    require_multiple(32, a=32, b=64)
    with pytest.raises(ValueError, match="b is 0; it must be 1 or more"):
        require_min(1, a=1, b=0)
    for value in (0, -32, 33):
        with pytest.raises(ValueError, match="multiple of 32"):
            require_multiple(32, a=value)
