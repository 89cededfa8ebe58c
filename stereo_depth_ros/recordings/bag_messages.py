"""Messages of rosbags, from fields that know nothing of ROS."""

from __future__ import annotations

from functools import cache
from typing import Any

from stereo_depth_ros.output_messages import Fields
from stereo_depth_ros.recordings.library import import_rosbags

_NESTED = {
    "image": "sensor_msgs/msg/Image",
    "valid_window": "sensor_msgs/msg/RegionOfInterest",
    "roi": "sensor_msgs/msg/RegionOfInterest",
    "fields": "sensor_msgs/msg/PointField",
}
"""The types of messages within the messages of outputs, by the field."""

_WITH_HEADER = ("image",)


@cache
def get_messages() -> MessageWriter:
    """Return the maker of messages of this process, which learns each type once."""
    return MessageWriter()


class MessageWriter:
    """Makes the bytes of messages."""

    def __init__(self) -> None:
        typesys = import_rosbags("typesys")
        self.store: Any = typesys.get_typestore(typesys.Stores.LATEST)

    def serialize(self, kind: str, fields: Fields, stamp_ns: int, frame_id: str) -> bytes:
        """Return the bytes of a message.

        Parameters
        ----------
        kind
            Its type, as ROS 2 writes it.
        fields
            All but its header.
        stamp_ns, frame_id
            Of the header.
        """
        types = self.store.types
        stamp = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 1_000_000_000))
        header = types["std_msgs/msg/Header"](stamp, frame_id)
        return bytes(self.store.serialize_cdr(self._make(kind, fields, header), kind))

    def _make(self, kind: str, fields: Fields, header: Any = None) -> Any:
        values: dict[str, Any] = {} if header is None else {"header": header}
        for name, value in fields.items():
            if isinstance(value, dict):
                inner = header if name in _WITH_HEADER else None
                values[name] = self._make(_NESTED[name], value, inner)
            elif isinstance(value, list):
                values[name] = [self._make(_NESTED[name], entry) for entry in value]
            else:
                values[name] = value
        return self.store.types[kind](**values)
