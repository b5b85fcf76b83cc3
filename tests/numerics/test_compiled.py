"""The machine code that is kept on disk is that of the sources."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from superposition.numerics import compiled

CALLEE = """from .compiled import compiled

@compiled
def inner(x: float) -> float:
    return {} * x
"""
CALLER = """from .compiled import compiled
from .callee import inner

@compiled
def outer(x: float) -> float:
    return inner(x)
"""


def test_change_of_a_callee_reaches_callers_in_other_files(tmp_path: Path) -> None:
    """Else an edit, or an update of the package, goes on computing what the old one did."""
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "compiled.py").write_text(Path(compiled.__file__).read_text(encoding="utf-8"))
    (folder / "caller.py").write_text(CALLER)

    def value(factor: float) -> float:
        (folder / "callee.py").write_text(CALLEE.format(factor))
        result = subprocess.run(
            [sys.executable, "-c", "from toy.caller import outer; print(outer(1.0))"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return float(result.stdout)

    assert value(2.0) == 2.0
    assert list(folder.glob("__pycache__/*.nbc"))  # machine code was kept
    assert value(3.5) == 3.5
