"""Reads the file that a spec describes, and reports everything that is wrong with it at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models import cells, freed, spec_columns, text_tables
from models.dataset import Dataset, Floats, Indices, Labels
from models.errors import DatasetError
from models.spec import Spec
from models.spec_columns import Feature
from models.spec_data import Exclusion
from models.text_tables import TextTable

Bools = NDArray[np.bool_]

# Unknown labels are listed up to this number.
_LISTED = 5


@dataclass
class Findings:
    """Faults of a table: errors stop the training, warnings do not."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def require(self) -> None:
        """Raises DatasetError with all errors if there is one."""
        if self.errors:
            raise DatasetError("\n".join(self.errors))


@dataclass
class _Rows:
    """Faulty rows of a column: the first, its cell, and their number."""

    row: int
    cell: str
    count: int


def load(spec: Spec) -> Dataset:
    """Read the spec's file completely. Raises DatasetError with the rows and the columns."""
    findings = Findings()
    data = read(spec, findings)
    findings.require()
    return replace(data, warnings=tuple(findings.warnings))


def read(spec: Spec, findings: Findings) -> Dataset:
    """Read the spec's file, and add its faults to `findings`.

    Where there are errors, the data set has NaN or 0 in the places of wrong cells. Raises
    DatasetError only where there is no table to read.
    """
    table = text_tables.open_table(spec.data)
    return _Reader(spec, table, findings).read()


