"""Train a network on rendered scenes or on pairs of one's own, and write what runs it.

stereo-depth train lite -o run
stereo-depth train lite_any_stereo --begin las2_m.safetensors --data plain=DIR -o run

The folder holds checkpoint, TensorBoard log and validation pictures; the same command resumes an
interrupted run, one of --minutes for the time that is left. At the end the folder also holds, of
lite, lite.safetensors (weights), lite.onnx and lite.mixed.onnx (graphs that agree with PyTorch),
lite.reference.npz (the pair that TensorRT engines are tested on) and lite.yaml (the model card):
copied into models/, or named by --model, they run.
Several GPUs:
torchrun --nproc-per-node N -m stereo_depth_ros.cli.main train lite …
"""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from stereo_depth_ros.cli.layers import import_training
from stereo_depth_ros.cli.network_names import NETWORKS_HELP
from stereo_depth_ros.cli.options import parse_size
from stereo_depth_ros.evaluation.datasets import LAYOUTS, read_dataset
from stereo_depth_ros.folder_lock import lock_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``train``."""
    parser.add_argument("network", metavar="NETWORK", help=NETWORKS_HELP)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--size",
        type=parse_size,
        default="480x640",
        metavar="HxW",
        help="of the graph (default: %(default)s)",
    )
    parser.add_argument(
        "--evaluate", type=Path, metavar="DIR", help="pairs with truth, to score it on for the card"
    )
    parser.add_argument(
        "--layout", choices=LAYOUTS, default="plain", help="of those pairs (default: %(default)s)"
    )
    recipe = parser.add_argument_group(
        "recipe", "defaults are those of the network, for a run on one GPU"
    )
    recipe.add_argument("--variant", help="where no weights to begin from say it")
    recipe.add_argument(
        "--data",
        action="append",
        metavar="DATA[:WEIGHT]",
        help=f"scenes, or LAYOUT=DIR with LAYOUT one of {', '.join(LAYOUTS)}; repeatable, as often "
        "drawn from as its weight says (default: scenes)",
    )
    length = recipe.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int)
    length.add_argument("--minutes", type=float, metavar="M", help="train for so long instead")
    recipe.add_argument("--batch", type=int, help="samples at once and process")
    recipe.add_argument("--accumulate", type=int, metavar="N", help="batches per step")
    recipe.add_argument(
        "--scene", type=parse_size, metavar="HxW", help="size that scenes are rendered at"
    )
    recipe.add_argument(
        "--crop",
        type=parse_size,
        metavar="HxW",
        help="part of a scene or pair per sample; of scenes as high as they are",
    )
    recipe.add_argument("--reuse", type=int, help="samples drawn from each scene; more on a CPU")
    recipe.add_argument("--learning-rate", type=float)
    recipe.add_argument("--weight-decay", type=float)
    recipe.add_argument("--clip", type=float, help="the gradient's norm to this")
    recipe.add_argument("--iterations", type=int, help="of the refinement, in training alone")
    recipe.add_argument(
        "--freeze",
        action="append",
        metavar="PATTERN",
        help="parameters not to train, such as 'fnet.*'; with a leading ! those to train after "
        "all; repeatable",
    )
    recipe.add_argument(
        "--freeze-norm",
        action=argparse.BooleanOptionalAction,
        help="whether batch norms keep their statistics",
    )
    recipe.add_argument("--seed", type=int)
    recipe.add_argument("--photos", metavar="DIR", help="photographs to use as textures too")
    recipe.add_argument("--begin", metavar="FILE.safetensors", help="weights to begin from")
    recipe.add_argument(
        "--validate", metavar="LAYOUT=DIR", help="pairs to measure on (default: rendered ones)"
    )
    recipe.add_argument("--validate-every", type=int, metavar="STEPS")


def run(arguments: argparse.Namespace) -> int:
    """Train, export, and write the card."""
    recipe = make_recipe(arguments)
    if arguments.evaluate is not None:
        read_dataset(arguments.evaluate, arguments.layout)  # not after days of training
    release = import_training("training.release")
    is_first = os.environ.get("RANK", "0") == "0"  # of torchrun's processes, the one that writes
    lock = lock_folder(arguments.output, "training")
    with lock if is_first else nullcontext():
        publication = import_training("export.publication")
        publication.check_beside(arguments.output / f"{arguments.network}.onnx")
        trainer = import_training("training.trainer").Trainer(recipe, arguments.output)
        release.check_size(trainer.network, arguments.size)
        trainer.run()
        if is_first:
            pairs = None
            if arguments.evaluate is not None:
                pairs = release.RealPairs(arguments.evaluate, arguments.layout)
            card = release.release(trainer, arguments.size, pairs)
            print(f"written to {card}; try it: stereo-depth demo --model {card}")
    return 0


def make_recipe(arguments: argparse.Namespace) -> Any:
    """Return the `Recipe` of the network, with the values that the options name.

    Raises
    ------
    InputError
        For a network that cannot be trained, or a value that nothing can be trained with.
    """
    usual = import_training("training.recipes").recipe_of(arguments.network)
    chosen = {
        name: tuple(value) if isinstance(value, list) else value
        for name in (field.name for field in fields(usual))
        if (value := getattr(arguments, name)) is not None
    }
    return replace(usual, **chosen)
