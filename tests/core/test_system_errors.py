"""What the system says of files, folders and memory is a sentence; what is our own mistake stays a traceback."""

import errno
import os

import pytest

from competition.core.system_errors import system_refusal
from competition.data.images.decode import read_bytes


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "There is not enough memory (the system refused to give more)"),
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "a/b cannot be written (No space left on device)"),
        (OSError(errno.ENOSPC, "No space left on device", "from", None, "to"), "to cannot be written"),
        (OSError(errno.EIO, "Input/output error", "a/b"), "a/b cannot be read or written (Input/output error)"),
        (OSError(errno.EIO, "Input/output error"), "A file cannot be read or written"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 999), "x... is longer than the system allows"),
    ],
)
def test_an_error_of_the_system_is_a_sentence(error, said):
    assert said in system_refusal(error)


@pytest.mark.parametrize("error", [OSError(errno.EBADF, "Bad file descriptor"), ValueError("ours")])
def test_an_error_of_ours_is_none(error):
    assert system_refusal(error) is None


def test_a_file_that_a_disk_does_not_give_is_named():
    if not os.path.exists("/proc/self/mem"):
        pytest.skip("only Linux has a file that always fails to be read")
    with pytest.raises(OSError, match="/proc/self/mem") as failure:
        read_bytes("/proc/self/mem")
    assert "/proc/self/mem cannot be read" in system_refusal(failure.value)
