"""What a process that works beside others does first: it sees to it that it ends with its parent.

The standard library alone is imported here, for torch takes seconds to import, in which a parent may be killed.
"""

import multiprocessing
import os
import pickle
import threading
from multiprocessing.queues import Queue


def begin(work: bytes, todo: Queue, messages: Queue) -> None:
    """Call a function in a process of its own, which never outlives its parent: a restarted run never meets a worker of
    the killed one.

    ``work``: the function and its first arguments, pickled, so that they are unpickled here and not before.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    function, arguments = pickle.loads(work)
    function(*arguments, todo, messages)


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
