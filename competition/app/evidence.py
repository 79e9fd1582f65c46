"""Where in a picture a run's members found their evidence, by torch: their heat, averaged and laid over the image."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from competition.app.heat import heat
from competition.app.pictures import SHOWN, Box, Picture, data_uri, enlarged, is_tiny, seen_box
from competition.data.images.decode import fit_store, stored_size
from competition.data.run_data import store_spec
from competition.data.tta import eval_crops
from competition.inference.classify import Classifier, Verdict
from competition.inference.torch_member import TorchMember
from competition.models.adapt import count_parameters
from competition.models.device import memory_errors
from competition.models.views import find_view

SMALL_NET = 8_000_000  # parameters, at most: such nets are quick enough for
MAX_HEATED = 3  # models of a member, whose heat is averaged; of larger nets one model is looked into
GRID = 256  # longer side of the map on which the members' heats are added, pixels
DIMMED = 0.4  # what is left of the brightness outside the box
STRONGEST = 0.7  # opacity of the heat where it is 1
_NO_HEAT = np.zeros((1, 1), np.float32)

Part = tuple[float, float, float, float]  # top, left, height, width, in parts of the image's height and width


def heat_picture(classifier: Classifier[TorchMember], image: NDArray[np.uint8], verdict: Verdict) -> Picture:
    """Return the heat of what spoke for the verdict over the image (h, w, 3); MemoryError where it does not fit."""
    with memory_errors():
        found = ensemble_heat(classifier, image, int(verdict.positive))
    if found is None:
        seen = " and ".join(sorted({network.sees for network in classifier.networks.values()}))
        caption = f"The members of this run look at the {seen} alone, where evidence has no place in the image."
        return Picture("The image", data_uri(overlay(fit_store(image, 0, SHOWN), _NO_HEAT)), caption, is_tiny(image))
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
    return Picture("Where the evidence is", data_uri(overlay(shown, places, box)), caption + ".", is_tiny(part))


def overlay(image: NDArray[np.uint8], heat: NDArray[np.float32], box: Box | None = None) -> NDArray[np.uint8]:
    """Return the image (h, w, 3) with the heat over it, the more opaque the hotter, enlarged if tiny.

    ``heat`` holds 0..1 and covers ``box`` (top, left, height, width), or the whole image; it is resized to fit. What
    lies outside the box, and so was not seen, is dimmed. The colours are matplotlib's inferno, perceptually uniform.
    """
    from matplotlib import colormaps  # takes a third of a second

    height, width = image.shape[:2]
    top, left, rows, columns = box or (0, 0, height, width)
    if not (0 <= top < top + rows <= height and 0 <= left < left + columns <= width):
        raise ValueError(f"the box {box} does not lie in an image of {height} x {width} pixels")
    picture = image.astype(np.float32) * DIMMED
    place = slice(top, top + rows), slice(left, left + columns)
    fitted = np.clip(cv2.resize(heat.astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR), 0, 1)
    colours = colormaps["inferno"](fitted)[..., :3] * 255
    alpha = STRONGEST * fitted[..., None]
    picture[place] = (1 - alpha) * image[place] + alpha * colours
    return enlarged(np.rint(picture).astype(np.uint8))


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
