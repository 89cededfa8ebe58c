"""Render training scenes: a sheet that shows them, pairs with truth to score models on, or both.

Each row of the sheet is one scene, by the number of its pair: left and right image, the true
disparity, and which pixels of the left image are visible in the right one too. The pairs are a
dataset of layout "plain" of `stereo-depth evaluate`, with masks of the pixels visible in both views
and of the sky. The same seed and size give the same scenes, --count of them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from tqdm import tqdm

from stereo_depth_ros.cli.layers import import_training
from stereo_depth_ros.cli.options import check_output_file, check_output_folder, parse_size
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.evaluation.datasets import write_plain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``scenes``."""
    parser.add_argument("--preview", type=Path, metavar="FILE.png", help="write the sheet here")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write the pairs here")
    parser.add_argument("--count", type=int, default=8, help="scenes (default: %(default)s)")
    parser.add_argument(
        "--size", type=parse_size, default="384x512", metavar="HxW", help="default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--photos", type=Path, metavar="DIR", help="photographs to use as textures too"
    )


def run(arguments: argparse.Namespace) -> int:
    """Render, write the sheet and the pairs, and print the rate."""
    preview, folder = arguments.preview, arguments.write
    if preview is None and folder is None:
        raise InputError("nothing to write; give --preview FILE.png, --write DIR, or both")
    if arguments.count < 1:
        raise InputError(f"--count is {arguments.count}; give 1 or more")
    if arguments.seed < 0:
        raise InputError(f"--seed is {arguments.seed}; give 0 or more")
    check_output_file(preview, ".png", ".jpg")
    if folder is not None:
        _check_new(folder)
    layer = "scenes.synthetic"
    sheet = None if preview is None else import_training(f"{layer}.preview").Sheet(preview)
    draw_pairs = import_training(f"{layer}.pairs").draw_pairs
    pairs = draw_pairs(arguments.count, arguments.size, arguments.seed, arguments.photos)
    began = time.perf_counter()
    for index, pair in enumerate(tqdm(pairs, total=arguments.count, unit="pair")):
        if folder is not None:
            write_plain(
                folder / f"{index:05d}",
                pair.left,
                pair.right,
                pair.disparity,
                pair.visible,
                pair.sky,
            )
        if sheet is not None:
            sheet.add(pair)
    rate = arguments.count / (time.perf_counter() - began)
    if sheet is not None:
        sheet.write()
    height, width = arguments.size
    print(f"{rate:.1f} pairs/s at {height}x{width} on the CPU, textures and cameras included")
    for path in (preview, folder):
        if path is not None:
            print(f"written to {path}")
    if folder is not None:
        print(f"score a model on it: stereo-depth evaluate --data {folder} --layout plain")
    return 0


def _check_new(folder: Path) -> None:
    check_output_folder(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} is not empty, and its files would be scored too; name a new folder"
        )
