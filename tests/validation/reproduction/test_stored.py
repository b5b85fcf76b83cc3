"""What the gallery shows: every experiment, computed with the settings that the code has now."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from superposition.validation.reproduction import EXPERIMENTS, find_experiment, load_reproduction

DOCS = Path(__file__).parents[3] / "docs"
STORED = DOCS / "data" / "reproduction"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_stored_results_are_those_of_the_present_settings(name: str) -> None:
    data = load_reproduction(STORED, name).data
    made = json.loads(data.attrs["reproduction"])
    settings = asdict(find_experiment(name).settings(made["scale"]))
    assert made["settings"] == json.loads(json.dumps(settings))
    assert (made["seed"], made["scale"] in ("quick", "full")) == (0, True)


def test_the_gallery_shows_every_experiment_once() -> None:
    pages = [DOCS / f"gallery-{source}.md" for source in ("elhage", "roe")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    shown = re.findall(r'^reproduction\("([^"]+)"\)$', text, flags=re.MULTILINE)
    assert sorted(shown) == sorted(EXPERIMENTS)
    anchors = re.findall(r"^\(([^)]+)\)=$", text, flags=re.MULTILINE)
    assert sorted(anchors) == sorted(EXPERIMENTS)