class _Reader:
    """One reading of a file, block by block."""

    def __init__(self, spec: Spec, table: TextTable, findings: Findings) -> None:
        self.spec, self.table, self.findings = spec, table, findings
        self.used = [f for f in spec.features if f.role != "excluded"]
        self.position = _Positions(spec, table.names)
        self.faults: dict[tuple[str, str], _Rows] = {}
        self.excluded: Counter[str] = Counter()
        self.unknown: dict[str, _Rows] = {}
        self.ignored: Counter[str] = Counter()
        self.row: list[Indices] = []
        self.label: list[Labels] = []
        # All rows of the file at once: blocks that are joined later would take the memory twice.
        self.raw: Floats = np.empty((len(spec.inputs), table.rows))
        self.place = {f.name: j for j, f in enumerate(spec.inputs)}
        self.kept = 0
        self.protected: dict[str, list[Floats]] = {f.name: [] for f in spec.protected}
        self.texts: dict[str, _Levels] = {f.name: _Levels() for f in self.used if f.type == "text"}
        self.ids: list[pl.Series] = []
        self.groups: list[pl.Series] = []
        self.weight: list[Floats] = []
        self.time: list[Floats] = []

    def read(self) -> Dataset:
        if self.position.errors:
            self.findings.errors += self.position.errors
            self.findings.require()
        wanted = self.position.wanted
        step = text_tables.block_rows(self.table.rows, len(wanted))
        for block in self.table.blocks(wanted, step):
            self._block(block.row, block.cells)
        self.table.close()
        # The texts of the blocks took more memory than the numbers do.
        freed.give_back()
        self._report()
        row = np.concatenate(self.row)
        if not row.shape[0]:
            self.findings.require()
            raise DatasetError(f"{self.spec.data.path.name}: no row is left")
        data = self._dataset(row)
        left_out = _without_values(data, self.findings)
        return _narrowed(data, left_out)

    def _block(self, row: Indices, frame: pl.DataFrame) -> None:
        notation = self.spec.data.notation
        for position in self.position.nameless:
            text = frame[str(position)]
            self._fault(f"column_{position + 1}", "has a cell in a column that the spec does not "
                        "name", row, text, ~cells.missing(text, notation))  # fmt: skip
        kept: Bools = np.ones(row.shape[0], dtype=np.bool_)
        for exclusion in self.spec.exclusions:
            out = kept & self._outside(exclusion, row, frame)
            self.excluded[exclusion.reason] += int(out.sum())
            kept &= ~out
        label = self._labels(row, frame[self.position.of["label.column"]], kept)
        kept &= label >= 0
        if not kept.all():
            frame, row, label = frame.filter(pl.Series(kept)), row[kept], label[kept]
        self.row.append(row)
        self.label.append(label)
        end = self.kept + row.shape[0]
        for feature in self.used:
            values = self._column(feature, row, frame)
            if feature.role == "input":
                self.raw[self.place[feature.name], self.kept : end] = values
            else:
                self.protected[feature.name].append(values)
        self.kept = end
        self._others(row, frame)

    def _others(self, row: Indices, frame: pl.DataFrame) -> None:
        """The columns that are no features."""
        spec, notation = self.spec, self.spec.data.notation
        if spec.id_column is not None:
            ids = frame[self.position.of["id.column"]]
            self._fault("id", "has no id", row, ids, ids.is_in([""]).to_numpy())
            self.ids.append(ids)
        if spec.group_column is not None:
            group = frame[self.position.of["group.column"]]
            self._fault("group", "has no group", row, group, cells.missing(group, notation))
            self.groups.append(group)
        if spec.weight_column is not None:
            text = frame[self.position.of["weight.column"]]
            weight = cells.numbers(text, notation)
            wrong = ~(weight.values > 0.0)
            self._fault("weight", "is not a weight above 0", row, text, wrong)
            self.weight.append(weight.values)
        if spec.time is not None:
            text = frame[self.position.of["time.column"]]
            read = cells.seconds(text, spec.time.format, notation)
            problem = f"is not a date ({_form(spec.time.format)})"
            self._fault("time", problem, row, text, read.wrong | read.missing)
            self.time.append(read.values)

    def _outside(self, exclusion: Exclusion, row: Indices, frame: pl.DataFrame) -> Bools:
        """The rows that an exclusion is about."""
        place = f"exclude[{self.spec.exclusions.index(exclusion)}]"
        text = frame[self.position.of[f"{place}.column"]]
        notation = self.spec.data.notation
        if exclusion.missing:
            return cells.missing(text, notation)
        if exclusion.values:
            return np.asarray(text.is_in(list(exclusion.values)).to_numpy(), dtype=np.bool_)
        if exclusion.other_than:
            return ~np.asarray(text.is_in(list(exclusion.other_than)).to_numpy(), dtype=np.bool_)
        if exclusion.before is not None or exclusion.after is not None:
            read = cells.seconds(text, exclusion.format, notation)
            low, high = _float(exclusion.before), _float(exclusion.after)
            problem = f"is not a date ({_form(exclusion.format)})"
        else:
            read = cells.numbers(text, notation)
            low, high = exclusion.below, exclusion.above
            problem = "is not a number"
        self._fault(place, problem, row, text, read.wrong)
        return np.asarray(
            (read.values < (-np.inf if low is None else low))
            | (read.values > (np.inf if high is None else high))
        )

    def _labels(self, row: Indices, text: pl.Series, kept: Bools) -> Labels:
        """1 for bad, 0 for good, -1 for any other label."""
        spec = self.spec.label
        bad, good, ignored = (
            np.asarray(text.is_in(list(v)).to_numpy(), dtype=np.bool_)
            for v in (spec.bad, spec.good, spec.ignore)
        )
        label = np.where(bad, 1, np.where(good, 0, -1)).astype(np.int8)
        for value, count in text.filter(pl.Series(kept & ignored)).value_counts().iter_rows():
            self.ignored[value] += count
        other = np.flatnonzero(kept & (label < 0) & ~ignored)
        for index in other.tolist():
            value = text[index]
            known = self.unknown.setdefault(value, _Rows(int(row[index]), value, 0))
            known.count += 1
        return label

    def _column(self, feature: Feature, row: Indices, frame: pl.DataFrame) -> Floats:
        """One feature's values; faults are noted by the rows of the file."""
        text = frame[self.position.of[feature.name]]
        notation = feature.notation
        if feature.type == "text":
            read = self.texts[feature.name].add(*cells.texts(text, notation))
        elif feature.type == "date":
            read = cells.days(text, feature.format, notation)
            problem = f"is not a date ({_form(feature.format)})"
            self._fault(feature.name, problem, row, text, read.wrong)
        else:
            read = cells.numbers(text, notation)
            self._fault(feature.name, "is not a number", row, text, read.wrong)
        values = read.values
        if feature.role == "input":
            if feature.missing == "reject":
                self._fault(feature.name, "has no value", row, text, read.missing)
            out = (values < feature.minimum) | (values > feature.maximum)
            self._fault(feature.name, "is outside min..max", row, text, out)
        if feature.type in ("integer", "code"):
            broken = ~np.isnan(values) & (values != np.floor(values))
            self._fault(feature.name, "is not an integer", row, text, broken)
        return values

    def _fault(
        self, column: str, problem: str, row: Indices, text: pl.Series, wrong: Bools
    ) -> None:
        if not wrong.any():
            return
        first = int(np.argmax(wrong))
        known = self.faults.setdefault(
            (column, problem), _Rows(int(row[first]), str(text[first]), 0)
        )
        known.count += int(wrong.sum())

    def _report(self) -> None:
        for (column, problem), rows in self.faults.items():
            cell = f": {rows.cell[:40]!r}" if rows.cell else ""
            more = "" if rows.count == 1 else f" ({rows.count} rows in all)"
            self.findings.errors.append(f"{column}: row {rows.row} {problem}{cell}{more}")
        self._report_labels()

    def _report_labels(self) -> None:
        spec, total = self.spec, self.table.rows
        for value in spec.label.ignore:
            self.excluded[f"label is {value!r}, left out"] += self.ignored[value]
        unknown = sorted(self.unknown.values(), key=lambda rows: -rows.count)
        count = sum(rows.count for rows in unknown)
        for rows in unknown[:_LISTED]:
            self.excluded[f"label is {rows.cell!r}, neither good nor bad"] += rows.count
        if len(unknown) > _LISTED:
            rest = sum(rows.count for rows in unknown[_LISTED:])
            self.excluded["label is another text, neither good nor bad"] += rest
        if count:
            said = ", ".join(
                f"{rows.cell!r} ({rows.count} rows, the first is row {rows.row})"
                for rows in unknown[:_LISTED]
            )
            text = (
                f"label: {count} of {total} rows are neither good nor bad: {said}"
                f"{' and others' if len(unknown) > _LISTED else ''}; write them in label.bad, "
                "label.good or label.ignore, or leave the rows out with [[exclude]]"
            )
            many = count > spec.house.most_unknown_labels * total
            (self.findings.errors if many else self.findings.warnings).append(text)
        found = np.concatenate(self.label)
        for label, name in ((1, "bad"), (0, "good")):
            if not (found == label).any():
                self.findings.errors.append(f"label.{name}: no row has any of these values")

    def _dataset(self, row: Indices) -> Dataset:
        spec = self.spec
        levels: dict[str, tuple[str, ...]] = {}
        raw = self._kept_rows()
        for j, feature in enumerate(spec.inputs):
            if feature.type == "text":
                raw[:, j] = self._leveled(feature, raw[:, j], levels)
        return Dataset(
            spec=spec,
            ids=self._ids(row),
            row=row,
            raw=raw,
            levels=levels,
            label=np.concatenate(self.label),
            protected={
                f.name: self._leveled(f, np.concatenate(self.protected[f.name]), levels)
                for f in spec.protected
            },
            time=_whole(self.time) if self.time else None,
            group=_numbered(pl.concat(self.groups)) if self.groups else None,
            weight=np.concatenate(self.weight) if self.weight else None,
            excluded=tuple(self.excluded.items()),
            warnings=(),
            sha256=self.table.sha256,
        )

    def _kept_rows(self) -> Floats:
        """(n, k) of the kept rows, column after column in memory."""
        width, flat = self.raw.shape[0], self.raw.reshape(-1)
        if self.kept < self.raw.shape[1]:
            for j in range(width):
                flat[j * self.kept : (j + 1) * self.kept] = self.raw[j, : self.kept]
        return flat[: width * self.kept].reshape(width, self.kept).T

    def _leveled(
        self, feature: Feature, values: Floats, levels: dict[str, tuple[str, ...]]
    ) -> Floats:
        """A feature's values of all rows; a text's are places among its levels, which are added to
        `levels`."""
        if feature.type == "text":
            values, levels[feature.name] = self.texts[feature.name].sorted(values)
        return values

    def _ids(self, row: Indices) -> tuple[str, ...]:
        if not self.ids:
            return tuple(map(str, row.tolist()))
        ids = pl.concat(self.ids)
        repeated = ids.is_duplicated() & (ids != "")
        if repeated.any():
            first = int(repeated.arg_max() or 0)
            second = int(np.flatnonzero((ids == ids[first]).to_numpy())[1])
            self.findings.errors.append(
                f"id: {ids[first]!r} is repeated: rows {row[first]} and {row[second]} have it, and "
                f"{int(repeated.sum())} rows have an id of another row; if a person has several "
                "rows, name the column in [group] and leave [id] out"
            )
        return tuple(ids.to_list())


