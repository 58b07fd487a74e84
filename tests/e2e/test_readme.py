"""What the README tells a newcomer to type must exist."""

import importlib.util
import re
from pathlib import Path

from l4tools.cli import VERBS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```\w*\n(.*?)```", README, re.S)


def _lines():
    return [line.strip() for block in BLOCKS for line in block.splitlines()]


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = [line.split()[1] for line in _lines() if line.startswith("make ")]
    assert {"demo", "test"} <= set(targets)
    for target in targets:
        assert re.search(r"^%s:" % target, makefile, re.M), target


def test_every_l4_verb_exists():
    verbs = [line.split()[1] for line in _lines() if line.startswith(".venv/bin/l4 ")]
    assert len(verbs) >= 5
    for verb in verbs:
        assert verb in VERBS, verb
        assert importlib.util.find_spec("l4tools.commands." + verb), verb


def test_every_link_leads_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), "%s -> %s" % (page.name, target)


def test_make_targets_are_short():
    recipe = 0
    for line in (ROOT / "Makefile").read_text().splitlines():
        recipe = recipe + 1 if line.startswith("\t") else 0
        assert recipe <= 3, line
