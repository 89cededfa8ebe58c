"""Frames that nobody can look up."""

from __future__ import annotations


def check_frame_id(frame_id: str) -> str | None:
    """Return what is wrong with the ``frame_id`` of the left images and its cure, or None."""
    if not frame_id:
        return (
            "the left images have no frame_id, so that nobody can place the outputs in space; set "
            "it at the camera driver"
        )
    if frame_id.startswith("/"):
        return (
            f"the frame_id of the left images is {frame_id}: TF knows no leading slash, so that "
            "nobody can place the outputs in space; remove it at the camera driver"
        )
    return None