class _Levels:
    """The texts of a column, numbered as they come, and sorted in the end."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def add(self, text: pl.Series, missing: Bools) -> cells.Cells:
        for each in text.filter(pl.Series(~missing)).unique().to_list():
            self.numbers.setdefault(each, len(self.numbers))
        found = text.replace_strict(
            list(self.numbers), list(self.numbers.values()), default=None, return_dtype=pl.Float64
        ) if self.numbers else pl.Series([None] * text.len(), dtype=pl.Float64)  # fmt: skip
        values = np.array(found.to_numpy(), dtype=np.float64)
        values[missing] = np.nan
        return cells.Cells(values, missing, np.zeros(values.shape[0], dtype=np.bool_))

    def sorted(self, values: Floats) -> tuple[Floats, tuple[str, ...]]:
        """The values with the numbers of the sorted texts, and these texts."""
        levels = sorted(self.numbers)
        place = np.full(len(levels) + 1, np.nan)
        for number, text in enumerate(levels):
            place[self.numbers[text]] = number
        index = np.where(np.isnan(values), len(levels), values).astype(np.int64)
        return place[index], tuple(levels)


class _Positions:
    """The positions in the file of the spec's columns."""

    def __init__(self, spec: Spec, names: tuple[str, ...]) -> None:
        self._names = names
        self.errors: list[str] = []
        self.of: dict[str, str] = {}
        places: dict[str, str | int] = {"label.column": spec.label.column}
        for key, column in (
            ("id.column", spec.id_column),
            ("group.column", spec.group_column),
            ("weight.column", spec.weight_column),
            ("time.column", None if spec.time is None else spec.time.column),
        ):
            if column is not None:
                places[key] = column
        for index, exclusion in enumerate(spec.exclusions):
            places[f"exclude[{index}].column"] = exclusion.column
        places |= {f.name: f.column for f in spec.features}
        found = {key: self._find(column) for key, column in places.items()}
        self.of = {key: str(position) for key, position in found.items() if position is not None}
        not_read = {f.name for f in spec.features if f.role == "excluded"}
        self.wanted = [int(p) for key, p in self.of.items() if key not in not_read]
        self._check_repeated(spec)
        unknown = sorted({*range(len(names))} - {*map(int, self.of.values())})
        self.nameless = [j for j in unknown if names[j] == f"column_{j + 1}"]
        unknown = [j for j in unknown if j not in self.nameless]
        if spec.data.others == "exclude":
            self.nameless = []
        elif unknown:
            said = ", ".join(names[j] for j in unknown[:20])
            self.errors.append(
                f"{spec.data.path.name}: column {said} is not in the spec; give it role = "
                '"excluded" if the model shall not see it, or write other_columns = "exclude" in '
                "[data]"
            )
        self.wanted += self.nameless

    def _find(self, column: str | int) -> int | None:
        if isinstance(column, int):
            if column <= len(self._names):
                return column - 1
            self.errors.append(f"has no column {column}: it has {len(self._names)} columns")
            return None
        at = [j for j, name in enumerate(self._names) if name == column]
        if len(at) == 1:
            return at[0]
        if at:
            said = " and ".join(str(j + 1) for j in at[:5])
            self.errors.append(
                f"column {column} appears twice, as columns {said}: give the position instead, as "
                f"column = {at[0] + 1}"
            )
        else:
            known = ", ".join(self._names[:20]) + (" ..." if len(self._names) > 20 else "")
            self.errors.append(f"has no column {column}; its columns are {known}")
        return None

    def _check_repeated(self, spec: Spec) -> None:
        """A column by name and the same one by position are one column twice."""
        parts = {
            key: position
            for key, position in self.of.items()
            if not key.startswith("exclude[") and key != "group.column"
        }
        ordered = sorted(parts.items(), key=lambda pair: int(pair[1]))
        beside_time = {f.name for f in spec.features if f.beside_time}
        for (one, at), (other, same) in pairwise(ordered):
            if at == same and not ("time.column" in (one, other) and {one, other} & beside_time):
                self.errors.append(f"{one} and {other} are the same column of the file")


