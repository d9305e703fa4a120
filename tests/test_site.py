"""The site of documents: every public name has its place in the reference, and the notebooks run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from conftest import ROOT

import harness

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def test_the_reference_has_every_public_name() -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    listed = re.findall(r"^::: harness\.(\w+)$", page, flags=re.MULTILINE)
    assert sorted(listed) == sorted([*harness.__all__, "testing"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="the extra `notebook` is not installed")
    cells = nbformat.read(path, as_version=4).cells
    assert cells
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = sorted(path for name in ("harness", "algorithms", "bench", "tests") for path in (ROOT / name).rglob("*.py"))
OURS = r"(?:harness|algorithms|tests|bench|docs|grids|plots|benchmarks_data)/"


def absent(path: Path, pattern: str) -> list[str]:
    """Names of files and folders of the project in a text that are neither at the root nor beside the page."""
    named = set(re.findall(pattern, path.read_text(encoding="utf-8")))
    return [name for name in named if not any((base / name).exists() for base in (ROOT, path.parent, ROOT / "tests"))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_page_names_are_there(path: Path) -> None:
    assert not absent(path, rf"`({OURS}[\w/.-]*|(?:tests/)?test_\w+\.py)`")


def test_files_that_the_code_names_are_there() -> None:
    found = {str(path.relative_to(ROOT)): absent(path, rf"(?<![\w./-]){OURS}[\w/-]+\.(?:md|py)\b") for path in SOURCES}
    assert not {path: names for path, names in found.items() if names}


def test_the_design_is_a_map_of_all_there_is() -> None:
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    (flat, rooms), package = (
        re.findall(r"    harness/\n((?:      .*\n)+)\n((?:      .*\n)+)", page)[0],
        ROOT / "harness",
    )
    words = [name for line in flat.splitlines() for name in re.split(", ", re.split(r"\s{2,}", line.strip())[0])]
    assert sorted(words) == sorted(path.stem for path in package.glob("*.py") if not path.stem.startswith("__"))
    folders = re.findall(r"^      (\w+)/", rooms, flags=re.MULTILINE)
    assert sorted(folders) == sorted(path.parent.name for path in package.glob("*/__init__.py"))


_SHOWN = {
    "first-comparison": (3, "re has a lower validation regret than rs"),
    "own-algorithm": (1, "over all of time"),
    "own-table": (2, "conv"),
}
"""The figures of each notebook, and what its last output tells."""


@pytest.mark.notebook
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path: Path, tmp_path: Path) -> None:
    for package in ("nbclient", "ipykernel", "ipywidgets", "seaborn"):
        pytest.importorskip(package, reason="the extra `notebook` is not installed")
    import nbclient
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    figures, last = _SHOWN[path.stem]
    assert sum("image/png" in output.get("data", {}) for output in shown) == figures
    assert last in str(shown[-1])
    assert not [output for output in shown if output.get("name") == "stderr"]
    assert path.stem == "own-table" or not [*tmp_path.iterdir()]


def test_hints_name_pages_of_the_site() -> None:
    """Whoever installed the wheel has no folder docs; docstrings are for readers of the source, who do."""
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    titles = set(re.findall(r"^ +- (.+?): [\w/-]+\.(?:md|ipynb)$", config, flags=re.MULTILINE))
    named = set()
    for path in [*(ROOT / "harness").rglob("*.py"), *(ROOT / "algorithms").rglob("*.py")]:
        source = path.read_text(encoding="utf-8")
        if not re.search(r'docs/|\.md|the page \\?"', source):
            continue
        tree = ast.parse(source)
        documented = [n for n in ast.walk(tree) if isinstance(n, ast.Expr)]
        left_out = {id(n.value) for n in documented}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
                text = node.value.replace("--write docs/claims.md", "")
                assert not re.search(r"\bdocs/|\.md\b", text), f"{path}: {text}"
                named |= set(re.findall(r'the page "(.+?)"', text))
    assert len(named) >= 4
    assert named <= titles, named - titles
