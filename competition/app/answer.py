"""What the page answers to one dropped file: a verdict with its votes, pictures and facts, or a sentence why not.

Bytes and a name in, an Answer out: no web server, no file. Whatever the bytes are, this answers; nothing is kept.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from competition.app.facts import fact_lines
from competition.app.pictures import (
    WINDOW,
    Picture,
    data_uri,
    is_tiny,
    plain_picture,
    residual_picture,
    seen_box,
    spectrum_picture,
)
from competition.core.errors import UserError
from competition.data.images.credentials import Credentials, read_credentials
from competition.data.images.decode import UnreadableImage, decode, header_size
from competition.inference.classify import Classifier, Verdict

MAX_MB = 20.0  # of a file
MAX_PIXELS = 50_000_000  # of an image: a phone's sharpest photograph passes, a bomb does not
MIN_SIDE = 8  # pixels: the smallest that any network here takes
NO_MEMORY = "This image was not judged: it does not fit into memory, so try a smaller one."

Evidence = Callable[[NDArray[np.uint8], Verdict], Picture]  # shows where in an image (h, w, 3) a verdict comes from


@dataclass(frozen=True)
class Answer:
    """``refusal`` is the sentence for a file that was not judged, which then has no verdict, pictures or facts."""

    name: str
    refusal: str = ""
    verdict: Verdict | None = None
    pictures: list[Picture] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    credentials: Credentials | None = None


def answer(
    classifier: Classifier,
    raw: bytes,
    name: str,
    max_mb: float = MAX_MB,
    evidence: Evidence | None = None,
    trust: str = "",
) -> Answer:
    """Classify the image file of these bytes; whatever makes that impossible becomes the answer's refusal.

    Without ``evidence`` the image itself is shown in its place. ``trust``: certificates of trusted signers, as in
    :func:`competition.data.images.credentials.read_credentials`.
    """
    found = verdict_on(classifier, raw, name, max_mb)
    if isinstance(found, str):
        return Answer(name, found)
    image, verdict = found
    try:
        first = plain_picture(image) if evidence is None else evidence(image, verdict)
        credentials = read_credentials(raw, trust)
        return Answer(name, "", verdict, [first, *pictures(image)], fact_lines(raw, name, credentials), credentials)
    except MemoryError:
        return Answer(name, NO_MEMORY)


def verdict_on(
    classifier: Classifier, raw: bytes, name: str, max_mb: float = MAX_MB
) -> tuple[NDArray[np.uint8], Verdict] | str:
    """Return the image (h, w, 3) in a file of these bytes with its verdict, or the sentence why there is none."""
    try:
        image = _checked(raw, name, max_mb)
        return image, classifier.classify([image])[0]
    except UnreadableImage as error:
        return f"This file was not judged: {error.reason}."
    except UserError as error:
        return str(error)
    except MemoryError:
        return NO_MEMORY


def _checked(raw: bytes, name: str, max_mb: float) -> NDArray[np.uint8]:
    if len(raw) > max_mb * 2**20:
        raise UnreadableImage(name, f"its {len(raw) / 2**20:.1f} MB exceed this page's limit of {max_mb:g} MB")
    height, width = header_size(raw, name)
    if height * width > MAX_PIXELS:
        limit = f"this page's limit of {MAX_PIXELS / 1e6:.0f} million pixels"
        raise UnreadableImage(name, f"its {width:,} x {height:,} pixels exceed {limit}")
    image = decode(raw, name)  # which refuses what is damaged, whatever size its header states
    if min(image.shape[:2]) < MIN_SIDE:
        raise UnreadableImage(name, f"its {width} x {height} pixels are too few to say anything")
    return image


def pictures(image: NDArray[np.uint8]) -> list[Picture]:
    """Return the residual and the spectrum of an image (h, w, 3)."""
    top, left, rows, columns = seen_box(image.shape, WINDOW, "crop")
    window = image[top : top + rows, left : left + columns]  # unscaled: shrinking would wipe out the traces
    part, tiny = "", is_tiny(image)
    if window.shape != image.shape:
        part = f" (here of the middle {window.shape[1]} x {window.shape[0]} pixels, unscaled)"
    return [
        Picture(
            "Noise residual",
            data_uri(residual_picture(window)),
            "What is left when each pixel is predicted from its neighbours, with the contrast stretched" + part + ": "
            "grids, stripes and strangely smooth patches can come from a generator, and from editing or compression.",
            tiny,
        ),
        Picture(
            "Spectrum",
            data_uri(spectrum_picture(window)),
            "How strong each frequency is, the coarsest in the centre" + part + ": lone bright dots or a lattice away "
            "from the centre can come from a generator's upsampling, and from JPEG's blocks or resizing.",
            tiny,
        ),
    ]
