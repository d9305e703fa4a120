"""Files that are whole or absent, their locks, and what is left behind."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import HarnessError, files
from harness.files import inside, locked, reading, sweep, whole


def write(path: Path, text: str = "new") -> None:
    with whole(path) as temporary:
        temporary.write_text(text)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_with_its_folder_and_the_permissions_of_others(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "a.txt")
    (tmp_path / "plain").touch()
    assert (tmp_path / "deep" / "a.txt").read_text() == "new"
    assert (tmp_path / "deep" / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert left(tmp_path / "deep") == ["a.txt"]


@pytest.mark.parametrize("call", ["open", "fsync", "replace", "flock"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_every_call_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    write(tmp_path / "a.txt", "old")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    owner = fcntl if call == "flock" else os
    monkeypatch.setattr(owner, call, fail)
    if call == "replace":
        monkeypatch.setattr(Path, call, fail)
    with pytest.raises(HarnessError, match=r"cannot write .*a\.txt") as caught:
        write(tmp_path / "a.txt")
    monkeypatch.undo()
    assert ("free some space" in caught.value.hint) == (number == errno.ENOSPC)
    assert (tmp_path / "a.txt").read_text() == "old"
    if call != "flock":
        assert left(tmp_path) == ["a.txt"]
    sweep(tmp_path)
    assert left(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("where", ["/dev/null", "folder"])
def test_devices_and_folders_are_not_replaced(tmp_path: Path, where: str) -> None:
    Path("folder").mkdir()
    with pytest.raises(HarnessError, match="a device" if where == "/dev/null" else "a folder"):
        write(Path(where))
    assert not Path(where).is_file()


def test_what_a_killed_process_left_is_swept_and_what_is_written_now_is_not(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\nfrom harness.files import whole\n"
        "with whole(pathlib.Path(sys.argv[1])) as t:\n    t.write_text('half')\n    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "b.txt"], check=False)
    (dead,) = left(tmp_path)
    with whole(tmp_path / "a.txt") as temporary:
        temporary.write_text("alive")
        sweep(tmp_path)
        assert temporary.exists()
        assert dead not in left(tmp_path)
    assert left(tmp_path) == ["a.txt"]


def test_a_lock_is_held_once_and_leaves_nothing(tmp_path: Path) -> None:
    lock = tmp_path / "deep" / "lock"
    with locked(lock) as mine:
        with locked(lock, wait=False) as theirs:
            assert (mine, theirs) == (True, False)
        assert lock.exists()
    assert left(tmp_path / "deep") == []


def test_a_lock_that_is_waited_for_excludes(tmp_path: Path) -> None:
    """Three processes count to 300 in one file; none of their steps is lost."""
    code = (
        "import sys, pathlib\nfrom harness.files import locked\np = pathlib.Path(sys.argv[1])\n"
        "for _ in range(100):\n    with locked(p / 'lock'):\n"
        "        f = p / 'n'; f.write_text(str(int(f.read_text()) + 1))\n"
    )
    (tmp_path / "n").write_text("0")
    started = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert (tmp_path / "n").read_text() == "300"


def test_where_there_are_no_locks_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    with locked(tmp_path / "lock") as held:
        assert held
    write(tmp_path / "a.txt")
    assert left(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("raised", "said", "hint"),
    [
        (FileNotFoundError(2, "x"), "there is no file", "name a thing"),
        (PermissionError(13, "x"), "permission denied", "let yourself"),
        (OSError(errno.EIO, "Input/output error"), "cannot be read: Input/output error", "try again"),
        (KeyError("when"), "broken: it has no 'when'", "remove it"),
        (RecursionError("too deep"), "broken: too deep", "remove it"),
        (ValueError("one\ntwo"), "broken: one", "remove it"),
    ],
)
def test_whatever_a_reader_raises_is_one_sentence(raised: Exception, said: str, hint: str) -> None:
    with pytest.raises(HarnessError, match=said) as caught, reading(Path("f"), "a thing", "remove it."):
        raise raised
    assert hint in caught.value.hint


def test_a_figure_overwrites_no_json_that_is_not_its_own(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    from harness.plots.style import save

    (tmp_path / "package.json").write_text(json.dumps({"name": "mine"}))
    with pytest.raises(HarnessError, match=r"package\.json is no provenance"):
        save(Figure(), tmp_path / "package.png", {"figure": {}, "versions": {}, "studies": []})
    assert left(tmp_path) == ["package.json"]
    for _ in range(2):
        save(Figure(), tmp_path / "fine.png", {"figure": {}, "versions": {}, "studies": []})
    assert left(tmp_path) == ["fine.json", "fine.png", "package.json"]


def test_a_folder_of_other_things_is_not_searched_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.parquet", "a/2.txt", "b/3.txt"):
        write(tmp_path / name)
    monkeypatch.setattr(files, "_OTHERS", 2)
    assert inside(tmp_path, ".parquet") == [tmp_path / "a" / "1.parquet"]
    write(tmp_path / "b" / "4.txt")
    with pytest.raises(HarnessError, match="more than 2 files that are none of") as raised:
        inside(tmp_path, ".parquet")
    assert raised.value.hint == "name the folder in it that has the results."


def test_a_file_that_another_makes_meanwhile_is_no_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, look = tmp_path / "a", Path.stat

    def looked(path: Path, **how: Any) -> os.stat_result:
        try:
            return look(path, **how)
        finally:
            if path == target:
                target.write_text("theirs")

    monkeypatch.setattr(Path, "stat", looked)
    with whole(target) as temporary:
        temporary.write_text("mine")
    assert target.read_text() == "mine"
