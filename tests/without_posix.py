"""Runs the command line as Windows would: without POSIX's modules, and without its names in ``os`` and ``signal``.

Other packages are imported first, because those of this machine were made for it and need what Windows lacks.
"""

import ast
import contextlib
import importlib
import os
import pkgutil
import signal
import sys
from multiprocessing import resource_tracker
from pathlib import Path

import competition

MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
NAMES = {
    os: "chown fchown fork forkpty getegid geteuid getgid getgroups getloadavg getpgid getpgrp getsid getuid killpg "
    "lchown mkfifo mknod nice posix_spawn pread pwrite register_at_fork sched_getaffinity sched_setaffinity setgid "
    "setpgid setsid setuid sysconf ttyname uname wait wait3 wait4",
    signal: "SIGALRM SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 alarm pause "
    "pthread_kill pthread_sigmask setitimer siginterrupt sigwait",
}


class NotOnWindows:
    """A finder that finds none of these modules."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def imported_packages() -> set[str]:
    """Return every module of other packages that this one imports anywhere."""
    found = set()
    for path in Path(competition.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                found.add(node.module)
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
    return {name for name in found if name.partition(".")[0] not in {"competition", *MODULES}}


def forget_posix() -> None:
    """Take away what Windows lacks."""
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, NotOnWindows())
    for module, names in NAMES.items():
        for name in names.split():
            delattr(module, name)
    resource_tracker.__dict__["_HAVE_SIGMASK"] = False  # multiprocessing's own, which is this machine's


if __name__ == "__main__":
    for name in sorted(imported_packages()):
        with contextlib.suppress(ModuleNotFoundError):  # what only a type checker imports
            importlib.import_module(name)
    forget_posix()
    for module in pkgutil.walk_packages(competition.__path__, "competition."):
        importlib.import_module(module.name)
    from competition.__main__ import main
    from competition.data import loader

    loader.start_method = lambda: "spawn"  # as it is on Windows and on a Mac

    statuses = [main(line.split("|")) for line in sys.argv[1:]]
    sys.exit(max(statuses))
