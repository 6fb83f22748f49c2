"""The configuration of a run: which data, which network, which recipe, where. One flat file, readable by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from glasswork.data.options import FramingOptions, ReadingOptions
from glasswork.errors import SettingError, one_line
from glasswork.networks.options import NetworkOptions
from glasswork.settings import fields_of, made, refuse_unknown, setting_names
from glasswork.training.options import FineTuneOptions, PlanOptions, Settings, resolve_settings
from glasswork.training.recipe import Recipe

SETTING_KINDS = (NetworkOptions, Recipe, FineTuneOptions, FramingOptions, ReadingOptions, PlanOptions)
"""Everything a flag can set, in the order in which help shows it."""


@dataclass(frozen=True)
class RunConfig:
    """All that decides a run; the same configuration on the same machine gives the same weights."""

    data: str
    reading: ReadingOptions
    settings: Settings
    plan: PlanOptions

    def as_dict(self) -> dict[str, Any]:
        """One flat mapping of plain values, as it is saved."""
        values = {"data": self.data, **asdict(self.reading), **self.settings.as_dict(), **asdict(self.plan)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def as_yaml(self) -> str:
        """The file `config.yaml`."""
        return yaml.safe_dump(self.as_dict(), sort_keys=False, allow_unicode=True)


def resolve_config(data: str, given: Mapping[str, Any]) -> RunConfig:
    """The configuration from what was given; what was not is the network's default, or the general one."""
    refuse_unknown(given, setting_names(*SETTING_KINDS))
    kinds = (NetworkOptions, Recipe, FineTuneOptions, FramingOptions)
    settings = resolve_settings({name: given[name] for name in setting_names(*kinds) if name in given})
    reading = made(ReadingOptions, fields_of(ReadingOptions, given))
    return RunConfig(data, reading, settings, made(PlanOptions, fields_of(PlanOptions, given)))


def read_config(path: str | Path) -> dict[str, Any]:
    """The settings in a configuration file: flat YAML, such as a run's `config.yaml`; `data` may be among them.

    Raises `SettingError` if it cannot be read, is not flat, or names a setting there is not.
    """
    try:
        given = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"--config {one_line(path)} cannot be read ({error.strerror}); check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise SettingError(
            f"--config {one_line(path)} is not YAML ({reason}); write lines such as `epochs: 10`"
        ) from None
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise SettingError(
            f"--config {one_line(path)} must hold lines such as `epochs: 10`, got {type(given).__name__}"
        )
    refuse_unknown(given, ["data", *setting_names(*SETTING_KINDS)])
    return given
