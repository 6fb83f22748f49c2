"""The scikit-learn faces: estimators for pipelines, searches and `cross_val_score`, over Glasswork's own training.

Their parameters are Glasswork's settings by their own names; None is what Glasswork has for that network and kind of
input. Not among them are `fit`, which is a method here (pictures in one array have one size; with another `image_size`
their centre is cropped), what is said of files and columns, and `seed`, whose place `random_state` takes: it is the
name by which scikit-learn's ensembles give each member a seed of its own.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_is_fitted,
    validate_data,  # pyrefly: ignore[missing-module-attribute] - its stubs are of scikit-learn 1.5
)

from glasswork.data.for_training import examples_for_training, table_of_rows
from glasswork.data.images import ArrayImages
from glasswork.data.pixel_rows import Shape, as_pictures, as_pixel_rows, checked_image_shape, shape_of
from glasswork.errors import SettingError
from glasswork.models.trained import NumberPredictions, Predictions, model_from_bytes
from glasswork.networks.options import FOR_TABLES, NETWORKS
from glasswork.settings import fields_of, made
from glasswork.training.checkpoint import history_as_tensor, history_from_tensor
from glasswork.training.fit import fit_prepared, refuse_diverged
from glasswork.training.options import PlanOptions, Settings, resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import in_its_plan, prepare
from glasswork.training.recipe import Recipe

OF_THE_ESTIMATOR = ("image_shape", "validation_fraction", "random_state")  # all other parameters are settings

_ROWS_AT_ONCE = 128


# A dataclass, for the constructor that scikit-learn asks for: every parameter by name, and kept as it was given.
@dataclass(kw_only=True, eq=False, repr=False)
class _Estimator(BaseEstimator):
    """What both estimators have in common."""

    network: str | None = None
    form: str | None = None
    batch_norm: bool | None = None
    activation: str | None = None
    dropout: float | None = None
    initialise: str | None = None
    width: float | None = None
    tied_hidden: bool | None = None
    allow_symmetry: bool | None = None
    epochs: int | None = None
    examples: int | None = None
    batch_size: int | None = None
    optimiser: str | None = None
    learning_rate: float | None = None
    momentum: float | None = None
    nesterov: bool | None = None
    weight_decay: float | None = None
    decay: str | None = None
    decay_all: bool | None = None
    schedule: str | None = None
    warmup_epochs: float | None = None
    step_epochs: int | None = None
    step_factor: float | None = None
    reduction: str | None = None
    clip_norm: float | None = None
    augment: str | tuple[str, ...] | None = None
    mixup: float | None = None
    ema: float | None = None
    keep: str | None = None
    patience: int | None = None
    weights: Any = None
    freeze: bool | None = None
    image_size: Any = None
    grey: bool | None = None
    device: str | None = None
    plan: str | None = None
    image_shape: Shape | None = None
    validation_fraction: float = 0.0
    random_state: int | np.random.RandomState | None = Recipe.seed

    def _for_fit(self, X: Any, y: Any, **how: Any) -> tuple[np.ndarray, np.ndarray]:
        """What is trained on, rows float64 `(N, F)` or pictures uint8 `(N, C, H, W)`, and its targets, `(N,)`."""
        vars(self).pop("model_", None)  # a training that fails leaves none of an earlier one
        shape, image_shape = shape_of(X), checked_image_shape(self.image_shape)
        if len(shape) < 3 and image_shape is None:
            self.image_shape_ = None
            return validate_data(self, X, y, dtype=np.float64, **how)
        values, y = validate_data(self, as_pixel_rows(X), y, dtype="numeric", **how)
        pictures = as_pictures(values, shape, image_shape)
        self.image_shape_ = pictures.shape[1:]
        return pictures, y

    def _outputs(self, X: Any) -> Predictions | NumberPredictions:
        """What the model says of each example, and of some rows more."""
        check_is_fitted(self)
        shape, name = shape_of(X), type(self).__name__
        if self.image_shape_ is None:
            if len(shape) > 2:
                raise ValueError(f"{name} was fitted on rows (N, F), got X of shape {shape}; reshape it")
            rows = validate_data(self, X, dtype=np.float64, reset=False)
            # Always as many at once: what is said of a row then does not depend, not even in its last bit, on those
            # it is asked for with, by whose number the processor's libraries choose how they sum.
            padded = np.pad(rows, ((0, -len(rows) % _ROWS_AT_ONCE), (0, 0)), mode="edge")
            return self.model_.predict(padded, batch_size=_ROWS_AT_ONCE)
        if len(shape) == 2 and self.image_shape is None:
            raise ValueError(
                f"{name} was fitted on pictures of (C, H, W) = {self.image_shape_}, got X of shape {shape}, in which "
                "the order of pixels is not known; reshape it, or fit with image_shape"
            )
        values = validate_data(self, as_pixel_rows(X), dtype="numeric", reset=False)
        return self.model_.predict(as_pictures(values, shape, self.image_shape_))

    def _train(self, values: np.ndarray, targets: np.ndarray, class_names: tuple[str, ...], y: Any) -> Self:
        """Train on examples as `_for_fit` has them."""
        rows = self.image_shape_ is None
        settings, plan = self._settings(rows)
        names = getattr(self, "feature_names_in_", None)
        examples = examples_for_training(
            table_of_rows(values, names) if rows else ArrayImages(values),
            targets,
            class_names,
            target_name=str(getattr(y, "name", None) or "y"),
            validation_fraction=self.validation_fraction,
            split_seed=settings.recipe.seed,
        )
        prepared = prepare(examples, settings, choose_plan(plan.device, plan.plan))
        fitted = fit_prepared(in_its_plan(prepared, plan.plan))
        refuse_diverged(fitted)
        self.model_, self.history_ = fitted.model, fitted.course.history
        self.n_iter_ = len(self.history_)
        if fitted.course.stopped == "interrupted":
            raise KeyboardInterrupt  # a search must not take a training cut short for a finished one
        return self

    def _settings(self, rows: bool) -> tuple[Settings, PlanOptions]:
        """The parameters as Glasswork's settings. Raises `SettingError` for what cannot be meant."""
        parameters = self.get_params(deep=False)
        given = {
            # Searches hand out NumPy's own kinds of numbers and texts.
            name: value.tolist() if isinstance(value, np.generic | np.ndarray) else value
            for name, value in parameters.items()
            if value is not None and name not in OF_THE_ESTIMATOR
        }
        if rows and self.network in set(NETWORKS) - set(FOR_TABLES):
            raise SettingError(
                f"{self.network} looks at pictures, and X holds rows; pass image_shape=(C, H, W) for rows of pixels, "
                f"or network={' or '.join(map(repr, FOR_TABLES))}"
            )
        self._refuse_waiting()
        plan = fields_of(PlanOptions, given)
        rest = {name: value for name, value in given.items() if name not in plan}
        return resolve_settings({**rest, "seed": self._seed()}, table=rows), made(PlanOptions, plan)

    def _refuse_waiting(self) -> None:
        """Without a validation part there is nothing to choose weights by."""
        fraction = self.validation_fraction
        if not isinstance(fraction, numbers.Real) or not 0 <= fraction < 1:
            raise SettingError(f"validation_fraction is a share from 0 up to 1, got {fraction!r}; 0.1 is usual")
        if not fraction and (self.patience is not None or self.keep == "best"):
            name = "patience" if self.patience is not None else "keep='best'"
            raise SettingError(
                f"{name} looks at a validation part, and all rows are trained on; pass validation_fraction=0.1"
            )

    def _seed(self) -> int:
        """A number is the seed itself, as in `gw.fit`; of a generator, or NumPy's global one for None, it is drawn."""
        generator = check_random_state(self.random_state)
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(generator.randint(2**31 - 1))

    def __getstate__(self) -> dict[str, Any]:
        """The model as the bytes of its file: nothing of ours or PyTorch's is pickled but these and plain values."""
        state = dict(super().__getstate__())
        if "model_" in state:
            state["model_"] = self.model_.as_bytes()
            state["history_"] = history_as_tensor(self.history_).numpy()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "model_" in state:
            history = tuple(history_from_tensor(torch.from_numpy(state["history_"])))
            state = {**state, "model_": model_from_bytes(state["model_"]), "history_": history}
        super().__setstate__(state)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # pyrefly: ignore[missing-attribute] - as above
        tags.input_tags.three_d_array = True
        return tags


