"""`glasswork predict MODEL PICTURE...`: the class of each picture, as CSV or JSON on stdout."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glasswork.cli.arguments import Device, ModelPath, PrintJson, SkipBroken, opened_model


def predict(
    model: ModelPath,
    pictures: Annotated[list[Path], Parameter(help="Files, and folders of them.", negative="")],
    /,
    *,
    print_json: PrintJson = False,
    skip_broken: SkipBroken = False,
    device: Device = "auto",
) -> None:
    """Predict the class of pictures: a line each with the file, its class and the probability of every class."""
    from glasswork.cli.display import Display
    from glasswork.errors import one_line

    opened = opened_model(model, device)
    with Display() as display:
        predictions = opened.predict(pictures, skip_broken=skip_broken, progress=display.progress)
        for file, reason in predictions.broken:
            display.console.print(f"skipped {one_line(file)} ({reason})", soft_wrap=True)
    names = predictions.class_names
    rows = zip(predictions.sources, predictions.classes, predictions.probabilities.tolist(), strict=True)
    if print_json:
        found = [
            {"source": source, "class": chosen, "probabilities": dict(zip(names, shares, strict=True))}
            for source, chosen, shares in rows
        ]
        skipped = [list(pair) for pair in predictions.broken]
        print(json.dumps({"predictions": found, "skipped": skipped}, ensure_ascii=False))
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["source", "class", "probability", *names])
    for source, chosen, shares in rows:
        writer.writerow([source, chosen, f"{max(shares):.6f}", *(f"{share:.6f}" for share in shares)])
