"""Show what training scenes look like: a contact sheet of rendered pairs.

Each row of the sheet is one scene: left and right as the cameras see them, the true disparity, and
what of the left view the right one sees (white).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from stereo_depth_ros.cli.options import size, training_layer

HELP = "show the rendered training scenes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``scenes``."""
    parser.add_argument(
        "--preview", type=Path, required=True, metavar="FILE.png", help="write the sheet here"
    )
    parser.add_argument("--count", type=int, default=8, help="scenes (default: %(default)s)")
    parser.add_argument("--size", type=size, default=(384, 512), metavar="HxW")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--photos", type=Path, metavar="DIR", help="photographs to use as textures too"
    )


def run(arguments: argparse.Namespace) -> int:
    """Render, write the sheet and say how fast it went."""
    if arguments.count < 1:
        raise ValueError(f"--count is {arguments.count}; give 1 or more")
    preview = training_layer("scenes.synthetic.preview").preview
    rate, device = preview(
        arguments.preview, arguments.count, arguments.size, arguments.seed, arguments.photos
    )
    height, width = arguments.size
    print(f"{rate:.1f} pairs/s at {height}x{width} on {device}, cameras included")
    print(f"written to {arguments.preview}")
    return 0
