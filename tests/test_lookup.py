"""Architectures under constraints, out of the lookup table that a search by `gcn` has kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness import HarnessError
from harness.cli import group
from harness.sharing import lookup
from harness.train.stored import checked

SEARCH = ["search", "--space", "digits201", "--data", "digits", "--epochs", "1", "--json", "--method"]
SMALL = {"samples": 12, "finalists": 3, "width": 8, "fit": 5}


def test_what_is_taken_meets_its_constraint(tmp_path: Path) -> None:
    params = [part for name, value in SMALL.items() for part in ("--param", f"gcn.{name}={value}")]
    asked = [*SEARCH, "gcn", *params, "--out", str(tmp_path)]
    found = CliRunner().invoke(group, [*asked, "--constraint", "params<=5000", "--constraint", "params<=9e3"], obj=[])
    assert found.exit_code == 0, found.output
    first, other = [row for row in json.loads(found.stdout) if "constraint" in row]
    assert first["costs"]["params"] <= 5000
    assert other["costs"]["params"] <= 9000
    assert all(not one.wrong for one in checked([tmp_path]))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("gcn", "--constraint", "params<=10"), "no architecture of digits201 has params<=10."),
        (("gcn", "--constraint", "macs<=1e5"), "macs of digits201 are not a sum over its parameters."),
        (("gdas", "--constraint", "params<=1e5"), "gdas has no lookup table"),
    ],
)
def test_constraints_that_cannot_be_met_are_refused_before_the_search(
    given: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    found = CliRunner().invoke(group, [*SEARCH, *given, "--out", str(tmp_path)], obj=[])
    assert isinstance(found.exception, HarnessError)
    assert said in found.exception.message
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("text", "said"), [("macs<4", "no constraint"), ("params<=x", "not a constraint"), ("size<=4", "measure")]
)
def test_what_is_no_constraint_is_refused(text: str, said: str) -> None:
    with pytest.raises(HarnessError) as caught:
        lookup.bounds(text)
    assert said.rsplit(maxsplit=1)[-1] in caught.value.message


def test_several_bounds_are_one_constraint() -> None:
    assert lookup.bounds("macs<=400e6, params<=5e6") == {"macs": 4e8, "params": 5e6}


def test_other_methods_have_no_table(tmp_path: Path) -> None:
    class Search:
        method = "darts"

    with pytest.raises(HarnessError, match="darts has no lookup table"):
        lookup.read(tmp_path / "no.parquet", Search())  # type: ignore[arg-type]


def test_numbers_stand_for_codes(tmp_path: Path) -> None:
    from harness.sharing.segments import Lookup
    from harness.spaces import published

    class Search:
        method, space, id = "gcn", "nb201", "abc"

    codes = np.random.default_rng(0).integers(published("nb201").space.sizes, size=(9, 6))
    target = tmp_path / "abc.parquet"
    lookup.write(target, Search(), Lookup(codes, np.arange(9.0)))  # type: ignore[arg-type]
    again = lookup.read(target, Search())  # type: ignore[arg-type]
    np.testing.assert_array_equal(again.codes, codes)