@dataclass(kw_only=True, eq=False, repr=False)
class GlassworkClassifier(ClassifierMixin, _Estimator):
    """Which class is each row, or each picture? One of Glasswork's networks, as a scikit-learn estimator.

    `X`: rows `(N, F)` of numbers, for the networks `mlp`, the default, and `linear`, which standardise them by
    themselves; or pictures, for any network, by default `lenet`: `(N, H, W)`, `(N, C, H, W)` (and `(N, H, W, C)` where
    the last axis is 1, 3 or 4 long and the second is not), or rows of C * H * W pixels with
    `image_shape=(C, H, W)`, as pipelines and searches of scikit-learn have them. Pixels become 8 bits, as
    `gw.read_examples` makes them: uint8 and whole numbers within 0..255 stay as they are, floating-point numbers are
    0..1 and rounded to one of 256 levels; others are refused, with what to divide by. Leave scalers out before
    pictures: they are standardised over the training part in any case.

    `y`: classes of any kind; `class_weights` stand in the order of `classes_`.

    All rows are trained on, and the last weights kept, as is scikit-learn's habit. With `validation_fraction`, such as
    0.1, that share validates instead (stratified, cut by the seed), and the best weights on it are kept, which is what
    `gw.fit` does; `patience` needs it. `random_state`: a number is Glasswork's `seed`; 0, the default, gives the same
    model each time, None another. Every other parameter is a setting that `glasswork train --help` describes; None is
    Glasswork's default.

    After `fit`: `model_`, the `gw.Model`, which can be saved; `history_`, a record for each epoch; `n_iter_`, their
    number; `classes_`, `n_features_in_`, `feature_names_in_`. Ctrl-C leaves the best model so far in `model_` and goes
    on as `KeyboardInterrupt`, so that a search ends too. Pickling keeps the model as the bytes of its file.

    Raises `ValueError` where scikit-learn's checks of `X` and `y` do, and otherwise Glasswork's errors: `SettingError`
    and `NetworkError` for parameters, `DataError` for pixels, `DivergedError` if the loss stops being finite.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> round(GlassworkClassifier(network="linear", epochs=100).fit(X, y).score(X, y), 1)
    1.0
    """

    label_smoothing: float | None = None
    class_weights: Any = None
    auxiliary_weight: float | None = None

    def fit(self, X: Any, y: Any) -> Self:
        """Train on all of these, but for `validation_fraction` of them."""
        values, labels = self._for_fit(X, y)
        check_classification_targets(labels)
        encoder = LabelEncoder().fit(labels)
        if len(encoder.classes_) < 2:
            raise ValueError(
                f"y holds one class, {encoder.classes_.tolist()[0]!r}, and a classifier needs two; add another"
            )
        self.classes_ = encoder.classes_
        targets = encoder.transform(labels).astype(np.int64)
        return self._train(values, targets, tuple(map(str, self.classes_.tolist())), y)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, float32 `(N, K)`, in the order of `classes_`."""
        outputs = self._outputs(X)
        assert isinstance(outputs, Predictions)
        return outputs.probabilities[: shape_of(X)[0]]

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each, `(N,)`, as `y` has them."""
        chosen = self.predict_proba(X).argmax(axis=1)  # first: it notices a classifier that is not fitted
        return self.classes_[chosen]


@dataclass(kw_only=True, eq=False, repr=False)
class GlassworkRegressor(RegressorMixin, _Estimator):
    """Which number belongs to each row, or each picture? One of Glasswork's networks, as a scikit-learn estimator.

    `y`: one number each, which is standardised for the network and predicted in its own unit. `log_target=True` learns
    the logarithm. `validation_fraction` is cut evenly from the tenths of `y`. All else is as in `GlassworkClassifier`,
    whose settings for classes are not here.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> round(GlassworkRegressor(network="linear").fit(X, y).score(X, y), 3)  # linear regression by least squares
    0.518
    """

    log_target: bool | None = None

    def fit(self, X: Any, y: Any) -> Self:
        """Train on all of these, but for `validation_fraction` of them."""
        values, targets = self._for_fit(X, y, y_numeric=True)
        return self._train(values, targets.astype(np.float64), (), y)

    def predict(self, X: Any) -> np.ndarray:
        """The number predicted for each, float64 `(N,)`."""
        outputs = self._outputs(X)
        assert isinstance(outputs, NumberPredictions)
        return outputs.values[: shape_of(X)[0]]
