"""Runs a program as a Kaggle session does: true absolute paths under /kaggle, and no network but loopback.

Run by its path, in namespaces of its own: ``unshare -rmn python -I tests/standin/sandbox.py SPEC.json``. The program
sees the machine's folders, read-only, under a root of its own; what SPEC hides (the home, /tmp, this project) is empty.
"""

import ctypes
import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import sys
from pathlib import Path

MS_BIND, MS_REC, MS_NOSUID, MS_NODEV = 0x1000, 0x4000, 0x2, 0x4
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY, SYS_MOUNT_SETATTR = -100, 0x8000, 0x1, 442
PR_SET_PDEATHSIG = 1
IFF_UP, SIOCGIFFLAGS, SIOCSIFFLAGS = 0x1, 0x8913, 0x8914
LIVE = ("dev", "proc", "sys")  # folders of the machine that stay as they are

_libc = ctypes.CDLL(None, use_errno=True)


def raise_loopback() -> None:
    """Bring ``lo`` up in this network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        words = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(probe, SIOCGIFFLAGS, words))[1]
        fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {errno.errorcode.get(number)}")


def _bind(source: str | Path, target: Path, writable: bool = False) -> None:
    """Show ``source`` with all that is mounted in it at ``target``, which is made if need be."""
    target.mkdir(parents=True, exist_ok=True)
    _checked(_libc.mount(os.fsencode(source), os.fsencode(target), None, MS_BIND | MS_REC, None), f"bind {source}")
    if not writable:
        _seal(target)


def _seal(target: Path) -> None:
    """Make a mount and all in it read-only; whatever else holds for them stays."""
    attributes = struct.pack("QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
    done = _libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, os.fsencode(target), AT_RECURSIVE, attributes, len(attributes))
    _checked(done, f"read-only {target}")


def _empty(target: Path) -> None:
    """Mount an empty folder in memory."""
    _checked(_libc.mount(b"none", os.fsencode(target), b"tmpfs", MS_NOSUID | MS_NODEV, b"mode=755"), f"tmpfs {target}")


def build_root(root: Path, spec: dict) -> None:
    """Build the session's root folder at ``root``, an empty folder.

    SPEC: ``hide``: folders to be empty and writable, outer ones first; ``keep``: folders to be seen nevertheless;
    ``image``: an environment to copy to /image, where packages may be added to it;
    ``mounts``: places under /kaggle, each with its folder and whether it may be written.
    """
    _empty(root)
    for name in sorted(os.listdir("/")):
        path = Path("/", name)
        if path.is_symlink():
            (root / name).symlink_to(os.readlink(path))
        elif path.is_dir() and name != "kaggle":
            _bind(path, root / name, writable=name in LIVE)
    for path in spec["hide"]:
        target = root / path.lstrip("/")
        if target.parent == root:
            target.mkdir(exist_ok=True)
        if target.is_dir():
            _empty(target)
    for path in spec["keep"]:
        _bind(path, root / path.lstrip("/"))
    shutil.copytree(spec["image"], root / "image", symlinks=True)
    (root / "kaggle/input").mkdir(parents=True)
    for place, (folder, writable) in spec["mounts"].items():
        _bind(folder, root / "kaggle" / place, writable)
    _bind(root / "kaggle/input", root / "kaggle/input")


def main() -> None:
    spec = json.loads(Path(sys.argv[1]).read_text())
    raise_loopback()
    build_root(Path(spec["root"]), spec)
    os.chroot(spec["root"])
    os.chdir("/kaggle/working")
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.execve(spec["words"][0], spec["words"], spec["env"])


if __name__ == "__main__":
    main()
