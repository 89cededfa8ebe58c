"""A run as one HTML page that needs no other file."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stereo_depth_ros.evaluation.page_style import STYLE
from stereo_depth_ros.recordings.record import Record
from stereo_depth_ros.recordings.summary import Summary, describe

_CHART = 720, 120
"""Width and height of the chart in its own units."""

_MAX_POINTS = 720


def make_page(
    notes: Sequence[str],
    title: str,
    summary: Summary,
    records: Sequence[Record],
    pictures: Sequence[tuple[Record, Path]],
) -> str:
    """Return the page: the numbers, a chart along the recording, and pictures along it.

    Parameters
    ----------
    notes
        What was found out about the recording.
    title
        Of the page.
    summary
        The numbers.
    records
        Of all pairs in order.
    pictures
        Files with a picture of a pair each.
    """
    heading = html.escape(f"{summary.kind.capitalize()} of {title}")
    begin = records[0].stamp_ns
    figures = [_show(record, path, begin) for record, path in pictures]
    facts = "".join(
        f"<li>{html.escape(line.strip())}</li>" for line in [*notes, *describe(summary)]
    )
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{heading}</title><style>{STYLE}</style></head><body>",
            f"<h1>{heading}</h1>",
            f"<ul>{facts}</ul>",
            "<h2>Along the recording</h2>",
            '<p class="note">Share of valid pixels of each pair, 0 to 100 %; gaps are skipped '
            "pairs.</p>",
            _draw_chart(records),
            "<h2>Pictures</h2>",
            *figures,
            "</body></html>\n",
        ]
    )


def _show(record: Record, path: Path, begin_ns: int) -> str:
    url = "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
    seconds = (record.stamp_ns - begin_ns) * 1e-9
    caption = html.escape(
        f"{record.name}, {seconds:.2f} s: {100 * record.valid:.0f} % valid, mean confidence "
        f"{record.confidence:.2f}"
    )
    return f'<figure><img src="{url}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'


def _draw_chart(records: Sequence[Record]) -> str:
    width, height = _CHART
    chosen = np.unique(np.linspace(0, len(records) - 1, min(len(records), _MAX_POINTS)).astype(int))
    lines: list[list[str]] = [[]]
    for index in chosen:
        record = records[index]
        if record.skipped:
            lines.append([])
            continue
        x = width * (index + 0.5) / len(records)
        lines[-1].append(f"{x:.1f},{height * (1 - record.valid):.1f}")
    style = "--hue:210;stroke-linecap:round"
    # A single point has no length: drawn twice, it shows as a dot.
    drawn = "".join(
        f'<polyline style="{style}" points="{" ".join(line if len(line) > 1 else line * 2)}"/>'
        for line in lines
        if line
    )
    return (
        f'<div class="wide"><svg viewBox="0 -2 {width} {height + 4}" role="img" '
        f'aria-label="valid pixels along the recording"><rect class="grid" width="{width}" '
        f'height="{height}"/>{drawn}</svg></div>'
    )
