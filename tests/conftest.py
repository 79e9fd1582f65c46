"""What holds for every test process and for those it starts."""

import os
import signal

from tests.kaggle_world import kaggle_world  # noqa: F401 - a fixture

# A shell starts what runs in the background deaf to Ctrl-C, and so would be all that tests start from there.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes whose threads fight over two cores take far longer
