"""Find and fetch published weights."""

from __future__ import annotations

from pathlib import Path

from stereo_depth_ros.checkpoints.detection import network_module
from stereo_depth_ros.checkpoints.error import CheckpointError
from stereo_depth_ros.checkpoints.reading import sha256_of
from stereo_depth_ros.networks.registry import MODULES
from stereo_depth_ros.networks.source import Source


def published() -> dict[str, Source]:
    """Return every published checkpoint by name, "network/variant"."""
    return {
        f"{network}/{label}": source
        for network in MODULES
        for label, source in getattr(network_module(network), "SOURCES", {}).items()
    }


def find(name: str) -> Source:
    """Return the checkpoint of that name; a network alone means the first of its checkpoints.

    Raises
    ------
    CheckpointError
        When there is none of that name.
    """
    sources = published()
    found = next((key for key in sources if name in (key, key.split("/")[0])), None)
    if found is None:
        raise CheckpointError(f"no published weights '{name}'; there are {', '.join(sources)}")
    return sources[found]


def fetch(source: Source, folder: Path | None = None) -> Path:
    """Fetch a file from the Hugging Face Hub, into ``folder`` or the Hub's cache, and return it.

    A transfer that broke off is taken up again, and a file that is there is not fetched twice.

    Raises
    ------
    CheckpointError
        When it cannot be fetched, or is not the file that was published.
    """
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise CheckpointError(
            f"{error}; pip install huggingface_hub, or fetch {source.file} from {source.url} by "
            "hand"
        ) from error
    try:
        file = Path(hf_hub_download(source.hub, source.file, local_dir=folder))
    except Exception as error:
        raise CheckpointError(
            f"cannot fetch {source.file} from {source.hub}: {error}; try again, or fetch it from "
            f"{source.url} by hand"
        ) from error
    actual = sha256_of(file)
    if not actual.startswith(source.sha256):
        raise CheckpointError(
            f"{file}: is not the file known to be published (sha256 {actual[:12]}…, not "
            f"{source.sha256[:12]}…): it is damaged, or its authors replaced it; if you trust it, "
            "import it all the same"
        )
    return file
