"""How is the data found again that a model was trained on?"""

from __future__ import annotations

from typing import Any

from glasswork.data.options import TableOptions
from glasswork.data.table_preprocess import TablePreprocessing
from glasswork.models.trained import Model


def reading_of(model: Model, data: str | None = None) -> dict[str, Any]:
    """How to read what a model was trained on, cut as it was cut then. `data`: where it is now, if it has moved."""
    preprocessing = model.preprocessing
    return {
        "data": str(model.config["data"]) if data is None else data,
        "cut_as": (str(model.provenance.get("fingerprint")), int(model.provenance.get("split_seed", 0))),
        "group_pattern": model.config.get("group_pattern"),
        "schema": preprocessing if isinstance(preprocessing, TablePreprocessing) else None,
        "class_names": model.class_names,
        "columns": TableOptions(target=model.provenance.get("target") or None, group=model.config.get("group")),
        "skip_broken": bool(model.config.get("skip_broken")),
    }
