"""`glasswork explain MODEL|NETWORK...`: the report of a model; or what a network is made of that was never trained."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from glasswork.cli.arguments import PrintJson
from glasswork.cli.flags import with_flags
from glasswork.cli.importing import importing
from glasswork.errors import SettingError, one_line
from glasswork.networks.options import NETWORKS, NetworkOptions
from glasswork.settings import flag

if TYPE_CHECKING:
    from torch import nn

    from glasswork.insight.side_by_side import SideBySide
    from glasswork.insight.timing import Times
    from glasswork.networks.anatomy import Anatomy

_KNOWN = ", ".join(NETWORKS)
_BATCH, _REPEATS = 64, 20


def _explain(
    *networks: Annotated[
        str,
        Parameter(
            help="A model file or the folder of a run, whose report is written; or names of networks: one is shown "
            "layer by layer, several side by side."
        ),
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
    ] = _BATCH,
    time: Annotated[
        bool, Parameter(negative="", show_default=False, help="Measure forward and backward times on this machine too.")
    ] = False,
    repeats: Annotated[int, Parameter(help="How often each time is measured.")] = _REPEATS,
    out: Annotated[
        Path | None,
        Parameter(
            help="Where the page goes. Default: of a model beside it; of a network none is written.", show_default=False
        ),
    ] = None,
    language: Annotated[
        Literal["en", "zh"] | None, Parameter(help="Of the page. Default: en.", show_default=False)
    ] = None,
    data: Annotated[
        str | None,
        Parameter(
            help="Where the data of the model or run is now, if it is not where it was trained.", show_default=False
        ),
    ] = None,
    window: Annotated[
        int | None,
        Parameter(
            help="In place of a network: one window of so many pixels against as many 3x3 as see as far, with "
            "--channels (64) in and out, on maps of --image-size (32).",
            show_default=False,
        ),
    ] = None,
    print_json: PrintJson = False,
    **given: Any,
) -> None:
    """Write the report of a model or a run; or show what a network is made of that was never trained."""
    if window is not None:
        others = {"classes": classes, "out": out, "language": language, "data": data, **given}
        _refuse_beside_window(networks, others)
        _explain_window(window, channels, image_size, batch_size, repeats if time else 0, print_json)
        return
    if not networks:
        raise SettingError(f"there is nothing to explain; name a model or a network: {_KNOWN}")
    models = [name for name in networks if is_model(name)]
    if models:
        usual = {"batch_size": (batch_size, _BATCH), "repeats": (repeats, _REPEATS)}
        timed = {name: value for name, (value, default) in usual.items() if value != default}
        about = {"channels": channels, "classes": classes, "image_size": image_size, "time": time or None, **timed}
        about |= given
        _refuse_beside_model(networks, about)
        _explain_model(Path(models[0]), data, out, language or "en", print_json)
        return
    for name in networks:
        if Path(name).name != name or Path(name).suffix:
            raise SettingError(f"{one_line(name)} is not there; name a file or folder that is, or one of {_KNOWN}")
    if data is not None:
        raise SettingError("a network that was never trained has no data; leave out --data, or name a model or a run")
    if out is not None:
        if len(networks) > 1 or time:
            raise SettingError(
                "a page is of one network, and without times; leave out --out, or name one without --time"
            )
        _explain_network(
            networks[0], (channels, classes, image_size), batch_size, out, language or "en", print_json, given
        )
        return
    if language is not None:
        raise SettingError("--language is that of a page; say where it goes: --out NETWORK.html")
    _explain_networks(networks, (channels, classes, image_size), batch_size, repeats if time else 0, print_json, given)


def is_model(name: str) -> bool:
    """Whether a file or the folder of a run is meant: a path that exists and is no network's name (else `./lenet`)."""
    return name not in NETWORKS and Path(name).exists()


def _refuse_beside_window(names: tuple[str, ...], about: dict[str, Any]) -> None:
    """Raises `SettingError` for networks, and for what belongs to one."""
    others = [*map(one_line, names), *(flag(name) for name, value in about.items() if value is not None)]
    if others:
        raise SettingError(f"--window compares windows, not networks; leave out {', '.join(others)}")


def _refuse_beside_model(names: tuple[str, ...], about: dict[str, Any]) -> None:
    """Raises `SettingError` for a second name, and for flags that say what a network is, which a model knows."""
    if len(names) > 1:
        raise SettingError(f"a report is of one model, got {', '.join(map(one_line, names))}; give one at a time")
    others = [flag(name) for name, value in about.items() if value is not None]
    if others:
        raise SettingError(f"{one_line(names[0])} knows its network; leave out {', '.join(others)}")


