"""The data folder: stored whole or not at all, verified, removed; and the command `harness data`."""

from __future__ import annotations

import errno
import hashlib
import http.server
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from test_format_nasbench101 import CELLS, write

from harness import HarnessError, registry
from harness.benchmarks import OfficialFile, imported
from harness.benchmarks.formats import nasbench101 as official

ARRAYS = {"loss": np.arange(12.0).reshape(3, 4), "codes": np.arange(3, dtype=np.int8)}


def test_what_is_stored_is_what_is_loaded(data_folder: Path) -> None:
    imported.save("some/table", ARRAYS, {"files": ["x"]})
    stored = imported.load("some/table", "nb101")
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(stored.arrays[name], array)
        assert stored.arrays[name].dtype == array.dtype
        with pytest.raises(ValueError, match="read-only"):
            stored.arrays[name][0] = 1
    assert stored.about == {"files": ["x"]}
    assert imported.names() == ["some/table"]
    assert imported.size("some/table") > 12 * 8
    imported.verify("some/table")


def test_the_checksum_is_of_every_number(data_folder: Path) -> None:
    seen = set()
    for arrays in (ARRAYS, {**ARRAYS, "loss": ARRAYS["loss"] + 1e-9}, {"loss": ARRAYS["loss"]}):
        imported.save("t", arrays, {})
        seen.add(imported.load("t", "nb101").checksum)
    imported.save("t", ARRAYS, {})
    assert len(seen) == 3
    assert imported.load("t", "nb101").checksum in seen


def test_a_flipped_bit_is_found_and_so_is_a_cut_file(data_folder: Path) -> None:
    imported.save("t", ARRAYS, {})
    file = imported.path("t") / "loss.npy"
    whole = bytearray(file.read_bytes())
    imported.load("t", "nb101")
    for broken, said in (
        (bytes([*whole[:-1], whole[-1] ^ 1]), r"damaged: the checksum of loss differs.*harness data remove t"),
        (whole[:-8], "damaged"),
        (None, r"damaged: loss\.npy is missing"),
    ):
        file.unlink()
        if broken is not None:
            file.write_bytes(broken)
        for read in (lambda: imported.load("t", "nb101"), lambda: imported.verify("t")):
            with pytest.raises(HarnessError, match=said):
                read()


