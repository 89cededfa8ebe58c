"""`stereo-depth VERB`: parse, dispatch, and turn expected errors into one line."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys

from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.model_card import ModelError

# What the user types, and the module in stereo_depth_ros.cli that does it.
VERBS = {
    "demo": "demo",
    "run": "run",
    "evaluate": "evaluate",
    "bench": "bench",
    "models": "models",
    "import": "import_weights",
    "export": "export",
    "build": "build",
    "engines": "engines",
    "scenes": "scenes",
    "train": "train",
}


def main(argv: list[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="stereo-depth", description="Stereo depth for robots, from the command line."
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="say on standard error what is done and why"
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, module_name in VERBS.items():
        module = importlib.import_module(f"stereo_depth_ros.cli.{module_name}")
        verb = verbs.add_parser(
            name,
            help=module.HELP,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(verb)
        verb.set_defaults(run=module.run)
    arguments = parser.parse_args(argv)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    level = logging.DEBUG if arguments.verbose else logging.WARNING
    logging.getLogger("stereo_depth_ros").setLevel(level)
    try:
        return arguments.run(arguments)
    except (CalibrationError, EngineError, ModelError, OSError, ValueError) as error:
        print(f"stereo-depth {arguments.verb}: {_describe(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"stereo-depth {arguments.verb}: interrupted", file=sys.stderr)
        return 130


def _describe(error: Exception) -> str:
    """Return the text of an error, for one of the system without its number."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
