"""Find and fetch published weights."""

from __future__ import annotations

import re
from pathlib import Path

from stereo_depth_ros.checkpoints.detection import network_module
from stereo_depth_ros.checkpoints.error import CheckpointError
from stereo_depth_ros.file_hash import sha256_of
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


def fetch(source: Source, folder: Path) -> Path:
    """Fetch a file from the Hugging Face Hub into ``folder`` and return it, checked by its hash.

    A transfer that broke off is taken up again by the next call, and a file that is there and
    whole is not fetched twice.

    Raises
    ------
    CheckpointError
        When it cannot be fetched, or is not the file that was published.
    """
    target = folder / Path(source.file).name
    if target.is_file() and source.is_of(sha256_of(target)):
        return target
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.file_download import http_get
    except ImportError as error:
        raise CheckpointError(
            f"{error}; pip install huggingface_hub, or fetch {source.file} from {source.url} by "
            "hand"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # hf_hub_download begins anew after an interruption.
        found = get_hf_file_metadata(hf_hub_url(source.hub, source.file))
        version = re.sub(r"\W", "", found.etag or "")[:12]
        partial = target.with_name(f"{target.name}.{version}.partial")
        with partial.open("ab") as file:
            http_get(
                found.location,
                file,
                resume_size=file.tell(),
                expected_size=found.size,
                displayed_filename=target.name,
            )
    except Exception as error:
        raise CheckpointError(
            f"cannot fetch {source.file} from {source.hub}: {error}; try again, or fetch it from "
            f"{source.url} by hand"
        ) from error
    actual = sha256_of(partial)
    if source.sha256 and not source.is_of(actual):
        partial.unlink()
        raise CheckpointError(
            f"{source.file} of {source.hub} is not the file known to be published (sha256 "
            f"{actual[:12]}…, not {source.sha256[:12]}…): it was damaged on the way, or its "
            f"authors replaced it; try again, or fetch it from {source.url} by hand if you trust it"
        )
    partial.replace(target)
    return target