def test_a_table_is_verified_once_as_long_as_its_files_stay(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported.save("t", ARRAYS, {})
    imported.load("t", "nb101")
    read: list[Any] = []
    describe = imported.describe

    def counted(array: Any) -> Any:
        read.append(array)
        return describe(array)

    monkeypatch.setattr(imported, "describe", counted)
    imported.load("t", "nb101")
    assert not read
    (imported.path("t") / "loss.npy").touch()
    imported.load("t", "nb101")
    imported.load("t", "nb101")
    assert len(read) == len(ARRAYS)


def test_a_table_that_may_not_be_read_is_not_damaged(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported.save("t", ARRAYS, {})

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "loss.npy")

    monkeypatch.setattr("numpy.load", denied)
    with pytest.raises(HarnessError, match="cannot be read: permission denied") as caught:
        imported.load("t", "nb101")
    assert "remove" not in str(caught.value)


_SAVES = """
import sys, numpy as np
from harness.benchmarks import imported
for turn in range(int(sys.argv[1])):
    imported.save("t", {"loss": np.full(1000, turn)}, {"turn": turn})
    stored = imported.load("t", "nb101")
    assert (stored.arrays["loss"] == stored.about["turn"]).all()
"""


def test_imports_of_one_table_at_once_never_lose_it(data_folder: Path) -> None:
    imported.save("t", {"loss": np.zeros(1000)}, {"turn": 0})
    processes = [subprocess.Popen([sys.executable, "-c", _SAVES, "12"], stderr=subprocess.PIPE) for _ in range(3)]
    reads = 0
    while any(process.poll() is None for process in processes):
        stored = imported.load("t", "nb101")
        assert (stored.arrays["loss"] == stored.about["turn"]).all()
        reads += 1
    assert [process.communicate()[1] for process in processes] == [b""] * 3
    assert reads > 0
    imported.verify("t")
    assert [file.name for file in (data_folder / "tables").iterdir()] == ["t"]


def test_a_table_that_is_written_again_meanwhile_is_read_again_though_its_numbers_are_the_same(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported.save("t", ARRAYS, {})
    verified, met = imported._verify_once, list[str]()

    def meets_another_writing(name: str, *rest: Any) -> None:
        met.append(name)
        if len(met) == 1:
            imported.save(name, ARRAYS, {})
            raise HarnessError("these are numbers of another writing, which has gone.")
        verified(name, *rest)

    monkeypatch.setattr(imported, "_verify_once", meets_another_writing)
    stored = imported.load("t", "nb101")
    np.testing.assert_array_equal(stored.arrays["loss"], ARRAYS["loss"])
    assert len(met) == 2


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_table_takes_the_place_of_another(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr(imported, "_exchanged", lambda *_: False)
    for turn in range(3):
        imported.save("t", {"loss": np.zeros(turn)}, {"turn": turn})
        assert imported.load("t", "nb101").about == {"turn": turn}
    assert [file.name for file in (data_folder / "tables").iterdir()] == ["t"]


@pytest.mark.parametrize("about", ["", "{}", "[1]", '{"schema": 1', "\xff"])
def test_a_description_that_cannot_be_read_is_damage(data_folder: Path, about: str) -> None:
    imported.save("t", ARRAYS, {})
    (imported.path("t") / "table.json").write_text(about)
    with pytest.raises(HarnessError, match="damaged"):
        imported.load("t", "nb101")


def test_a_changed_description_is_found(data_folder: Path) -> None:
    imported.save("t", ARRAYS, {"direction": "minimize"})
    file = imported.path("t") / "table.json"
    file.write_text(file.read_text().replace("minimize", "maximize"))
    with pytest.raises(HarnessError, match=r"checksum of table\.json differs"):
        imported.verify("t")


def test_an_older_schema_is_refused(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imported, "SCHEMA", 0)
    imported.save("nb101", ARRAYS, {})
    monkeypatch.undo()
    monkeypatch.setenv("NAS_HARNESS_DATA", str(data_folder))
    with pytest.raises(
        HarnessError, match=r"of schema 0; this version reads schema 1\..*import its official file again"
    ):
        imported.load("nb101", "nb101")


def test_a_table_is_replaced_whole(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported.save("t", ARRAYS, {"turn": 1})

    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.benchmarks.imported.checksum_of", fail)
    with pytest.raises(KeyboardInterrupt):
        imported.save("t", {"loss": np.zeros(3)}, {"turn": 2})
    monkeypatch.undo()
    monkeypatch.setenv("NAS_HARNESS_DATA", str(data_folder))
    imported.verify("t")
    assert imported.load("t", "nb101").about == {"turn": 1}
    imported.save("t", {"loss": np.zeros(3)}, {"turn": 3})
    assert imported.load("t", "nb101").about == {"turn": 3}
    assert [file.name for file in (data_folder / "tables").iterdir()] == ["t"]


def test_a_full_disk_is_noticed_before_anything_is_written(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(HarnessError, match=r"needs 0\.00 GB more, but its disk has 0\.00 GB free.*--data"):
        imported.save("t", ARRAYS, {})
    assert not list((data_folder / "tables").iterdir())


def test_a_disk_that_fills_up_leaves_nothing(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(HarnessError, match=r"No space left on device\. free some space"):
        imported.save("t", ARRAYS, {})
    assert not list((data_folder / "tables").iterdir())


def test_what_a_killed_process_left_is_cleared_away(data_folder: Path) -> None:
    left = data_folder / "tables" / ".t.123.tmp"
    left.mkdir(parents=True)
    (left / "loss.npy").write_bytes(b"half")
    assert imported.names() == []
    imported.save("t", ARRAYS, {})
    assert [file.name for file in (data_folder / "tables").iterdir()] == ["t"]


def test_a_folder_that_cannot_be_written_is_an_error(data_folder: Path) -> None:
    data_folder.write_text("a file")
    with pytest.raises(HarnessError, match="cannot write to"):
        imported.save("t", ARRAYS, {})


def test_the_checkout_or_the_users_folder_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checkout = tmp_path / "benchmarks_data"
    monkeypatch.delenv("NAS_HARNESS_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(imported, "_CHECKOUT", checkout)
    assert imported.folder() == tmp_path / "nas-harness"
    checkout.mkdir()
    (checkout / "manifest.toml").touch()
    assert imported.folder() == checkout


def test_the_manifest_has_every_source() -> None:
    assert set(registry.sources()) - {"own", "syne-tune"} == set(imported.manifest())
    for name in imported.manifest():
        for file in imported.official(name):
            assert file.url.startswith("http")
            assert not file.fetch or len(file.sha256) == 64


Run = Callable[..., Any]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file in the form of the official one, of three cells; that number is taken for the whole."""
    pytest.importorskip("google_crc32c", reason="the extra that reads NAS-Bench-101 is not installed")
    monkeypatch.setattr(official, "CELLS", len(CELLS))
    return write(tmp_path / "nasbench_full.tfrecord", (4, 12, 36, 108))


def test_import_run_verify_and_remove(harness: Run, data_folder: Path, small: Path) -> None:
    missing = harness("run", "--bench", "nb101", "--algo", "rs", "--evals", 5, "--seeds", 2)
    assert missing.status == 2
    assert missing.err.splitlines() == [
        "error: nb101 is not imported: it needs the official file nasbench_full.tfrecord from "
        "https://storage.googleapis.com/nasbench/nasbench_full.tfrecord",
        "hint: run: harness data fetch nb101",
    ]
    assert harness("data", "import", "nb101", small).out == "nb101: imported\n"
    table = registry.benchmark("nb101")
    cells = official.read(small, cells=3)
    np.testing.assert_array_equal(table.loss, 1 - cells.val_acc)
    np.testing.assert_array_equal(table.test, 1 - cells.test_acc)
    np.testing.assert_array_equal(table.cost, cells.seconds)
    np.testing.assert_array_equal(table.fidelities, [4, 12, 36, 108])
    for benchmark in ("nb101/a", "nb101/b", "nb101/c"):
        table = registry.benchmark(benchmark)
        np.testing.assert_array_equal(table.rows(np.asarray(table.codes)), [0, 1, 2])
    run = harness("run", "--bench", "nb101", "--algo", "rs", "--evals", 5, "--seeds", 2, "--json")
    assert run.status == 0
    assert json.loads(run.out)[0]["benchmark"] == "nb101/a"
    listed = json.loads(harness("data", "list", "--json").out)
    rows = {row["benchmark"]: row for row in listed["benchmarks"]}
    assert [rows[name]["standing"] for name in ("nb101", "1shot1", "nb201", "fcnet-curves")] == [
        "imported",
        "imported",
        "embedded",
        "not here",
    ]
    assert rows["nb101"]["bytes"] > 0
    benchmarks = {
        row["name"]: row["here"] for row in json.loads(harness("list", "benchmarks", "--json").out)["benchmarks"]
    }
    assert [benchmarks[name] for name in ("nb101/b", "1shot1/1", "nb201/cifar10", "nb201-12/cifar10")] == [
        "yes",
        "yes",
        "yes",
        "no",
    ]
    assert "`harness data list`" in harness("list", "benchmarks").err
    assert harness("data", "verify").out == "nb101: whole\n"
    assert harness("data", "remove", "nb101").out == "nb101: removed\n"
    assert harness("data", "remove", "nb101").status == 2
    assert imported.names() == []


def test_data_is_an_option(harness: Run, tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_HARNESS_DATA", str(tmp_path / "not here"))
    assert harness("data", "import", "nb101", small, "--data", tmp_path / "there").status == 0
    assert (tmp_path / "there" / "tables" / "nb101" / "table.json").is_file()
    assert not (tmp_path / "not here").exists()


def _cut(file: Path) -> Path:
    file.write_bytes(file.read_bytes()[:-5])
    return file


def _html(file: Path) -> Path:
    file.write_text("<!DOCTYPE html><title>Not found</title>")
    return file


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, "the download is truncated"),
        (
            _html,
            "is an HTML or XML page, perhaps a failed download, not the TFRecord file of NAS-Bench-101; take nasbench",
        ),
        (lambda file: file.parent, "is a folder, not the TFRecord file"),
        (lambda file: file.with_name("gone"), "there is nothing at"),
    ],
)
def test_a_bad_file_leaves_nothing(
    harness: Run, data_folder: Path, small: Path, damage: Callable[[Path], Path], message: str
) -> None:
    answer = harness("data", "import", "nb101", damage(small))
    assert answer.status == 2
    assert message in answer.err
    assert not list(data_folder.rglob("*.npy"))


def test_an_interrupted_import_leaves_nothing(
    harness: Run, data_folder: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(imported, "checksum_of", interrupt)
    answer = harness("data", "import", "nb101", small)
    assert answer.status == 130
    assert "Nothing half-done is left" in answer.err
    assert not [path for path in data_folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "nb10", "x"], "unknown source of tables 'nb10'"),
        (["import", "hpobench", "x"], "embedded: there is nothing to import"),
        (["import", "1shot1", "x"], "harness data import nb101 FILE"),
        (["import", "nb101"], "it takes nasbench_full.tfrecord from https://"),
        (["fetch", "nb201"], "run: harness data import nb201 NAS-Bench-201-v1_1-096897.pth"),
        (["fetch", "nb101", "--file", "x"], "choose from nasbench_full.tfrecord, nasbench_only108.tfrecord"),
        (["verify", "nb101"], "unknown stored table 'nb101'"),
        (["remove", "x"], "unknown stored table 'x'"),
    ],
)
def test_what_cannot_be_done_is_said(harness: Run, data_folder: Path, arguments: list[str], message: str) -> None:
    answer = harness("data", *arguments)
    assert answer.status == 2
    assert message in answer.err


class _Server(http.server.BaseHTTPRequestHandler):
    """Serves `content`; breaks off in the middle as often as `breaks` says."""

    content: ClassVar[bytes]
    breaks: ClassVar[int]

    def do_GET(self) -> None:
        cls = type(self)
        self.send_response(200)
        self.send_header("Content-Length", str(len(cls.content)))
        self.end_headers()
        if cls.breaks:
            cls.breaks -= 1
            self.wfile.write(cls.content[: len(cls.content) // 2])
        else:
            self.wfile.write(cls.content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def served(small: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Server]]:
    """A server on this machine for the file of three cells, and the manifest that names it."""
    pytest.importorskip("pooch", reason="the extra that downloads is not installed")
    _Server.content, _Server.breaks = small.read_bytes(), 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    file = OfficialFile(
        name="nasbench_full.tfrecord",
        url=f"http://127.0.0.1:{server.server_address[1]}/nasbench_full.tfrecord",
        content="three cells",
        sha256=hashlib.sha256(_Server.content).hexdigest(),
        fetch=True,
    )
    monkeypatch.setattr(imported, "manifest", lambda: {"nb101": (file,)})
    yield _Server
    server.shutdown()
    server.server_close()


def test_fetch_downloads_checks_and_imports(harness: Run, data_folder: Path, served: type[_Server]) -> None:
    answer = harness("data", "fetch", "nb101")
    assert (answer.status, answer.out) == (0, "nb101: imported\n")
    assert (data_folder / "downloads" / "nasbench_full.tfrecord").read_bytes() == served.content
    assert len(registry.benchmark("nb101")) == 3


def test_a_broken_download_is_not_kept_and_the_next_one_starts_over(
    harness: Run, data_folder: Path, served: type[_Server]
) -> None:
    served.breaks = 1
    answer = harness("data", "fetch", "nb101")
    assert answer.status == 2
    assert "run the same command again" in answer.err
    assert not [path for path in data_folder.rglob("*") if path.is_file()]
    assert harness("data", "fetch", "nb101").status == 0
    assert imported.present("nb101")


def test_a_wrong_checksum_is_refused_and_not_kept(harness: Run, data_folder: Path, served: type[_Server]) -> None:
    served.content = served.content[:-1] + b"x"
    answer = harness("data", "fetch", "nb101")
    assert answer.status == 2
    assert "does not have the checksum of the manifest" in answer.err
    assert not [path for path in data_folder.rglob("*") if path.is_file()]
