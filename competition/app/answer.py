"""What the page answers to one dropped file: a verdict with its votes, pictures and facts, or a sentence why not.

Bytes and a name in, an Answer out: no web server, no file. Whatever the bytes are, this answers; nothing is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from competition.app.facts import fact_lines
from competition.app.heat import heat
from competition.app.pictures import Box, data_uri, overlay, residual_picture, seen_box, spectrum_picture
from competition.core.errors import UserError
from competition.data.images.credentials import Credentials, read_credentials
from competition.data.images.decode import UnreadableImage, decode, fit_store, header_size, stored_size
from competition.data.run_data import store_spec
from competition.data.tta import eval_crops
from competition.inference.classify import Classifier, Verdict
from competition.inference.torch_member import TorchMember
from competition.models.adapt import count_parameters
from competition.models.views import find_view

MAX_MB = 20.0  # of a file
MAX_PIXELS = 50_000_000  # of an image: a phone's sharpest photograph passes, a bomb does not
MIN_SIDE = 8  # pixels: the smallest that any network here takes
SHOWN, WINDOW = 640, 384  # longer side of the image shown, and of the window of its residual and spectrum, pixels
SMALL_NET = 8_000_000  # parameters, at most: such nets are quick enough for
MAX_HEATED = 3  # models of a member, whose heat is averaged; of larger nets one model is looked into
GRID = 256  # longer side of the map on which the members' heats are added, pixels
_NO_HEAT = np.zeros((1, 1), np.float32)

Part = tuple[float, float, float, float]  # top, left, height, width, in parts of the image's height and width


@dataclass(frozen=True)
class Picture:
    """``uri`` is a data URI; ``caption`` says in one sentence how to read it; ``tiny``: shown pixel by pixel."""

    title: str
    uri: str
    caption: str
    tiny: bool


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
    classifier: Classifier[TorchMember], raw: bytes, name: str, max_mb: float = MAX_MB, trust: str = ""
) -> Answer:
    """Classify the image file of these bytes; whatever makes that impossible becomes the answer's refusal.

    ``trust``: certificates of trusted signers, as in :func:`competition.data.images.credentials.read_credentials`.
    """
    try:
        image = _checked(raw, name, max_mb)
        (verdict,) = classifier.classify([image])
        found = read_credentials(raw, trust)
        shown = pictures(classifier, image, verdict)
        return Answer(name, "", verdict, shown, fact_lines(raw, name, found), found)
    except UnreadableImage as error:
        return Answer(name, f"This file was not judged: {error.reason}.")
    except UserError as error:
        return Answer(name, str(error))
    except (MemoryError, torch.OutOfMemoryError):
        return Answer(name, "This image was not judged: it does not fit into memory, so try a smaller one.")


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


def pictures(classifier: Classifier[TorchMember], image: NDArray[np.uint8], verdict: Verdict) -> list[Picture]:
    """Return the heat over the image (h, w, 3), its residual and its spectrum."""
    top, left, rows, columns = seen_box(image.shape, WINDOW, "crop")
    window = image[top : top + rows, left : left + columns]  # unscaled: shrinking would wipe out the traces
    part, tiny = "", _is_tiny(image)
    if window.shape != image.shape:
        part = f" (here of the middle {window.shape[1]} x {window.shape[0]} pixels, unscaled)"
    return [
        _heat_picture(classifier, image, verdict),
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


def _is_tiny(image: NDArray[np.uint8]) -> bool:
    return max(image.shape[:2]) < WINDOW / 2


def _heat_picture(classifier: Classifier[TorchMember], image: NDArray[np.uint8], verdict: Verdict) -> Picture:
    found = ensemble_heat(classifier, image, int(verdict.positive))
    if found is None:
        seen = " and ".join(sorted({find_view(member.recipe.view).caption for member in classifier.members.values()}))
        caption = f"The members of this run look at the {seen} alone, where evidence has no place in the image."
        return Picture("The image", data_uri(overlay(fit_store(image, 0, SHOWN), _NO_HEAT)), caption, _is_tiny(image))
    places, (top, left, height, width) = found
    word = classifier.words[verdict.positive]
    caption = f"The brighter, the more a place spoke for “{word}”: it shows what swayed the models, not the truth"
    if not places.any():
        caption = f"No place in the image spoke for “{word}” on its own"
    if height * width < 1:
        share = 100 * height * width
        percent = f"{share:.0f}" if share >= 10 else f"{share:.2g}"
        dimmed = "is for the other views" if classifier.record.tta == "crops" else "was not looked at"
        caption += f"; what is dimmed {dimmed}, and the window is {percent} % of the image"
    # A small window is shown enlarged, with half of its sides around it.
    rows, columns = image.shape[:2]
    above, below = int(max(0, top - height / 2) * rows), int(np.ceil(min(1, top + 1.5 * height) * rows))
    before, after = int(max(0, left - width / 2) * columns), int(np.ceil(min(1, left + 1.5 * width) * columns))
    part = image[above:below, before:after]
    shown = fit_store(part, 0, SHOWN)
    scale = np.array([shown.shape[0] / part.shape[0], shown.shape[1] / part.shape[1]] * 2)
    corner = np.array([top * rows - above, left * columns - before, height * rows, width * columns]) * scale
    box = _inside(np.rint(corner).astype(int).tolist(), shown.shape)
    return Picture("Where the evidence is", data_uri(overlay(shown, places, box)), caption + ".", _is_tiny(part))


def _inside(box: Sequence[int], shape: Sequence[int]) -> Box:
    """Return the box with at least a pixel of a picture of this shape (h, w, ...), and no other."""
    top, left = min(max(box[0], 0), shape[0] - 1), min(max(box[1], 0), shape[1] - 1)
    return top, left, max(1, min(box[2], shape[0] - top)), max(1, min(box[3], shape[1] - left))


def ensemble_heat(
    classifier: Classifier[TorchMember], image: NDArray[np.uint8], label: int
) -> tuple[NDArray[np.float32], Part] | None:
    """Return where in the image (h, w, 3) the evidence for ``label`` is, and in which part it was looked for.

    The heat, float32 (rows, columns) in 0..1 over that part, is the mean of the members', by their weights. None where
    no member that counts sees places, as none does in a spectrum.
    """
    counted = [
        name
        for name, member in classifier.members.items()
        if find_view(member.recipe.view).keeps_places and classifier.weights[name] > 0
    ]
    found = [_member_heat(classifier.members[name], image, label) for name in counted]
    if not found:
        return None
    parts = np.array([part for _, part in found])
    corner, end = parts[:, :2].min(axis=0), (parts[:, :2] + parts[:, 2:]).max(axis=0)
    extent = end - corner
    height, width = np.maximum(1, np.rint(extent * image.shape[:2])).astype(int).tolist()
    shape = stored_size(height, width, 0, GRID)
    total = np.zeros(shape, np.float32)
    for (places, part), name in zip(found, counted, strict=True):
        place = [*(np.array(part[:2]) - corner) / extent * shape, *np.array(part[2:]) / extent * shape]
        top, left, rows, columns = _inside(np.rint(place).astype(int).tolist(), shape)
        total[top : top + rows, left : left + columns] += classifier.weights[name] * _resized(places, rows, columns)
    return total / (total.max() or 1), (*corner.tolist(), *extent.tolist())


def _resized(places: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    maps = torch.from_numpy(np.ascontiguousarray(places))[None, None]
    return torch.nn.functional.interpolate(maps, (rows, columns), mode="bilinear", antialias=True)[0, 0].numpy()


def _member_heat(member: TorchMember, image: NDArray[np.uint8], label: int) -> tuple[NDArray[np.float32], Part]:
    """Return a member's heat in its central view, and which part of the image that is."""
    recipe, spec = member.recipe, store_spec(member.recipe)
    stored = spec.stored(image)
    crop = eval_crops(stored, recipe.image_size, recipe.fit, ("centre",))
    pixels = member.predictor.placement.move(torch.from_numpy(crop).movedim(-1, -3))
    few = count_parameters(member.models[0])[0] <= SMALL_NET
    places = np.mean([heat(model, pixels, label) for model in member.models[: MAX_HEATED if few else 1]], axis=0)
    top, left, rows, columns = seen_box(stored.shape, recipe.image_size, recipe.fit)
    if recipe.fit == "crop":  # an image smaller than the window was mirrored at its border, evenly on both sides
        above, before = (recipe.image_size - rows) // 2, (recipe.image_size - columns) // 2
        places = places[above : above + rows, before : before + columns]
    height, width = stored.shape[:2]
    return places, (top / height, left / width, rows / height, columns / width)
