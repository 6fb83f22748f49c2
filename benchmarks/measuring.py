"""How a result is written down: spread over rounds, what it was measured with, a line of JSON, a dated table."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from glasswork.intervals import students_quantile

RESULTS = Path(__file__).with_name("results.jsonl")


def spread(ratios: Sequence[float], digits: int = 2) -> dict[str, float | list[float]]:
    """Median and range of ratios, one from each round."""
    return {
        "ratio_median": round(statistics.median(ratios), digits),
        "ratio_range": [round(min(ratios), digits), round(max(ratios), digits)],
    }


def spread_text(values: Sequence[float], digits: int = 2) -> str:
    """Median and range for a table.

    >>> spread_text([1.0, 3.0, 2.5])
    '2.50 [1.00, 3.00]'
    """
    return f"{statistics.median(values):,.{digits}f} [{min(values):,.{digits}f}, {max(values):,.{digits}f}]"


def paired_difference(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> dict[str, Any]:
    """Mean of first minus second, pair by pair, with Student's interval; at least two pairs.

    >>> paired_difference([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])  # 1 ± 4.303 * 1 / sqrt(3)
    {'mean': 1.0, 'interval': [-1.4841, 3.4841], 'confidence': 0.95, 'n': 3}
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    n, mean = len(differences), statistics.mean(differences)
    quantile = students_quantile((1 + confidence) / 2, n - 1)
    half = quantile * statistics.stdev(differences) / math.sqrt(n)
    interval = [round(mean - half, 4), round(mean + half, 4)]
    return {"mean": round(mean, 4), "interval": interval, "confidence": confidence, "n": n}


def surroundings(*packages: str) -> dict[str, str]:
    """What a result was measured with; `-dirty` where files differ from the commit.

    `packages`: whose versions count beside torch's; one that is not installed is left out.
    """
    commit = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {
        "commit": subprocess.run(commit, capture_output=True, text=True).stdout.strip(),
        "hardware": f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "python": platform.python_version(),
        **gpu,
        **versions(packages),
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The installed version of each package that is there."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def now() -> str:
    """This minute, in UTC."""
    return datetime.now(UTC).isoformat(timespec="minutes")


def write(result: dict[str, Any], file: Path | None) -> None:
    """Print the result as one line of JSON, and append it to the file, if one is given."""
    print(json.dumps(result), flush=True)
    if file is not None:
        append(result, file)


def append(line: dict[str, Any], file: Path) -> None:
    """Add one line of JSON, at once, so that an interruption loses nothing that was measured."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lines:
        lines.write(json.dumps(line) + "\n")


def kept(file: Path | None) -> list[dict[str, Any]]:
    """The lines that an interrupted run of the same benchmark has appended."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file is not None and file.exists() else []


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def section(title: str, opening: str, tables: Iterable[str], measured_with: dict[str, str]) -> str:
    """A dated section of Markdown: what was compared, with what it was measured, and its tables."""
    with_what = ", ".join(
        text if name == "hardware" else f"{name} {text}" for name, text in measured_with.items() if text
    )
    return "\n".join([f"## {now()[:10]}: {title}", "", opening, "", f"Measured with: {with_what}.", "", *tables])


def processor() -> str:
    """The processor's name, family and model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        return f"{facts['model name']} family {facts['cpu family']} model {facts['model']}"
    except (OSError, KeyError):
        return platform.processor() or platform.machine()
