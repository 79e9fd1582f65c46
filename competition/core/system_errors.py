"""What the system says of files, folders and memory, as a sentence for the user."""

import errno

# What the system says of a place that cannot be written to.
UNWRITABLE = {
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),  # no room: on the disk, of the user's share, in one file
}


def system_refusal(error: BaseException) -> str | None:
    """Return what an error of the system says, for those that the user can do something about; else None."""
    if isinstance(error, MemoryError):
        return (
            f"There is not enough memory ({str(error) or 'the system refused to give more'}): close other programs, or "
            "use jobs=1 and fewer workers"
        )
    if not isinstance(error, OSError):
        return None
    if error.errno == errno.ENAMETOOLONG:
        return f"{error.filename!s:.80}... is longer than the system allows: give a shorter name"
    if error.errno == errno.EIO:
        return f"{error.filename or 'A file'} cannot be read or written ({error.strerror}): check its disk"
    if error.errno in UNWRITABLE:
        return (
            f"{error.filename2 or error.filename or 'A file'} cannot be written ({error.strerror}): make room there, "
            "or name another place, which for runs and submissions is TELLTALE_HOME=FOLDER"
        )
    return None
