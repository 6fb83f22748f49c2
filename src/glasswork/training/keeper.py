"""When the state of a training is saved, and what happens if it cannot be."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

from glasswork.errors import GlassworkError
from glasswork.training.checkpoint import Slots, State, size_of
from glasswork.training.save_every import SaveEvery

_WORK_PER_SAVING = 100  # seconds of training for each second of saving
_BYTES_PER_SECOND = 75e6  # of saving, before it has been measured: a busy machine with two cores and a plain disk


class Keeper:
    """Asked after every step whether to save, and whether to go on.

    `about`: what is to be known of the run beside the state of its training. `asked_to_stop`: whether to save now and
    end the training. `start`: the state to begin from; `None` for the beginning.
    """

    def __init__(
        self,
        slots: Slots,
        every: SaveEvery,
        about: Callable[[], dict[str, Any]],
        asked_to_stop: Callable[[], bool] = lambda: False,
        start: State | None = None,
    ) -> None:
        self.start = start
        self._slots, self._every, self._about, self._asked_to_stop = slots, every, about, asked_to_stop
        self._steps, self._since = 0, time.perf_counter()
        self._cost: float | None = None  # seconds that saving takes
        self._warned = False

    def after_step(self, state: Callable[[], State]) -> None:
        """Save, if it is time. If asked to stop, save first and then raise `KeyboardInterrupt`.

        A state that cannot be saved ends no training: the one saved before is kept, and one warning says so, until
        saving has succeeded again.
        """
        self._steps += 1
        stopping = self._asked_to_stop()
        if stopping or self._is_time(state):
            self._save(state())
        if stopping:
            raise KeyboardInterrupt

    def _is_time(self, state: Callable[[], State]) -> bool:
        if self._every.steps is not None:
            return self._steps >= self._every.steps
        assert self._every.seconds is not None
        passed = time.perf_counter() - self._since
        if passed < self._every.seconds:
            return False
        if self._cost is None:
            self._cost = size_of(state()) / _BYTES_PER_SECOND
        return passed >= _WORK_PER_SAVING * self._cost

    def _save(self, state: State) -> None:
        start = time.perf_counter()
        try:
            self._slots.write({"about": self._about(), "training": state})
            self._warned = False
        except (GlassworkError, MemoryError) as error:
            if not self._warned:
                reason = str(error).partition(";")[0] or "there is not enough memory"
                warnings.warn(
                    f"the state of the training could not be saved ({reason}); it goes on, and would resume from what "
                    "was saved before; free some space",
                    stacklevel=2,
                )
            self._warned = True
        self._steps, self._since = 0, time.perf_counter()
        self._cost = self._since - start
