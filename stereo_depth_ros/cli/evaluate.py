"""Score models on a dataset with truth, StereoSGBM beside them in the same run.

The first table holds medians over the pairs: EPE and AUC in px, the shares of pixels in percent.
AUC is the mean error of what is left as the least confident pixels are removed, averaged over how
many are left.

"filled" counts the disparity of every pixel, "raw" only valid ones (confidence above 0). EPE is the
mean error of these pixels alone, whereas the shares of bad pixels count every other one as bad: a
sparse "raw" has a low EPE and many bad pixels. AUSE / random judges the confidence: 0 is a perfect
order of the pixels, 1 a random one.

"sky" is the share of the sky, where a pair of layout "plain" has a mask of it in sky.npy, that is
claimed to be near: more than 12 px of disparity at a confidence above 0.3. "thin" is the share of
the pixels of thin structures (by the truth, more than 4 px in front of what is beside them within
2.5 % of the image width) that are off by more than 2 px. Both count the disparity of every pixel,
in pairs with at least 200 such pixels.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack, closing
from pathlib import Path

from tqdm import tqdm

from stereo_depth_ros.atomic_file import write_text
from stereo_depth_ros.cli.build_bar import BuildBar
from stereo_depth_ros.cli.options import check_output_file
from stereo_depth_ros.engines import BACKEND_NAMES, Context, Engine, open_engine
from stereo_depth_ros.engines.default_model import name_of
from stereo_depth_ros.evaluation.datasets import LAYOUTS, read_dataset
from stereo_depth_ros.evaluation.evaluate import BESIDE, evaluate
from stereo_depth_ros.evaluation.gallery import Gallery
from stereo_depth_ros.evaluation.page import as_html
from stereo_depth_ros.evaluation.report import as_dict, as_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``evaluate``."""
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        help="a name in models/ or an .onnx file; repeatable (default: SGBM alone)",
    )
    parser.add_argument(
        "--backend",
        default="auto",
        choices=BACKEND_NAMES,
        help="what runs it (default: %(default)s)",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--layout", required=True, choices=LAYOUTS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number here")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with pictures here")


def run(arguments: argparse.Namespace) -> int:
    """Score the models and print the tables."""
    check_output_file(arguments.json)
    check_output_file(arguments.html)
    samples = read_dataset(arguments.data, arguments.layout)
    gallery = Gallery()
    viewer = gallery if arguments.html else None
    engines: dict[str, Engine] = {}
    with ExitStack() as stack:
        with BuildBar() as bar:
            context = Context(report=bar.show)
            for model in arguments.model:
                engine = open_engine(model, backend=arguments.backend, context=context)
                engines[name_of(model, engine)] = stack.enter_context(closing(engine))
        for model in BESIDE:
            if model not in engines:
                engines[model] = stack.enter_context(closing(open_engine(model)))
        scores = evaluate(engines, tqdm(samples, unit="pair"), viewer)
    print(as_text(scores))
    if arguments.json:
        write_text(arguments.json, json.dumps(as_dict(scores), indent=1))
    if arguments.html:
        title = f"Stereo on {arguments.data.name}"
        write_text(arguments.html, as_html(scores, gallery, title))
    return 0
