# PYTHON_ARGCOMPLETE_OK
"""`stereo-depth VERB`: load the verb that is typed, run it, and report its errors.

A `UserError` or an OSError is one line. Any other error is a fault of the program and shows its
traceback, since its text alone helps neither the user nor those who mend it.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from stereo_depth_ros.errors import UserError
from stereo_depth_ros.excerpt import excerpt

VERBS = {
    "demo": ("demo", "run the node on a simulated camera and judge its depth"),
    "run": ("run", "match one pair of image files"),
    "evaluate": ("evaluate", "score models on a dataset with truth"),
    "bench": ("bench", "measure the time of models, or of the whole node"),
    "models": ("models", "list models, add published ones, carry them to other machines"),
    "import": ("import_weights", "turn a checkpoint of a network's authors into checked weights"),
    "export": ("export", "write a network as an ONNX graph"),
    "build": ("build", "build and test the TensorRT engine of a graph"),
    "engines": ("engines", "list or prune the TensorRT engines of this machine"),
    "scenes": ("scenes", "show the rendered training scenes, or write them as a dataset"),
    "train": ("train", "train a network on rendered scenes or on pairs of one's own"),
}
"""What the user types: the module in `stereo_depth_ros.cli` that does it, and its help."""

_FAULT = (
    "this is a fault of stereo_depth_ros; please report the command and the traceback above, with "
    "what 'stereo-depth --version' prints, to the maintainers named in package.xml"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Parameters
    ----------
    argv
        The command line without the name of the program; by default that of this process.

    Returns
    -------
    int
        The exit status: 0 for success, 1 for an error, 130 for an interrupt.
    """
    arguments = _parse(sys.argv[1:] if argv is None else argv)
    _configure_logging(arguments.verbose)
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        status, text = 130, "interrupted"
    except BrokenPipeError:
        # Whoever read, such as head, has enough. Python would complain once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        is_expected = isinstance(error, (UserError, OSError))
        if arguments.traceback or not is_expected:
            traceback.print_exc()
        status, text = 1, _describe(error) if is_expected else _FAULT
    print(f"stereo-depth {arguments.verb}: {text}", file=sys.stderr)
    return status


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    is_completing = "_ARGCOMPLETE" in os.environ
    if is_completing:
        argv = os.environ["COMP_LINE"].split()[1:]
    typed = next((text for text in argv if not text.startswith("-")), "")
    parser = _make_parser(typed)
    if is_completing:
        # Where it is missing this must end here, since what follows would run the verb.
        import argcomplete

        argcomplete.autocomplete(parser)
    if typed and typed not in VERBS:
        parser.error(_describe_unknown(typed))
    return parser.parse_args(argv)


def _describe_unknown(typed: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(typed, VERBS, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(VERBS)}"
    return f"there is no verb '{excerpt(typed)}'; {hint}"


def _make_parser(typed: str) -> argparse.ArgumentParser:
    """Make the parser of all verbs, with the arguments of the ``typed`` one alone."""
    parser = argparse.ArgumentParser(
        prog="stereo-depth", description="Stereo depth for robots, from the command line."
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="print the version")
    _add_common_options(parser, default=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (module_name, summary) in VERBS.items():
        verb = verbs.add_parser(
            name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == typed:
            module = importlib.import_module(f"stereo_depth_ros.cli.{module_name}")
            verb.description = module.__doc__
            module.add_arguments(verb)
            # After the verb too, and there without a default, which would undo what stands before.
            _add_common_options(verb, default=argparse.SUPPRESS)
            verb.set_defaults(run=module.run)
    return parser


def _add_common_options(parser: argparse.ArgumentParser, default: Any) -> None:
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        default=default,
        help="log to standard error what is done and why",
    )
    parser.add_argument(
        "--traceback",
        action="store_true",
        default=default,
        help="show where in the code an error arose",
    )


class _ShowVersion(argparse.Action):
    """Looks the version up when asked for it, unlike argparse's own action."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from stereo_depth_ros.version import find_version

        print(f"{parser.prog} {find_version()}")
        parser.exit()


def _configure_logging(is_verbose: bool) -> None:
    logging.basicConfig(format="%(levelname)s: %(message)s")
    level = logging.DEBUG if is_verbose else logging.WARNING
    logging.getLogger("stereo_depth_ros").setLevel(level)


def _describe(error: Exception) -> str:
    """Return the text of an error, for one of the system without its number."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
