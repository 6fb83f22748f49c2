"""The package as it is imported: its public names are documented, and cost nothing until they are used."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import glasswork as gw

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def test_importing_glasswork_imports_no_torch_and_no_scikit_learn():
    code = "import sys, glasswork; sys.exit(not {'torch', 'numpy', 'sklearn'}.isdisjoint(sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_names_are_those_the_readme_describes():
    described = set(re.findall(r"`gw\.(\w+)", README))
    assert described == set(gw.__all__)


@pytest.mark.parametrize("name", gw.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name):
    value = getattr(gw, name)
    assert value.__doc__
    assert name in dir(gw)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'fitt'"):
        _ = gw.fitt


def test_every_setting_has_one_name_across_all_kinds_and_says_what_it_does():
    from glasswork.runs.config import SETTING_KINDS
    from glasswork.settings import field_info, setting_names

    names = setting_names(*SETTING_KINDS)
    assert len(names) == len(set(names))
    for kind in SETTING_KINDS:
        for name in setting_names(kind):
            assert field_info(kind, name).description
