"""What the system says of files and folders, as a sentence for the user."""

import errno

from competition.core.paths import home

# What the system says of a place that cannot be written to.
UNWRITABLE = {
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),  # no room: on the disk, of the user's share, in one file
}


def disk_refusal(error: BaseException) -> str | None:
    """Return what an error of the system says of a file, for those that the user can do something about; else None."""
    if not isinstance(error, OSError):
        return None
    if error.errno == errno.ENAMETOOLONG:
        return f"{error.filename!s:.80}... is longer than the system allows: give a shorter name"
    if error.errno in UNWRITABLE:
        return (
            f"{error.filename or home()} cannot be written ({error.strerror}): make room there, or put the "
            "results elsewhere with TELLTALE_HOME=FOLDER"
        )
    return None
