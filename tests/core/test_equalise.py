"""equalise= is none or a JPEG quality, and anything else is one sentence."""

import pytest

from competition.core.config import load_config
from competition.core.equalise import equalised_quality
from competition.core.errors import UserError


def test_none_is_no_compression_and_jpeg_names_its_quality():
    assert [equalised_quality(text) for text in ("none", "jpeg:96", "jpeg:1", "jpeg:100")] == [0, 96, 1, 100]


@pytest.mark.parametrize("text", ["jpeg", "jpeg:", "jpeg:0", "jpeg:101", "jpeg:9.5", "jpeg:-5", "png:96", "96", ""])
def test_anything_else_is_refused_by_its_key_before_anything_is_done(text):
    with pytest.raises(UserError, match=f"members.swin.equalise={text} is not a way .*: write none, or jpeg:96"):
        load_config(["preset=demo", f"members.swin.equalise={text}"])
