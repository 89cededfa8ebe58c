"""Which kind of result the user asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.recordings import bag_target, folder_target, video_target
from stereo_depth_ros.recordings.array_files import KINDS
from stereo_depth_ros.recordings.bag_source import BagSource
from stereo_depth_ros.recordings.frame import Source
from stereo_depth_ros.recordings.target import Target

FORMS = ("folder", "bag", "video")

OUTPUTS = {
    "folder": tuple(KINDS),
    "bag": tuple(output.value for output in Output),
    "video": (),
}
"""What each form may hold."""

DEFAULTS = {
    "folder": folder_target.DEFAULT,
    "folder without a calibration": folder_target.WITHOUT_CALIBRATION,
    "bag": bag_target.DEFAULT,
}
"""What each form holds where nothing else is asked for."""


def open_target(
    path: Path,
    source: Source,
    form: str | None = None,
    outputs: Sequence[str] = (),
    has_originals: bool = False,
) -> Target:
    """Prepare the place of the results.

    Parameters
    ----------
    path
        Of the folder, the bag's folder, or the video.
    source
        What is processed.
    form
        One of `FORMS`; by default a video where ``path`` ends as one, a bag where ``source`` is
        one, else a folder.
    outputs
        Of `OUTPUTS` of the form; by default those that most want.
    has_originals
        Whether a bag is to hold the messages of the ``source`` too.

    Raises
    ------
    InputError
        When ``path`` holds anything else, or what is asked for does not go together.
    """
    is_video = path.suffix.lower() in video_target.SUFFIXES
    if form is None:
        form = "video" if is_video else "bag" if isinstance(source, BagSource) else "folder"
    unknown = [name for name in outputs if name not in OUTPUTS[form]]
    if unknown:
        raise InputError(
            f"a {form} holds no {unknown[0]}; "
            + (f"choose of {', '.join(OUTPUTS[form])}" if OUTPUTS[form] else "leave out --outputs")
        )
    if has_originals and not (form == "bag" and isinstance(source, BagSource)):
        raise InputError("--originals copies messages from a bag into a bag, and this is none")
    if form == "video":
        if not is_video:
            ends = ", ".join(video_target.SUFFIXES)
            raise InputError(f"{path} is no name of a video; end it in {ends}")
        target: Target = video_target.VideoTarget(path)
    else:
        if path.suffix in (".mcap", ".db3", ".bag"):
            raise InputError(
                f"{path} names a file, and the result is a folder with files; name it "
                f"{path.with_suffix('')}"
            )
        if form == "bag":
            names = outputs or bag_target.DEFAULT
            original = source.path if has_originals and isinstance(source, BagSource) else None
            target = bag_target.BagTarget(path, [Output(name) for name in names], original)
        else:
            is_metric = source.is_metric
            kinds = folder_target.DEFAULT if is_metric else folder_target.WITHOUT_CALIBRATION
            target = folder_target.FolderTarget(path, outputs or kinds)
    _check_free(target)
    return target


def _check_free(target: Target) -> None:
    """Raise InputError where results would mix with something else."""
    if target.journal.is_file():
        return
    path = target.result
    if path.is_dir():
        others = [entry.name for entry in path.iterdir() if entry != target.work]
        if others:
            raise InputError(
                f"{path} holds {sorted(others)[0]}, and no earlier run of process; give another "
                "folder, or move what is in it"
            )
    elif path.exists():
        raise InputError(f"{path} is there already; give another name, or move it")
