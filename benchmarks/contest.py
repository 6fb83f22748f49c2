"""Contestants in processes of their own, which take turns: while one computes, the others wait for their pipe.

A process each, since Keras chooses its backend when it is imported, and since the thread pools of two libraries in one
process would be in each other's way. A contestant is any class in a module of its own, or a function that gives such an
object: `Contestant("ours", "benchmarks.ours:Ours", work).ask("epochs", 3)` makes an `Ours(work)` over there and returns
what its `epochs(3)` gives.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

# Some machines hold OpenBLAS to an older kernel by these; here every contestant has the best that it brings.
UNHELD: Mapping[str, str | None] = {"OPENBLAS_CORETYPE": None, "OPENBLAS_L2_SIZE": None}


class Contestant:
    """One process, from its start to `close`."""

    def __init__(self, name: str, maker: str, *given: Any, environment: Mapping[str, str | None] = UNHELD) -> None:
        """`maker`: "module:name". `environment`: variables of its process, None where one is not to be set."""
        context, usual = multiprocessing.get_context("spawn"), multiprocessing.get_start_method()
        self.name = name
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, maker, given, usual))
        with changed_environment({**UNHELD, **environment}):
            self._process.start()
        theirs.close()

    def ask(self, method: str, *given: Any) -> Any:
        """What a method of the contestant returns. Ends the benchmark, with the reason, where it fails."""
        self._pipe.send((method, given))
        try:
            went_well, answer = self._pipe.recv()
        except EOFError:
            raise SystemExit(f"{self.name} ended without an answer") from None
        if not went_well:
            raise SystemExit(f"{self.name} failed:\n{answer}")
        return answer

    def close(self) -> None:
        """Let the process come to its end."""
        self._pipe.close()
        self._process.join()


@contextmanager
def cold_caches() -> Iterator[dict[str, str]]:
    """Variables with which a process finds nothing compiled, tried or cached by an earlier one."""
    with tempfile.TemporaryDirectory() as folder:
        yield {"TORCHINDUCTOR_CACHE_DIR": f"{folder}/compiled", "GLASSWORK_HOME": f"{folder}/home"}


def taking_turns(names: Sequence[str], number: int) -> list[str]:
    """The order of round `number`: each round another one begins, so that none always has the same one before it.

    >>> taking_turns(["a", "b", "c"], 1)
    ['b', 'c', 'a']
    """
    first = number % len(names)
    return [*names[first:], *names[:first]]


def missing(*modules: str) -> list[str]:
    """Those that are not installed."""
    return [module for module in modules if find_spec(module) is None]


@contextmanager
def changed_environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Inside, these variables are set, or are not there; afterwards all is as it was."""
    before = {name: os.environ.get(name) for name in variables}
    _set(variables)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _serve(pipe: Connection, maker: str, given: Sequence[Any], start_method: str) -> None:
    """Make the contestant at the first question, and answer until nobody asks any more."""
    # A spawned process would spawn its own children too, and a loader's workers import everything anew in every epoch;
    # in a person's script they are forked, where the system does that.
    multiprocessing.set_start_method(start_method, force=True)
    contestant: Any = None
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        try:
            if contestant is None:
                module, _, name = maker.partition(":")
                contestant = getattr(import_module(module), name)(*given)
            pipe.send((True, getattr(contestant, method)(*arguments)))
        except BaseException:
            pipe.send((False, traceback.format_exc()))
