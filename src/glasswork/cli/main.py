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

from glasswork.errors import GlassworkError, SettingError, is_out_of_memory, one_line
from glasswork.idle import let_idle_threads_sleep

DONE, FAILED, WRONG_USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


COMMANDS = {
    "train": "Train a network on DATA, evaluate it, and save it with all that repeats the run.",
    "crossval": "Train on all folds but one and score on that one, in turn. The test part is left alone.",
    "compare": (
        "Say which is better and by how much, with the interval; or that it cannot be told, and what might help."
    ),
    "tune": "Search for better settings by cross-validation; train with the best, and look at the test part once.",
    "evaluate": (
        "Score a model: accuracy with its 95% interval, loss, precision and recall per class, confusion counts."
    ),
    "predict": (
        "Predict pictures or the rows of tables: a line each, on standard output.\n\nA line has the file, or the row's "
        "identifier, then its class and the probability of every class, or its number."
    ),
    "explain": "Write the report of a model or a run; or show what a network is made of that was never trained.",
    "data": "Show what DATA holds, what is wrong with it (broken files, copies across parts), and what train would do.",
}
"""What each does, as its own help says too; here as well, so that whoever asks for one need not wait for the others."""


def create_app() -> App:
    """The commands and their help; each is imported when it is called."""
    app = App(
        name="glasswork",
        help="Neural networks you can see through: train the classic networks on your own pictures and tables.",
        version_flags=["--version"],
        version=_version,
        suppress_keyboard_interrupt=False,  # saving first is ours to do
        result_action="return_value",
        help_format="plaintext",
    )
    for name, does in COMMANDS.items():
        app.command(f"glasswork.cli.{name}:{name}", name=name, help=does)
    return app


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. What the user can mend comes as one sentence on stderr, never as a traceback."""
    terminated: list[int] = []

    def terminate(number: int, _frame: FrameType | None) -> None:
        terminated.append(number)
        raise KeyboardInterrupt  # from here on the same way out as Ctrl-C: save, then leave

    let_idle_threads_sleep()  # before a command imports the libraries that have them
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
        if not is_out_of_memory(error):
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
