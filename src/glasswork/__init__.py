"""Glasswork: neural networks you can see through.

The public names are loaded when they are first used (PEP 562), so that importing glasswork does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glasswork.data.examples import Examples, Part
    from glasswork.data.read import read_examples
    from glasswork.errors import (
        BrokenFilesError,
        DataError,
        DivergedError,
        DownloadError,
        FileError,
        GlassworkError,
        NetworkError,
        RunError,
        SettingError,
    )
    from glasswork.estimators import GlassworkClassifier, GlassworkRegressor
    from glasswork.insight.anatomy import anatomy
    from glasswork.insight.attribution import attributions
    from glasswork.insight.invariance import invariance
    from glasswork.insight.maps import feature_maps, first_filters
    from glasswork.insight.mistakes import mistakes
    from glasswork.insight.signals import signals
    from glasswork.insight.signals_pull import hardest_pulls
    from glasswork.insight.signals_watch import SignalWatch
    from glasswork.insight.suspects import suspects
    from glasswork.models.evaluate import Evaluation
    from glasswork.models.opening import load, save
    from glasswork.models.regression import RegressionEvaluation
    from glasswork.models.trained import Model, NumberPredictions, Predictions
    from glasswork.networks.anatomy import Anatomy
    from glasswork.runs.explained import explain
    from glasswork.selection.compare import Comparisons, compare
    from glasswork.selection.cross_validation import CrossValidation, cross_validate
    from glasswork.selection.tuning import Tuning, tune
    from glasswork.training.fit import fit
    from glasswork.training.per_example import per_example_gradients

_HOMES = {
    "read_examples": "data.read",
    "Examples": "data.examples",
    "Part": "data.examples",
    "fit": "training.fit",
    "cross_validate": "selection.cross_validation",
    "compare": "selection.compare",
    "Comparisons": "selection.compare",
    "CrossValidation": "selection.cross_validation",
    "tune": "selection.tuning",
    "Tuning": "selection.tuning",
    "per_example_gradients": "training.per_example",
    "anatomy": "insight.anatomy",
    "explain": "runs.explained",
    "Anatomy": "networks.anatomy",
    "hardest_pulls": "insight.signals_pull",
    "signals": "insight.signals",
    "SignalWatch": "insight.signals_watch",
    "attributions": "insight.attribution",
    "feature_maps": "insight.maps",
    "first_filters": "insight.maps",
    "invariance": "insight.invariance",
    "mistakes": "insight.mistakes",
    "suspects": "insight.suspects",
    "GlassworkClassifier": "estimators",
    "GlassworkRegressor": "estimators",
    "Model": "models.trained",
    "Predictions": "models.trained",
    "NumberPredictions": "models.trained",
    "RegressionEvaluation": "models.regression",
    "Evaluation": "models.evaluate",
    "save": "models.opening",
    "load": "models.opening",
    "GlassworkError": "errors",
    "SettingError": "errors",
    "DataError": "errors",
    "BrokenFilesError": "errors",
    "DownloadError": "errors",
    "NetworkError": "errors",
    "FileError": "errors",
    "RunError": "errors",
    "DivergedError": "errors",
}

__all__ = [
    "Anatomy",
    "BrokenFilesError",
    "Comparisons",
    "CrossValidation",
    "DataError",
    "DivergedError",
    "DownloadError",
    "Evaluation",
    "Examples",
    "FileError",
    "GlassworkClassifier",
    "GlassworkError",
    "GlassworkRegressor",
    "Model",
    "NetworkError",
    "NumberPredictions",
    "Part",
    "Predictions",
    "RegressionEvaluation",
    "RunError",
    "SettingError",
    "SignalWatch",
    "Tuning",
    "anatomy",
    "attributions",
    "compare",
    "cross_validate",
    "explain",
    "feature_maps",
    "first_filters",
    "fit",
    "hardest_pulls",
    "invariance",
    "load",
    "mistakes",
    "per_example_gradients",
    "read_examples",
    "save",
    "signals",
    "suspects",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'glasswork' has no attribute {name!r}")
    value = getattr(import_module(f"glasswork.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
