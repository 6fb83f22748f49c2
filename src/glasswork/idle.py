"""Threads of a command that have nothing to do for the moment sleep soon, in place of asking for work at full speed.

The libraries below PyTorch and NumPy leave their threads asking for some milliseconds after each operation, since work
that comes at once is then taken up at once. But where another program wants a core too, those who ask keep those who
have work from working. The pools of NumPy and SciPy did so to each other: a small fit took eight times as long. Alone
on two cores a training is as fast either way, and mostly with one busy neighbour too (`benchmarks/neighbour.py`); at
times, which nobody could call up at will, its steps took ten to a hundred times as long where threads went on asking.
"""

from __future__ import annotations

import os
import sys

SPINS = "4000"  # of libgomp, some 80 microseconds: longer than Python takes from one operation to the next
AWAKE = "16"  # of OpenBLAS, 2^16 cycles, some 20 microseconds


def let_idle_threads_sleep() -> None:
    """Have the libraries read so when they are loaded; what the environment says already is left as it is."""
    if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    if "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", AWAKE)
