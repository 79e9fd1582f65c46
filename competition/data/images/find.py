"""The image files in a folder, known by their names' ends."""

import os
from collections.abc import Iterator
from typing import NoReturn

from competition.core.errors import UserError
from competition.data.images.formats import IMAGE_EXTENSIONS

HIDDEN = (".", "__")  # how names begin that are passed over; __MACOSX holds a shadow of every file


def image_files(folder: str | os.PathLike[str]) -> Iterator[str]:
    """Yield the path of each image in ``folder``, however deep, in the system's order; hidden files and folders are
    passed over. Raises UserError for a folder that cannot be read."""
    for place, inside, names in os.walk(folder, onerror=_refuse):
        inside[:] = [name for name in inside if not name.startswith(HIDDEN)]
        for name in names:
            if not name.startswith(HIDDEN) and os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS:
                yield os.path.join(place, name)


def _refuse(error: OSError) -> NoReturn:
    raise UserError(f"The folder {error.filename} cannot be read ({error.strerror}): change that, or move it away.")
