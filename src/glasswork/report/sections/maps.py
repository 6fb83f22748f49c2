"""What do the filters look for, what do the layers make of a picture, and on which pixels does the answer hang?"""

from __future__ import annotations

import numpy as np

from glasswork.errors import one_line
from glasswork.insight.attribution import Attribution, Attributions
from glasswork.insight.maps import FeatureMaps, FirstFilters
from glasswork.report.blocks import Block, Heading, Picture, Pictures, Section, Table, Text
from glasswork.report.phrases import Phrases
from glasswork.report.pictures import heated, in_colour, montage, png, reduced, signed, steps
from glasswork.report.records import Report
from glasswork.report.sections.mechanisms import shown_in
from glasswork.report.sections.numbers import short_source

_FILTER, _MAP, _PICTURE = 44, 56, 96  # pixels a side
_COLUMNS = 16


def maps_section(report: Report, say: Phrases) -> Section | None:
    """Filters, feature maps and attribution, as far as the network has them."""
    inside = report.inside
    blocks: list[Block] = []
    if inside.filters is not None:
        blocks += [Heading(say("maps.filters")), _filters(inside.filters, say)]
    if inside.maps is not None:
        blocks += [Heading(say("maps.features")), Text(say("maps.features_reading")), *_features(inside.maps, say)]
    if inside.attributions is not None:
        blocks += _attributions(inside.attributions, say)
    if not blocks:
        return None
    return Section("maps", say("maps.title"), say("maps.reading"), tuple(blocks), shown_in("maps"))


def _filters(found: FirstFilters, say: Phrases) -> Pictures:
    factor = steps(found.weights.shape[2:], _FILTER)
    tiles = [_filter(one, found.scale, factor) for one in found.weights]
    picture = montage(tiles, _COLUMNS, _FILTER)
    shown, alternative = len(found.weights), say("maps.filters_alternative", layer=found.layer, count=len(tiles))
    name = "maps.filters_all" if shown == found.filters else "maps.filters_caption"
    caption = say(name, shown=shown, count=found.filters, layer=found.layer)
    return Pictures(
        caption, (Picture(picture, alternative, _means(factor, say), min(_COLUMNS, shown) * (_FILTER + 4)),)
    )


def _means(factor: int, say: Phrases) -> tuple[str, ...]:
    """What is said below a picture in which a point stands for so many down and across."""
    return () if factor == 1 else (say("maps.means", factor=factor),)


def _filter(weights_CHW: np.ndarray, scale: float, factor: int) -> np.ndarray:
    """Of three channels in their own colours, else the first from purple to orange."""
    if len(weights_CHW) == 3:
        colours = np.moveaxis(255 * (weights_CHW / (scale or 1.0) / 2 + 0.5), 0, 2).round().astype(np.uint8)
        return reduced(colours, factor)
    return signed(reduced(weights_CHW[0], factor), scale)


def _features(found: FeatureMaps, say: Phrases) -> list[Block]:
    """The first picture, and what each layer made of it."""
    source = short_source(found.pictures.sources[0])
    pictures = [Picture(png(found.pictures.pixels[0]), say("maps.input", source=source), (source,), _PICTURE)]
    for layer in found.layers:
        span = (layer.high - layer.low) or 1.0
        channels, height, width = layer.shape
        factor = steps((height, width), _MAP)
        tiles = [heated((reduced(one, factor) - layer.low) / span) for one in layer.maps[0]]
        shape = f"{channels}x{height}x{width}"
        alternative = say("maps.layer_alternative", layer=layer.layer, shown=len(tiles), channels=channels)
        named = (f"{layer.layer} ({layer.kind})", say("maps.of_channels", shown=len(tiles), shape=shape))
        lines = (*named, *_means(factor, say))
        pictures.append(Picture(montage(tiles, len(tiles), _MAP), alternative, lines, len(tiles) * (_MAP + 2)))
    return [Pictures(say("maps.features_caption"), tuple(pictures))]


def _attributions(found: Attributions, say: Phrases) -> list[Block]:
    blocks: list[Block] = [Heading(say("maps.attribution")), Text(say("maps.attribution_reading"))]
    columns = len(found.pictures)
    factor = steps(found.pictures.pixels.shape[2:], _PICTURE)
    lines = _means(factor, say)
    for one in found.found:
        tiles = [_attributed(reduced(values_HW, factor), one.method) for values_HW in one.maps]
        caption = say(f"maps.method.{one.method}")
        picture = montage(tiles, columns, _PICTURE)
        alternative = say("maps.attribution_alternative", method=caption, count=columns)
        blocks.append(Pictures(caption, (Picture(picture, alternative, lines, columns * (_PICTURE + 2)),)))
    originals = [reduced(in_colour(pixels), factor) for pixels in found.pictures.pixels]
    names = found.class_names
    said = ", ".join(names[label] for label in found.classes) if names else ""
    picture = Picture(
        montage(originals, columns, _PICTURE),
        say("maps.originals_alternative", count=columns),
        (*((say("maps.answers", answers=one_line(said)),) if said else ()), *lines),
        columns * (_PICTURE + 2),
    )
    blocks.insert(2, Pictures(say("maps.originals"), (picture,)))
    rows = tuple((say(f"maps.method.{one.method}"), _checked(one, say)) for one in found.found)
    header = (say("maps.method_header"), say("maps.check"))
    return [*blocks, Table(say("maps.check_caption"), header, rows, numbers=False)]


def _attributed(values_HW: np.ndarray, method: str) -> np.ndarray:
    most = float(np.abs(values_HW).max())
    if method == "integrated_gradients":
        return signed(values_HW, most)
    return heated(values_HW / (most or 1.0))


def _checked(one: Attribution, say: Phrases) -> str:
    """What shuffling the weights did to the map; in English the record's own sentence."""
    if say.language == "en":
        sentence = one.sanity.sentence()
        return f"{sentence[:1].upper()}{sentence[1:]}."
    known = {True: "changes", False: "stays", None: "untold"}[one.sanity.changes]
    mean = "–" if one.sanity.mean is None else f"{one.sanity.mean:.2f}"
    return say(f"maps.sanity.{known}", correlation=mean)
