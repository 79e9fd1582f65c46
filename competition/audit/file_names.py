"""What file names and folders say of a label: extension, prefix, number, pattern. No file is opened."""

import os
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

NUMBERS = ("number", "digit_share", "name_length")
KINDS = ("prefix", "folder", "hex")
# Hexadecimal digests and UUIDs, whose letters and digits say nothing of the image.
_HEX = re.compile("(?=.*[a-f])[0-9a-f]{8,}|[0-9a-f]{24,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PREFIX = re.compile("[^0-9_. -]*[_. -]?")  # up to the first digit or separator
_CONTAINERS = {".jpg": "JPEG", ".jpeg": "JPEG", ".jfif": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}


def name_facts(paths: Sequence[str], folders: bool) -> pd.DataFrame:
    """Return a row for each path: number, digit_share and name_length (float), prefix, folder, hex and extension.

    ``folders`` says whether the name of the folder that a file lies in counts (in class folders it is the class).
    """
    rows = [_of(str(path), folders) for path in paths]
    table = pd.DataFrame(rows, columns=[*NUMBERS, *KINDS, "extension"], dtype=object)
    return table.astype(dict.fromkeys(NUMBERS, float))


def _of(path: str, folders: bool) -> list[Any]:
    folder, name = os.path.split(path)
    stem, extension = os.path.splitext(name)
    is_hex = bool(_HEX.fullmatch(stem))
    prefix = _PREFIX.match(stem)
    digits = re.findall("[0-9]+", stem)
    return [
        float(digits[-1][:15]) if digits and not is_hex else None,
        None if is_hex else sum(map(str.isdigit, stem)) / max(len(stem), 1),
        len(stem),
        None if is_hex or prefix is None else prefix[0] or None,
        os.path.basename(folder) if folders else None,
        is_hex,
        extension.lower(),
    ]


def container_of(extension: str) -> str:
    """Return the format that a file of this extension (with its dot, lower case) claims to be, as PIL calls it."""
    return _CONTAINERS.get(extension, extension[1:].upper())
