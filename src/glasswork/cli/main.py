"""The command line: which command, and what its end means.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C and 143 SIGTERM, after saving what was finished.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from cyclopts import App, CycloptsError

from glasswork.errors import GlassworkError, SettingError, one_line

DONE, FAILED, WRONG_USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


def create_app() -> App:
    """The commands and their help."""
    from glasswork.cli.compare import compare
    from glasswork.cli.crossval import crossval
    from glasswork.cli.data import data
    from glasswork.cli.evaluate import evaluate
    from glasswork.cli.explain import explain
    from glasswork.cli.predict import predict
    from glasswork.cli.train import train
    from glasswork.cli.tune import tune

    app = App(
        name="glasswork",
        help="Neural networks you can see through: train the classic networks on your own pictures and tables.",
        version_flags=["--version"],
        version=_version,
        suppress_keyboard_interrupt=False,  # saving first is ours to do
        result_action="return_value",
        help_format="plaintext",
    )
    for command in (train, crossval, compare, tune, evaluate, predict, explain, data):
        app.command(command)
    return app


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. What the user can mend comes as one sentence on stderr, never as a traceback."""
    terminated: list[int] = []

    def terminate(number: int, _frame: FrameType | None) -> None:
        terminated.append(number)
        raise KeyboardInterrupt  # from here on the same way out as Ctrl-C: save, then leave

    previous = signal.signal(signal.SIGTERM, terminate)
    sys.stdout, sys.stderr = sys.stdout or nowhere(), sys.stderr or nowhere()  # closed by whoever started us
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show is shown escaped
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            create_app()(tokens, exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return DONE
    except CycloptsError as error:
        return _complain(" ".join(str(error).split()) + " (see --help)", WRONG_USAGE)
    except SettingError as error:
        return _complain(str(error), WRONG_USAGE)
    except GlassworkError as error:
        return _complain(str(error), FAILED)
    except BrokenPipeError:  # the reader of our output has left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        place = f"{one_line(error.filename)}: " if error.filename else ""
        return _complain(f"{place}{error.strerror or error}", FAILED)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        return _complain("there is not enough memory; reduce --batch-size, --image-size or --width", FAILED)
    except KeyboardInterrupt:
        return TERMINATED if terminated else INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, previous)


def nowhere() -> TextIO:
    """A stream that keeps nothing."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _complain(sentence: str, code: int) -> int:
    print(f"glasswork: {sentence}", file=sys.stderr)
    return code


def _is_out_of_memory(error: Exception) -> bool:
    """PyTorch says so in its own words: a class on GPUs, a text on the CPU."""
    text = str(error)
    return isinstance(error, MemoryError) or "allocate memory" in text or "out of memory" in text


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: Any = None,
) -> None:
    print(f"glasswork: note: {message}", file=sys.stderr)


def _version() -> str:
    from importlib.metadata import version

    return version("glasswork")
