"""Idle threads of a command sleep soon, unless the person who started the program said otherwise."""

import json
import os
import subprocess
import sys

import pytest

NAMES = ("GOMP_SPINCOUNT", "OPENBLAS_THREAD_TIMEOUT", "OMP_WAIT_POLICY")


VERSION = "from glasswork.cli.main import main; main(['--version'])"


def found(code, **environment):
    """The variables after this code, in a process that began with these alone."""
    clean = {name: value for name, value in os.environ.items() if name not in NAMES} | environment
    code += f"\nimport json, os\nprint(json.dumps({{name: os.environ.get(name) for name in {NAMES}}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=clean, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_a_command_says_so_before_the_libraries_are_loaded():
    assert found(VERSION) == {
        "GOMP_SPINCOUNT": "4000",
        "OPENBLAS_THREAD_TIMEOUT": "16",
        "OMP_WAIT_POLICY": None,
    }


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OPENBLAS_THREAD_TIMEOUT"])
def test_what_the_environment_says_stays(name):
    assert found(VERSION, **{name: "7"})[name] == "7"


def test_a_way_of_waiting_that_was_chosen_is_not_overruled():
    assert found(VERSION, OMP_WAIT_POLICY="active")["GOMP_SPINCOUNT"] is None


def test_where_the_libraries_are_loaded_already_nothing_is_touched():
    assert set(found(f"import sys; sys.modules['torch'] = sys.modules['numpy'] = sys\n{VERSION}").values()) == {None}


def test_importing_glasswork_changes_nothing():
    assert set(found("import glasswork; glasswork.Model").values()) == {None}
