"""The configuration of a run: which data, which network, which recipe, where. One flat file, readable by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from glasswork.data.examples import Examples
from glasswork.data.images import Progress
from glasswork.data.options import FramingOptions, ReadingOptions, TableOptions
from glasswork.data.read import read_examples
from glasswork.data.table import Table
from glasswork.errors import SettingError, one_line
from glasswork.networks.options import NetworkOptions
from glasswork.report.options import SETTING_KINDS, ReportOptions
from glasswork.settings import fields_of, made, refuse_unknown, setting_names
from glasswork.training.options import FineTuneOptions, PlanName, PlanOptions, Settings, resolve_settings
from glasswork.training.recipe import Recipe


@dataclass(frozen=True)
class RunConfig:
    """All that decides a run; the same configuration on the same machine gives the same weights.

    `given`: what was asked for; all else is a default.
    """

    data: str
    reading: ReadingOptions
    columns: TableOptions
    settings: Settings
    plan: PlanOptions
    report: ReportOptions
    given: Mapping[str, Any] = field(compare=False, repr=False)

    def read(self, progress: Progress | None = None) -> Examples:
        """The examples, read and cut as it says."""
        return read_examples(self.data, **vars(self.reading), **vars(self.columns), progress=progress)

    def settled(self, examples: Examples) -> RunConfig:
        """The same, once the data has been read: of a table other defaults hold than of pictures."""
        return resolve_config(self.data, self.given, table=isinstance(examples.inputs, Table))

    def in_plan(self, name: PlanName) -> RunConfig:
        """The same, carried out by the plan of this name."""
        return replace(self, plan=replace(self.plan, plan=name), given={**self.given, "plan": name})

    def as_dict(self) -> dict[str, Any]:
        """One flat mapping of plain values, as it is saved."""
        values = {
            "data": self.data,
            **asdict(self.columns),
            **asdict(self.reading),
            **self.settings.as_dict(),
            **asdict(self.plan),
            **asdict(self.report),
        }
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def given_as_yaml(self) -> str:
        """What was asked for, as `config.yaml` holds it until the data has been read."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in self.given.items()}
        return yaml.safe_dump({"data": self.data, **values}, sort_keys=False, allow_unicode=True)

    def as_yaml(self) -> str:
        """The file `config.yaml`."""
        return yaml.safe_dump(self.as_dict(), sort_keys=False, allow_unicode=True)


def resolve_config(data: str, given: Mapping[str, Any], table: bool = False) -> RunConfig:
    """The configuration from what was given; what was not is the network's default, or the general one.

    `table`: the data are rows of a table, for which other defaults hold than for pictures.
    """
    refuse_unknown(given, setting_names(*SETTING_KINDS))
    kinds = (NetworkOptions, Recipe, FineTuneOptions, FramingOptions)
    settings = resolve_settings({name: given[name] for name in setting_names(*kinds) if name in given}, table=table)
    reading = made(ReadingOptions, fields_of(ReadingOptions, given))
    columns = made(TableOptions, fields_of(TableOptions, given))
    plan = made(PlanOptions, fields_of(PlanOptions, given))
    report = made(ReportOptions, fields_of(ReportOptions, given))
    return RunConfig(data, reading, columns, settings, plan, report, dict(given))


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
