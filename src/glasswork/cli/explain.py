"""`glasswork explain NETWORK...`: what a network is made of, before it is ever trained; several side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from glasswork.cli.arguments import PrintJson
from glasswork.cli.flags import with_flags
from glasswork.errors import SettingError, one_line
from glasswork.networks.options import NETWORKS, NetworkOptions

if TYPE_CHECKING:
    from torch import nn

    from glasswork.insight.side_by_side import SideBySide
    from glasswork.insight.timing import Times
    from glasswork.networks.anatomy import Anatomy

_REPEATS = 20


def _explain(
    *networks: Annotated[
        str,
        Parameter(help="Names of networks. One is shown layer by layer, several side by side."),
    ],
    channels: Annotated[
        int | None, Parameter(help="Of the images. Default: as in the network's paper.", show_default=False)
    ] = None,
    classes: Annotated[
        int | None, Parameter(help="How many. Default: as in the network's paper.", show_default=False)
    ] = None,
    image_size: Annotated[
        str | None,
        Parameter(
            help="Height and width in pixels: 32 or 32x48. Default: as in the network's paper.", show_default=False
        ),
    ] = None,
    batch_size: Annotated[
        int, Parameter(help="Examples in the batch whose memory is counted and whose passes are timed.")
    ] = 64,
    time: Annotated[
        bool, Parameter(negative="", show_default=False, help="Measure forward and backward times on this machine too.")
    ] = False,
    repeats: Annotated[int, Parameter(help="How often each time is measured.")] = _REPEATS,
    print_json: PrintJson = False,
    **given: Any,
) -> None:
    """Show what a network is made of: layers, shapes, parameters, multiply-adds, receptive fields, memory."""
    if not networks:
        raise SettingError(f"there is nothing to explain; name a network: {', '.join(NETWORKS)}")
    models = [name for name in networks if is_model(name)]
    if models:  # the report of a saved model has its place here
        raise SettingError(
            f"{one_line(models[0])} is a file or a folder, expected the name of a network: {', '.join(NETWORKS)}"
        )
    _explain_networks(networks, (channels, classes, image_size), batch_size, repeats if time else 0, print_json, given)


def is_model(name: str) -> bool:
    """Whether a file or the folder of a run is meant: a path that exists and is no network's name (else `./lenet`)."""
    return name not in NETWORKS and Path(name).exists()


def _explain_networks(
    names: tuple[str, ...],
    frame: tuple[int | None, int | None, str | None],
    batch_size: int,
    repeats: int,
    print_json: bool,
    given: dict[str, Any],
) -> None:
    """Networks that were never trained; `repeats`: how often they are timed, 0 for not at all."""
    from glasswork.insight.anatomy import named_network
    from glasswork.insight.side_by_side import side_by_side
    from glasswork.insight.timing import measure_times
    from glasswork.networks.anatomy import anatomy_of

    found: list[tuple[nn.Module, Anatomy]] = []
    for name in names:
        network, shape, title = named_network(name, *frame, given, drawn=repeats > 0)
        found.append((network, anatomy_of(network, shape, batch_size=batch_size, name=title)))
    anatomies = [anatomy for _, anatomy in found]
    if len(found) == 1:
        times = measure_times(*found[0], repeats=repeats) if repeats else None
        if print_json:
            print(json.dumps(anatomies[0].as_dict() | ({"times": times.as_dict()} if times else {})))
        else:
            _show(anatomies[0], times)
        return
    together = side_by_side(anatomies, [network for network, _ in found] if repeats else (), repeats=repeats or 2)
    if print_json:
        networks = [anatomy.as_dict() for anatomy in anatomies]
        print(json.dumps({"networks": networks, "side_by_side": together.as_dict()}))
    else:
        _show_together(together)


def _show(anatomy: Anatomy, times: Times | None) -> None:
    """The layers as a table, then the totals."""
    from glasswork.cli.display import plain_console
    from glasswork.networks.anatomy_text import LAYER_COLUMNS, field_text, layer_row

    console = plain_console()
    header: tuple[str, ...] = LAYER_COLUMNS
    rows: list[tuple[str, ...]] = [layer_row(layer) for layer in anatomy.layers]
    if times is not None:
        timed = {layer.path: (str(layer.forward), str(layer.backward or "-")) for layer in times.layers}
        header = (*header, "forward", "backward")
        rows = [(*row, *timed.get(row[0], ("-", "-"))) for row in rows]
    _print_table(header, rows)
    console.print(anatomy.title, soft_wrap=True)
    field = anatomy.receptive_field
    seen = f"; the last layer with positions sees {field_text(field)}" if field else ""
    console.print(f"{anatomy.depth} layers with weights on the longest way through{seen}", soft_wrap=True)
    if times is not None:
        console.print(
            f"a batch of {times.batch_size} on {times.device} with {times.threads} thread(s): forward {times.forward}, "
            f"backward {times.backward} (median [quartiles] of {times.forward.n})",
            soft_wrap=True,
        )


def _show_together(together: SideBySide) -> None:
    """One row for each network."""
    from glasswork.cli.display import plain_console

    _print_table(together.header, together.rows())
    plain_console().print(f"kept bytes: of a batch of {together.batch_size}, for the backward pass", soft_wrap=True)


def _print_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """As wide as it needs to be: what is cut off can be read by nobody."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in header:
        table.add_column(title, justify="left" if title in _WORDS else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False, emoji=False, width=10_000)
    for line in "".join(segment.text for segment in console.render(table)).splitlines():
        print(line.rstrip())


_WORDS = ("layer", "network", "kind", "arguments", "padding and stride")

explain = with_flags(_explain, {"Network": (NetworkOptions,)}, without=("network", "allow_symmetry", "initialise"))
explain.__name__ = "explain"
