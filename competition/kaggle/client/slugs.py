"""Competitions as users name them: by their slug, or by the address of their page."""

import re

from competition.core.errors import UserError

ADDRESS = re.compile(r"^(https?://)?(www\.)?kaggle\.com/(competitions|c)/([^/?#]+).*")


def slug_in(text: str) -> str:
    """Return the slug of the competition that ``text`` names, "" where it is empty; UserError where it can be none."""
    slug = ADDRESS.sub(r"\4", text)
    if slug and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", slug):
        raise UserError(f"competition={slug} cannot be a competition: give the last part of its address on Kaggle.")
    return slug