def _explain_model(
    path: Path, data: str | None, out: Path | None, language: Literal["en", "zh"], print_json: bool
) -> None:
    """Write the report of what is in this file or folder."""
    with importing():
        from glasswork.cli.display import Display
        from glasswork.report.phrases import phrases
        from glasswork.report.sections.missing import why_missing
        from glasswork.runs.explained import explain, refuse_to_replace, report_beside

    target = report_beside(path) if out is None else out
    refuse_to_replace(target)  # before the work, which takes a while
    with Display() as display:
        explained = explain(path, progress=display.progress, data=data)
        explained.save(target, language)
    lacking = explained.report.lacking
    if lacking is not None:
        why = why_missing(lacking, phrases("en"))
        again = f"; for one with all: {lacking.command}" if lacking.command else ""
        print(f"glasswork: note: {why} The page was made without the examples{again}", file=sys.stderr)
    if print_json:
        about = {"model": str(path), "report": str(target), "language": language}
        print(json.dumps({**about, "examples": "found" if lacking is None else lacking.reason}, ensure_ascii=False))
    else:
        print(f"The report is in {one_line(target)}")


def _explain_network(
    name: str,
    frame: tuple[int | None, int | None, str | None],
    batch_size: int,
    out: Path,
    language: Literal["en", "zh"],
    print_json: bool,
    given: dict[str, Any],
) -> None:
    """Write the page of a network that was never trained."""
    with importing():
        from glasswork.runs.explained import explain_network

    explain_network(name, *frame, batch_size, given).save(out, language)
    if print_json:
        print(json.dumps({"network": name, "report": str(out), "language": language}, ensure_ascii=False))
    else:
        print(f"The report is in {one_line(out)}")


def _explain_window(
    window: int, channels: int | None, image_size: str | None, batch_size: int, repeats: int, print_json: bool
) -> None:
    """Several 3x3 against one large window; `repeats` as in `_explain_networks`."""
    with importing():
        from glasswork.insight.side_by_side import one_against_several

    given = {"channels": channels, "size": None if image_size is None else _side(image_size)}
    sizes = {name: value for name, value in given.items() if value is not None}
    together = one_against_several(window, **sizes, batch_size=batch_size, repeats=repeats)
    if print_json:
        print(json.dumps({"side_by_side": together.as_dict()}))
    else:
        _show_together(together)


def _side(image_size: str) -> int:
    if not image_size.isdecimal():
        raise SettingError(f"--image-size of square maps is one whole number, such as 32, got {image_size!r}")
    return int(image_size)


def _explain_networks(
    names: tuple[str, ...],
    frame: tuple[int | None, int | None, str | None],
    batch_size: int,
    repeats: int,
    print_json: bool,
    given: dict[str, Any],
) -> None:
    """Networks that were never trained; `repeats`: how often they are timed, 0 for not at all."""
    with importing():
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
    from glasswork.networks.anatomy_text import LAYER_COLUMNS, anatomy_rows, field_text

    console = plain_console()
    header: tuple[str, ...] = LAYER_COLUMNS
    rows: list[tuple[str, ...]] = anatomy_rows(anatomy)
    if times is not None:
        timed = {layer.path: (str(layer.forward), str(layer.backward or "-")) for layer in times.layers}
        header = (*header, "forward", "backward")
        rows = [(*row, *timed.get(row[0], ("-", "-"))) for row in rows]
    _print_table(header, rows)
    console.print(anatomy.title, soft_wrap=True)
    field, unknown = anatomy.receptive_field, anatomy.unknown_from
    seen = f"; the last layer with positions sees {field_text(field)}" if field else ""
    if unknown is not None:
        far = f"; as far as is known a position sees {field_text(field)}" if field else ""
        seen = f"{far}; from {unknown} on no formula here says how far (?)"
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
    """Words to the left, numbers to the right."""
    from rich.table import Table

    from glasswork.cli.display import plain_console, print_table

    table = Table(box=None, pad_edge=False)
    for title in header:
        table.add_column(title, justify="left" if title in _WORDS else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    print_table(plain_console(), table)


_WORDS = ("layer", "network", "kind", "arguments", "padding and stride")

explain = with_flags(_explain, {"Network": (NetworkOptions,)}, without=("network", "allow_symmetry", "initialise"))
explain.__name__ = "explain"
