"""`glasswork predict MODEL PICTURE|TABLE...`: the class of each picture or row, or its number, as CSV or JSON."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from glasswork.cli.arguments import Device, ModelPath, PrintJson, SkipBroken, opened_model
from glasswork.cli.importing import importing

if TYPE_CHECKING:
    from glasswork.models.trained import NumberPredictions, Predictions


def predict(
    model: ModelPath,
    inputs: Annotated[list[Path], Parameter(help="Pictures and folders of them, or tables.", negative="")],
    /,
    *,
    print_json: PrintJson = False,
    skip_broken: SkipBroken = False,
    device: Device = "auto",
) -> None:
    """Predict pictures or the rows of tables: a line each, on standard output.

    A line has the file, or the row's identifier, then its class and the probability of every class, or its number.
    """
    with importing():
        from glasswork.cli.display import Display
        from glasswork.errors import one_line
        from glasswork.models.trained import NumberPredictions

    opened = opened_model(model, device)
    with Display() as display:
        predictions = opened.predict(inputs, skip_broken=skip_broken, progress=display.progress)
        for file, reason in predictions.broken:
            display.console.print(f"skipped {one_line(file)} ({reason})", soft_wrap=True)
    if print_json:
        entries = _numbers(predictions) if isinstance(predictions, NumberPredictions) else _classes(predictions)
        skipped = [list(pair) for pair in predictions.broken]
        print(json.dumps({"predictions": list(entries), "skipped": skipped}, ensure_ascii=False))
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if isinstance(predictions, NumberPredictions):
        writer.writerow(["source", "prediction"])
        # The shortest text that gives the same number again.
        writer.writerows([source, repr(value)] for source, value in _pairs(predictions))
        return
    writer.writerow(["source", "class", "probability", *predictions.class_names])
    for entry in _classes(predictions):
        shares = entry["probabilities"].values()
        writer.writerow([entry["source"], entry["class"], f"{max(shares):.6f}", *(f"{share:.6f}" for share in shares)])


def _pairs(predictions: NumberPredictions) -> Iterator[tuple[str, float]]:
    return zip(predictions.sources, predictions.values.tolist(), strict=True)


def _numbers(predictions: NumberPredictions) -> Iterator[dict[str, Any]]:
    for source, value in _pairs(predictions):
        yield {"source": source, "prediction": value}


def _classes(predictions: Predictions) -> Iterator[dict[str, Any]]:
    rows = zip(predictions.sources, predictions.classes, predictions.probabilities.tolist(), strict=True)
    for source, chosen, shares in rows:
        probabilities = dict(zip(predictions.class_names, shares, strict=True))
        yield {"source": source, "class": chosen, "probabilities": probabilities}
