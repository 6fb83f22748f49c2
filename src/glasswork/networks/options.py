"""Which network, and how it differs from its paper: values only, no torch.

`NetworkOptions` is what a person sets; None means "as the form has it". `Style` is the same with every question
answered: each paper's file states the styles of its two forms, and `styled` lays the options over one of them.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from glasswork.errors import SettingError, nearest
from glasswork.settings import SETTINGS, flag

Network = Literal["linear", "mlp", "lenet", "alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "googlenet"]
Form = Literal["modern", "textbook", "torchvision"]
Activation = Literal["sigmoid", "tanh", "relu", "gelu", "silu", "leaky_relu"]
Initialisation = Literal["xavier_uniform", "xavier_normal", "he_uniform", "he_normal", "normal", "constant"]

NETWORKS: tuple[str, ...] = get_args(Network)
FOR_TABLES: tuple[str, ...] = ("mlp", "linear")  # the first is the default
ACTIVATIONS: tuple[str, ...] = get_args(Activation)
INITIALISATIONS: tuple[str, ...] = get_args(Initialisation)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Style:
    """How a network is built, every question answered."""

    form: Form
    batch_norm: bool
    activation: Activation
    dropout: float
    initialise: Initialisation
    width: float = 1.0
    tied_hidden: bool = False

    @property
    def bias(self) -> bool:
        """Does a layer that a norm may follow keep its bias?

        The norm subtracts the mean and any bias with it, so the modern form drops it. The textbook form keeps it,
        as *Dive into Deep Learning* and torchvision's `vgg16_bn` do, so that parameter counts agree with theirs.
        """
        return self.form == "textbook" or not self.batch_norm

    def scaled(self, count: int) -> int:
        """So many channels or hidden units at this width; at least one.

        >>> modern = Style(form="modern", batch_norm=True, activation="relu", dropout=0.0, initialise="he_normal")
        >>> dataclasses.replace(modern, width=0.5).scaled(6)
        3
        """
        return max(1, round(count * self.width))


def known_network(name: object) -> object:
    """The name itself; an unknown one is answered with the nearest known."""
    if not isinstance(name, str) or name in NETWORKS:
        return name
    raise SettingError(f"there is no network {name!r}; {nearest(name, NETWORKS, 'networks')}")


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class NetworkOptions:
    """Which network to build, and where it departs from its form. None: as the form has it."""

    network: Annotated[
        Network,
        BeforeValidator(known_network),
        Field(
            description="which network to train, by the name of its paper. Default: lenet for pictures, mlp for tables"
        ),
    ] = "lenet"
    form: Annotated[
        Form,
        Field(
            description="'modern': what trains best today; 'textbook': as the paper or textbook has it; 'torchvision': "
            "googlenet with 3x3 in place of 5x5, for torchvision's weights. Default: modern for pictures, textbook for "
            "tables"
        ),
    ] = "modern"
    batch_norm: Annotated[
        bool | None, Field(description="normalise each batch after convolutions (and hidden layers of mlp and lenet)")
    ] = None
    activation: Annotated[Activation | None, Field(description="the function after every hidden layer, by name")] = None
    dropout: Annotated[
        float | None, Field(ge=0, lt=1, description="share of hidden outputs set to zero in training, from 0 up to 1")
    ] = None
    initialise: Annotated[
        Initialisation | None, Field(description="how the weights are drawn before training, by name")
    ] = None
    width: Annotated[float, Field(gt=0, le=100, description="factor on the number of channels and hidden units")] = 1.0
    tied_hidden: Annotated[bool, Field(description="for mlp: add two hidden layers that share one weight matrix")] = (
        False
    )
    allow_symmetry: Annotated[bool, Field(description="permit constant initialisation, to watch it fail")] = False

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        # SettingError is no ValueError: pydantic lets it through, and the reader sees this sentence and nothing else.
        if self.form == "torchvision" and self.network != "googlenet":
            raise SettingError(
                f"only googlenet has a form of torchvision's own, got network {self.network!r}; pass --form textbook, "
                "which torchvision's alexnet and vgg follow, or --form modern"
            )
        if self.tied_hidden and self.network != "mlp":
            raise SettingError(
                f"{flag('tied_hidden')} shares the weights of an mlp's hidden layers, got network {self.network!r}; "
                "leave it out or pass --network mlp"
            )
        if self.network == "linear":
            self._check_linear()
        elif self.initialise == "constant" and not self.allow_symmetry:
            raise SettingError(
                "constant initialisation cannot learn: all units of a layer start equal, get equal gradients and stay "
                "equal for ever; choose another --initialise, or pass --allow-symmetry to watch it happen"
            )
        return self

    def _check_linear(self) -> None:
        """Refuse what softmax regression has no place for. A constant start is fine: it has no hidden units."""
        hidden_only = {
            "batch_norm": bool(self.batch_norm),
            "activation": self.activation is not None,
            "dropout": bool(self.dropout),
            "width": self.width != 1,
        }
        for name, asked in hidden_only.items():
            if asked:
                raise SettingError(
                    f"{flag(name)} acts on hidden layers and linear has none, got {getattr(self, name)!r}; "
                    "leave it out or choose another --network"
                )


def styled(options: NetworkOptions, own: Style) -> Style:
    """The form's own style with the options laid over it."""
    given = {name: getattr(options, name) for name in ("batch_norm", "activation", "dropout", "initialise")}
    chosen = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(own, width=options.width, tied_hidden=options.tied_hidden, **chosen)
