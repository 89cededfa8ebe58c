"""Score models on a dataset with truth, StereoSGBM beside them in the same run.

The first table holds medians over the pairs. EPE is the mean error of the answered pixels alone,
whereas the shares of bad pixels count every other one as bad, so that a sparse "raw" has a low EPE
and many bad pixels. The mask of the sky is sky.npy of layout "plain".
"""

from __future__ import annotations

import argparse
import json
import textwrap
from contextlib import ExitStack, closing
from pathlib import Path

from tqdm import tqdm

from stereo_depth_ros.artifact import find_artifact, list_models
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
from stereo_depth_ros.evaluation.summary import summarise
from stereo_depth_ros.evaluation.terms import MEANINGS
from stereo_depth_ros.measurements import record_accuracy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``evaluate``."""
    parser.epilog = "figures:\n" + "\n".join(
        textwrap.fill(f"{name}: {meaning}", 98, initial_indent="  ", subsequent_indent="    ")
        for name, meaning in MEANINGS.items()
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        help="an installed model or an .onnx file; repeatable (default: SGBM alone)",
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
    check_output_file(arguments.json, ".json")
    check_output_file(arguments.html, ".html", ".htm")
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
    for model in engines:
        if model in list_models():
            record_accuracy(find_artifact(model), summarise(scores, model, samples))
    if arguments.json:
        write_text(arguments.json, json.dumps(as_dict(scores), indent=1))
    if arguments.html:
        title = f"Stereo on {arguments.data.name}"
        write_text(arguments.html, as_html(scores, gallery, title))
    return 0
