"""The tables of models, as `stereo-depth models` prints them."""

from __future__ import annotations

from collections.abc import Sequence

from stereo_depth_ros.artifact import Artifact, find_artifact, list_models
from stereo_depth_ros.engines.best_model import find_best, read_fastest
from stereo_depth_ros.engines.default_model import AUTO, MATCHER, NETWORK
from stereo_depth_ros.graph_contract import USUAL_SIZE
from stereo_depth_ros.measurements import Speed, find_common_pairs, read_accuracies
from stereo_depth_ros.model_card import ModelError
from stereo_depth_ros.published import PUBLISHED, Source


def print_models() -> None:
    """Print the models that are installed, and those that can be added."""
    artifacts, faults = [], []
    for name in list_models():
        try:
            artifacts.append(find_artifact(name))
        except ModelError as error:
            faults.append(str(error))
    pairs = find_common_pairs(artifacts)
    print("Installed, for --model and model:= (accuracy measured, of all on the same pairs):")
    heading: tuple[str, ...] = ("NAME", "EPE px", "bad-2 %", "ms here", "MB", "TERMS")
    _print_table([heading, *(_describe_installed(artifact, pairs) for artifact in artifacts)])
    if measured_on := _describe_pairs(artifacts, pairs):
        print(f"  (accuracy on {measured_on})")
    for fault in faults:
        print(f"  {fault}")
    best, reason = find_best(NETWORK)
    print(f"{AUTO}, the default, is {best}, or {MATCHER} where no network runs")
    if reason:
        print(f"  {reason}")
    print()
    print("Published, for stereo-depth models add NAME (accuracy by their authors: Middlebury,")
    print("half size, bad-2 of what both views see):")
    heading = ("NAME", "NETWORK", "bad-2 %", "MB", "TERMS")
    _print_table([heading, *(_describe_published(*item) for item in PUBLISHED.items())])
    print("stereo-depth models info NAME says where weights are from; those without a size are")
    print("fetched by hand.")


def _describe_pairs(artifacts: Sequence[Artifact], pairs: str) -> str:
    """Return in words which pairs those are."""
    known = (a for artifact in artifacts for a in read_accuracies(artifact) if a.pairs == pairs)
    return next((accuracy.on for accuracy in known), "")


def _describe_installed(artifact: Artifact, pairs: str) -> tuple[str, ...]:
    accuracies = [known for known in read_accuracies(artifact) if known.pairs == pairs]
    speed = read_fastest(artifact)
    size = sum(file.stat().st_size for file in artifact.list_files()) if artifact.file else 0
    return (
        artifact.name,
        f"{accuracies[0].epe:.2f}" if accuracies else "",
        f"{accuracies[0].bad2:.1f}" if accuracies else "",
        _describe_speed(speed) if speed else "",
        f"{size / 1e6:.1f}" if size else "",
        describe_terms(artifact.card.licence, artifact.card.commercial),
    )


def _describe_speed(speed: Speed) -> str:
    """Return the time, with the size of the images where that is not the usual one."""
    size = speed.height, speed.width
    return f"{speed.ms:.0f}" + ("" if size == USUAL_SIZE else f" ({speed.width}x{speed.height})")


def _describe_published(name: str, source: Source) -> tuple[str, ...]:
    return (
        name,
        source.network,
        f"{source.accuracy:.2f}" if source.accuracy else "",
        f"{source.size / 1e6:.1f}" if source.size and source.hub else "",
        describe_terms(source.licence, source.commercial),
    )


def describe_terms(licence: str, commercial: bool, whole: bool = False) -> str:
    """Return the terms of weights, the ``whole`` text or, for a table, without its details."""
    if whole:
        return f"{licence}{'' if commercial else '; NOT FOR COMMERCIAL USE'}"
    short = licence.partition(",")[0].partition(";")[0].removesuffix(" Source Code License")
    return f"{short}{'' if commercial else '; non-commercial'}"


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table whose first row is its heading, numbers to the right."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    is_number = [
        all(cell.replace(".", "").isdigit() for cell in column[1:] if cell) for column in columns
    ]
    for row in rows:
        cells = [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, is_number, strict=True)
        ]
        print(f"  {'  '.join(cells)}".rstrip())