def _without_values(data: Dataset, findings: Findings) -> set[str]:
    """Input columns with fewer than two different values; each is a warning."""
    left_out = set()
    for j, feature in enumerate(data.spec.inputs):
        values = data.raw[:, j]
        present = values[~np.isnan(values)]
        if not present.shape[0]:
            problem = "no row has a value"
        elif present.min() == present.max() and present.shape[0] == values.shape[0]:
            problem = "all rows have the same value"
        elif feature.missing == "nan" and present.shape[0] == values.shape[0]:
            findings.warnings.append(
                f'{feature.name}: missing = "nan" is allowed but no row lacks a value; a person '
                "without it cannot be scored"
            )
            continue
        else:
            continue
        if data.spec.derive_function is not None or _is_used(data.spec, feature.name):
            findings.warnings.append(f"{feature.name}: {problem}")
            continue
        findings.warnings.append(f"{feature.name}: {problem}; the column is left out")
        left_out.add(feature.name)
    if len(left_out) == len(data.spec.inputs):
        findings.errors.append("feature: no input column has two different values")
        return set()
    return left_out


def _is_used(spec: Spec, name: str) -> bool:
    """Whether a declared derivation reads this column."""
    return any(name in derivation.of for derivation in spec.derivations)


def _narrowed(data: Dataset, left_out: set[str]) -> Dataset:
    """The data set without these inputs."""
    if not left_out:
        return data
    spec = data.spec
    kept = [j for j, f in enumerate(spec.inputs) if f.name not in left_out]
    features = tuple(
        replace(f, role="excluded", monotone=0) if f.name in left_out else f for f in spec.features
    )
    derived = spec_columns.undirected([f for f in features if f.role == "input"])
    return replace(
        data,
        spec=replace(spec, features=features, derived=derived),
        raw=np.asfortranarray(data.raw[:, kept]),
        levels={name: v for name, v in data.levels.items() if name not in left_out},
    )


def _float(value: int | None) -> float | None:
    return None if value is None else float(value)


def _whole(parts: list[Floats]) -> Indices:
    return np.nan_to_num(np.concatenate(parts)).astype(np.int64)


def _numbered(text: pl.Series) -> Indices:
    """Equal texts have equal numbers."""
    return np.asarray(text.rank("dense").to_numpy(), dtype=np.int64)


def _form(form: str) -> str:
    if form == spec_columns.ISO:
        return 'expected 2026-11-29; declare the format, such as format = "%d/%m/%Y"'
    return f"expected {form}"
