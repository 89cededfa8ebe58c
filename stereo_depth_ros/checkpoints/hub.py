"""Fetch published weights."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

from stereo_depth_ros.atomic_file import DISK_FULL
from stereo_depth_ros.checkpoints.error import CheckpointError
from stereo_depth_ros.excerpt import excerpt
from stereo_depth_ros.file_hash import sha256_of
from stereo_depth_ros.file_lock import take_lock
from stereo_depth_ros.published import Source

_ATTEMPTS = 5
_TIMEOUT_S = 30.0  # without a byte
_BLOCK = 1 << 20


def fetch(source: Source, folder: Path) -> Path:
    """Fetch a file from the Hugging Face Hub and check it by its hash.

    A transfer that broke off is taken up again by the next call, and a file that is there and
    whole is not fetched twice.

    Parameters
    ----------
    source
        Where it is.
    folder
        Where to put it.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    CheckpointError
        When it cannot be fetched, or is not the file that was published.
    OSError
        When ``folder`` cannot be written to, or the disk is full.
    """
    target = folder / Path(source.file).name
    if target.is_file() and source.is_of(sha256_of(target)):
        return target
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
    except ImportError as error:
        raise CheckpointError(
            f"{error}; pip install huggingface_hub, or fetch {source.file} from {source.url} by "
            "hand"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    with _transfer_errors(source):
        # hf_hub_download begins anew after an interruption.
        metadata = get_hf_file_metadata(hf_hub_url(source.hub, source.file))
    version = re.sub(r"\W", "", metadata.etag or "")[:12]
    partial = target.with_name(f"{target.name}.{version}.partial")
    with _reserve(partial, target):
        with _transfer_errors(source):
            _transfer(metadata.location, partial, metadata.size)
        actual = sha256_of(partial)
        if source.sha256 and not source.is_of(actual):
            partial.unlink()
            raise CheckpointError(
                f"{source.file} of {source.hub} is not the file known to be published (sha256 "
                f"{actual[:12]}…, not {source.sha256[:12]}…): it was damaged on the way, or its "
                f"authors replaced it; try again, or fetch it from {source.url} by hand if you "
                "trust it"
            )
        partial.replace(target)
    return target


@contextmanager
def _transfer_errors(source: Source) -> Iterator[None]:
    """Say of what goes wrong inside that ``source`` cannot be fetched."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise  # whoever gave the folder knows of another
        raise CheckpointError(
            f"cannot fetch {source.file} from {source.hub}: {excerpt(error)}; try again, or fetch "
            f"it from {source.url} by hand and give it by --file"
        ) from error


@contextmanager
def _reserve(partial: Path, target: Path) -> Iterator[None]:
    """Keep every other process from fetching into ``partial`` meanwhile."""
    while True:
        with partial.open("ab") as file:
            if not take_lock(file):
                raise CheckpointError(
                    f"{target} is being fetched by another process; wait for that one, or stop it "
                    "and try again"
                )
            # Else another process ended its transfer before this one had the lock.
            if partial.exists() and os.path.samestat(os.fstat(file.fileno()), partial.stat()):
                yield
                return


def _transfer(url: str, partial: Path, size: int | None) -> None:
    """Fetch what ``partial`` lacks of the ``size`` bytes at ``url``, over several connections."""
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            _append(url, partial, size)
        except (ConnectionError, TimeoutError, HTTPException):
            if not attempts_left:
                raise
            continue
        transferred = partial.stat().st_size
        if size is None or transferred == size:
            return
    raise ConnectionError(f"it broke off after {transferred} of {size} bytes")


def _append(url: str, partial: Path, size: int | None) -> None:
    with partial.open("ab") as file:
        start = file.tell()
        if size is not None and start >= size:
            file.truncate(size)
            return
        request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
        try:
            response = urlopen(request, timeout=_TIMEOUT_S)
        except HTTPError as error:
            if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            file.truncate(0)
            raise ConnectionError("it could not be continued") from error
        with response:
            if start and response.status != HTTPStatus.PARTIAL_CONTENT:
                file.truncate(0)
                start = 0
            # Reading does not tell an early end from the end.
            remaining = int(response.headers.get("Content-Length", 0))
            name = partial.name.partition(".")[0]
            with tqdm(desc=name, total=size, initial=start, unit="B", unit_scale=True) as bar:
                while block := response.read(_BLOCK):
                    file.write(block)
                    bar.update(len(block))
                    remaining -= len(block)
        if size is None and remaining > 0:
            raise ConnectionError(f"it broke off {remaining} bytes before its end")
