"""What a file is, told by its first bytes, and the error for one that is not what it should be."""

import struct
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.benchmarks import Progress
from harness.errors import HarnessError, reason

__all__ = ["FormatError", "Progress", "describe", "extra", "require_file"]

_TORCH_LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")
_SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PK\x03\x04", "a ZIP archive, the form of a torch.save file"),
    (_TORCH_LEGACY, "a torch.save file of the form before PyTorch 1.6"),
    (b"BZh", "a bzip2 file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"PAR1", "a Parquet file"),
    (b"\x80", "a pickle"),
    (b"<", "an HTML or XML page, perhaps a failed download"),
)


class FormatError(HarnessError):
    """A file is not what it should be; the message is a full sentence that names the file."""


def extra(module: str, package: str, group: str = "import", *, need: str = "reading this file") -> Any:
    """Import a package that only this `need` has; HarnessError names the extra that brings it."""
    try:
        return import_module(module)
    except Exception as error:
        absent = (
            isinstance(error, ModuleNotFoundError) and str(error.name).split(".")[0] == module.split(".", maxsplit=1)[0]
        )
        raise HarnessError(
            f"{need} needs the package {package}, which "
            + ("is not installed." if absent else f"cannot be imported: {reason(error)}."),
            f"install {'it' if absent else 'one that fits the others'}: pip install 'nas-harness[{group}]'",
        ) from error


def describe(path: Path) -> str:
    """Say in a few words what the file or folder at `path` is, judged by content."""
    if path.is_dir():
        return "a folder"
    if not path.exists():
        return "missing"
    with path.open("rb") as file:
        head = file.read(32)
    if not head:
        return "empty"
    for signature, description in _SIGNATURES:
        if head.startswith(signature):
            return description
    if len(head) >= 12 and struct.unpack_from("<Q", head)[0] < path.stat().st_size:
        length, first = struct.unpack_from("<Q", head)[0], head[12:13]
        if 16 + length <= path.stat().st_size and first == b"[":
            return "a TFRecord file of JSON arrays, the form of NAS-Bench-101"
    return "of a form that no reader here knows"


def require_file(path: Path, wanted: str, hint: str) -> int:
    """Return the size in bytes of a regular, non-empty file; say what was `wanted` otherwise."""
    if not path.is_file() or not path.stat().st_size:
        raise FormatError(f"{path} is {describe(path)}, not {wanted}; {hint}.")
    return path.stat().st_size
