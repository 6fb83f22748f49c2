"""Networks side by side, and small windows against large ones."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import glasswork as gw
from glasswork.insight import timing
from glasswork.insight.side_by_side import CLASSICS, one_against_several, side_by_side
from glasswork.networks.anatomy import anatomy_of


def test_the_classic_table():
    """Parameters and multiply-adds as torchvision has them, GoogLeNet's as `test_anatomy` derives them."""
    table = side_by_side([gw.anatomy(name, form="textbook", batch_size=1) for name in CLASSICS])
    told = {column.name: (column.depth, column.parameters, column.receptive_field[0]) for column in table.columns}
    assert told == {
        "LeNet": (5, 61_706, 16),
        "AlexNet": (8, 61_100_840, 195),
        "VGG-11": (11, 132_863_336, 150),
        "VGG-13": (13, 133_047_848, 156),
        "VGG-16": (16, 138_357_544, 212),
        "VGG-19": (19, 143_667_240, 268),
        "GoogLeNet": (22, 6_998_552, 715),
    }
    giga = [round(column.multiply_adds / 1e9, 3) for column in table.columns[1:]]
    assert giga == [0.714, 7.609, 11.308, 15.47, 19.632, 1.583]
    assert len(table.rows()) == len(CLASSICS)
    assert all(len(row) == len(table.header) for row in table.rows())
    assert json.loads(json.dumps(table.as_dict()))["columns"][0]["time"] is None


@pytest.mark.parametrize(("kernel", "count"), [(5, 2), (7, 3)])
def test_several_3x3_see_as_far_as_one_large_window_for_less(kernel, count):
    one, several = one_against_several(kernel, channels=8, size=16).columns
    assert one.receptive_field == several.receptive_field == (kernel, kernel)
    assert one.parameters == kernel**2 * 64 + 8
    assert several.parameters == count * (9 * 64 + 8)
    assert one.multiply_adds == kernel**2 * 64 * 256
    assert several.multiply_adds == count * 9 * 64 * 256
    # The price: the second and third keep an input of their own.
    assert several.kept_bytes == count * one.kept_bytes


def test_times_come_with_their_spread_and_the_ratio_with_its_interval():
    table = one_against_several(5, channels=4, size=8, batch_size=2, repeats=10)
    one, several = (column.time for column in table.columns)
    assert (one.ratio, one.ratio_ci95) == (1.0, None)
    assert several.ratio_ci95.low <= several.ratio <= several.ratio_ci95.high
    assert one.forward.n == several.backward.n == 10
    assert table.header[-1] == "time, ratio to the first"
    assert table._repr_html_().count("<tr>") == 3


def test_of_few_turns_a_ratio_has_no_interval():
    few = one_against_several(5, channels=4, size=8, batch_size=2, repeats=9)
    assert few.columns[1].time.ratio_ci95 is None
    assert "[" not in few.rows()[1][-1]


def test_a_window_that_no_several_3x3_see_through_is_refused():
    for kernel in (4, 6, 3, 1, -5):
        with pytest.raises(gw.SettingError, match=f"a window of {kernel} is not seen .* take an odd number from 5 on"):
            one_against_several(kernel)
    with pytest.raises(gw.NetworkError, match="needs at least 1 channel, got 0"):
        one_against_several(5, channels=0)
    with pytest.raises(gw.NetworkError, match="use sizes of at least 1"):
        one_against_several(5, size=0)


def test_a_network_that_sees_no_one_knows_how_far_is_marked():
    norm = nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2))
    table = side_by_side([anatomy_of(network, (1, 8, 8), batch_size=2) for network in (norm[:1], norm)])
    assert [row[table.header.index("sees")] for row in table.rows()] == ["3", "3, then ?"]


def test_a_network_that_takes_eight_times_as_long_is_said_to(monkeypatch):
    class Counted(nn.Linear):
        def forward(self, x):
            clock[0] += 1.0
            return super().forward(x)

    clock = [0.0]
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    one, eight = nn.Sequential(Counted(4, 4)), nn.Sequential(*[Counted(4, 4) for _ in range(8)])
    anatomies = [anatomy_of(network, (4,), batch_size=2) for network in (one, eight)]
    first, second = side_by_side(anatomies, [one, eight], repeats=10).columns
    assert (first.time.forward.median, second.time.forward.median) == (1.0, 8.0)
    assert second.time.ratio == pytest.approx(8.0)


def test_drawing_its_weights_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    one_against_several(5, channels=2, size=8)
    assert torch.equal(torch.get_rng_state(), state)
