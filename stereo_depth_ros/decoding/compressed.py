"""PNG, JPEG and other compressed images to samples."""

from __future__ import annotations

import cv2
import numpy as np

from stereo_depth_ros.decoding.complaints import collect_complaints, damage
from stereo_depth_ros.decoding.encodings import BAYER
from stereo_depth_ros.decoding.header import Header, check_complete, read_header
from stereo_depth_ros.decoding.samples import ImageError, Samples

MAX_PIXELS = 1 << 26
"""Several times what any stereo camera sends; a few bytes can claim far more."""

_FORMAT_MAX = 60


def read_compressed_header(data: bytes, form: str) -> Header:
    """Return format and size of ``data``, the content of a message whose format is ``form``.

    Raises
    ------
    ImageError
        When it is no compressed image.
    """
    try:
        header = read_header(data)
        if header is None:
            raise ImageError("it is neither PNG, JPEG, TIFF nor WebP")
    except ImageError as error:
        raise _refusal(data, form, error) from error
    return header


def decompress(data: bytes, form: str) -> Samples:
    """Return the image in ``data``.

    ``form`` begins with the encoding that was compressed, such as "bayer_rggb8; jpeg compressed ":
    one channel then holds a mosaic. Orientation tags are ignored, as camera_info knows none.

    Raises
    ------
    ImageError
        When it does not decompress, is not whole, of more than `MAX_PIXELS`, or not of 8 or 16
        bits.
    """
    header = read_compressed_header(data, form)
    if header.width * header.height > MAX_PIXELS:
        raise ImageError(
            f"{header.kind} of {header.width} x {header.height} px; at most {MAX_PIXELS >> 20} "
            "million px are decoded"
        )
    try:
        encoding = form.split(";")[0].strip()
        return _decode(data, header, encoding, cv2.IMREAD_IGNORE_ORIENTATION)
    except ImageError as error:
        raise _refusal(data, form, error) from error


def decode(data: bytes) -> Samples:
    """Return what OpenCV makes of ``data``, the bytes of a file of any format that it reads.

    Raises
    ------
    ImageError
        When OpenCV does not read it, part of it is damaged, or it is not of 8 or 16 bits.
    """
    return _decode(data, read_header(data))


def _decode(data: bytes, header: Header | None, encoding: str = "", flags: int = 0) -> Samples:
    if header is not None:
        check_complete(header, data)
    flags |= cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    with collect_complaints() as complaints:
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
        except cv2.error:
            image = None
    if image is None:
        reason = f" ({complaints[0]})" if complaints else ""
        raise ImageError(f"OpenCV cannot decode it{reason}")
    part = damage(complaints)
    if part:
        raise ImageError(f"it is damaged ({part})")
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"it holds {image.dtype} values; save it as PNG of 8 or 16 bits")
    if image.ndim == 3:
        return Samples(image, cv2.COLOR_BGR2RGB)
    return Samples(image, BAYER.get(encoding, cv2.COLOR_GRAY2RGB))


def _refusal(data: bytes, form: str, error: ImageError) -> ImageError:
    return ImageError(
        f"{len(data)} bytes of format '{form[:_FORMAT_MAX]}' do not decompress: {error}; subscribe "
        "to a topic of JPEG or PNG images and check the transport"
    )
