"""One thread a process: two test processes whose threads fight over two cores take many times as long."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, here and in the processes that tests start
