"""The house: what is installed is what stands on disk, and imports point one way."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("theory", "numerics", "validation")


@pytest.fixture(scope="module")
def setuptools_table() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return dict(table["tool"]["setuptools"])


def run_python(code: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def packages_on_disk() -> set[str]:
    """Every folder with Python files below the package's sources, by its import name."""
    found = set()
    for module in (ROOT / "src" / "superposition").rglob("*.py"):  # which follows no links
        if not any((ROOT / "src" / "superposition" / link) in module.parents for link in FOLDERS):
            found.add(".".join(module.parent.relative_to(ROOT / "src").parts))
    for folder in FOLDERS:
        for module in (ROOT / folder).rglob("*.py"):
            inner = module.parent.relative_to(ROOT).parts
            found.add(".".join(("superposition", *inner)))
    return found


def test_packages_are_the_folders_on_disk(setuptools_table: dict[str, Any]) -> None:
    assert set(setuptools_table["packages"]) == packages_on_disk()


def test_every_folder_is_a_package(setuptools_table: dict[str, Any]) -> None:
    for package, folder in setuptools_table["package-dir"].items():
        assert (ROOT / folder / "__init__.py").is_file(), package


@pytest.mark.parametrize("folder", FOLDERS)
def test_link_for_tools_that_read_files(folder: str) -> None:
    link = ROOT / "src" / "superposition" / folder
    assert link.is_symlink()
    assert link.readlink() == Path("..") / ".." / folder
    assert link.resolve() == ROOT / folder


def test_package_is_typed() -> None:
    assert (ROOT / "src" / "superposition" / "py.typed").is_file()


def test_nothing_but_superposition_is_importable_by_name(tmp_path: Path) -> None:
    code = """
import importlib.util
print([name for name in ("theory", "numerics", "validation", "model", "cli")
       if importlib.util.find_spec(name)], importlib.util.find_spec("superposition") is not None)
"""
    result = run_python(code, tmp_path)
    assert result.stdout.strip() == "[] True", result.stderr


def test_distribution_brings_no_other_top_level_package() -> None:
    # An editable install leaves metadata in the tree too; they list sources, not what is installed.
    installed = [one for one in distributions(name="superposition") if one.read_text("RECORD")]
    assert len(installed) == 1
    tops = {file.parts[0] for file in installed[0].files or [] if file.suffix in {".py", ".typed"}}
    assert {top for top in tops if not top.startswith("__editable__")} <= {"superposition"}


@pytest.mark.parametrize("module", ["superposition", "superposition.theory", "superposition.model"])
def test_theory_needs_neither_torch_nor_numba(module: str, tmp_path: Path) -> None:
    heavy = {"torch", "numba", "matplotlib"}
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    result = run_python(code, tmp_path)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize(
    ("first", "second"),
    [("numerics", "theory"), ("theory", "numerics"), ("numerics", "validation")],
)
def test_importing_one_does_not_import_the_other(first: str, second: str, tmp_path: Path) -> None:
    code = f"""
import sys, superposition.{first}
print([name for name in sys.modules if name.startswith("superposition.{second}")])
"""
    result = run_python(code, tmp_path)
    assert result.stdout.strip() == "[]", result.stderr


def test_import_contracts_hold() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()",
         "--no-cache", "--config", str(ROOT / "pyproject.toml")],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert "4 kept, 0 broken" in result.stdout
