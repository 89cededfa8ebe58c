"""How far the build of an engine is, on standard error."""

from __future__ import annotations

from tqdm import tqdm

from stereo_depth_ros.engines.tensorrt import BuildProgress


class BuildBar:
    """A bar from the first report of a build until closed; silent where the output is a file."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def __enter__(self) -> BuildBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def show(self, progress: BuildProgress) -> None:
        """Show ``progress``."""
        if self._bar is None:
            look = "{desc} |{bar}| {n:.0f} % {elapsed}"
            self._bar = tqdm(total=100, disable=None, bar_format=look, leave=False)
        self._bar.set_description_str(progress.step, refresh=False)
        self._bar.n = progress.percent or 0
        self._bar.refresh()

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
