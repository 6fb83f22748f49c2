"""Importing sooner: what large libraries make while they are imported stays, so that no garbage is looked for in it.

Python's collector goes through all there is again and again as it grows, and twice more when the process ends: of a
process that imports torch and scikit-learn, that was two fifths of the time.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Inside, a command imports what it works with.

    Meanwhile no garbage is looked for; later, none in what has come by then; nor in anything when the process ends,
    with which its memory goes anyway. In a process that has torch already, which is not ours alone, all is as usual.
    """
    if "torch" in sys.modules:
        yield
        return
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
        atexit.register(_leave_all)


def _leave_all() -> None:
    """Have the process end without a look at what is in it."""
    if "triton" in sys.modules:  # whose bindings complain on stderr of whatever is left
        gc.unfreeze()
    else:
        gc.freeze()
