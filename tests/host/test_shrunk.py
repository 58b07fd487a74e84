"""What the optimiser made is kept, and made anew when sources or optimiser change."""

from l4tools import paths, shrunk
from l4tools.shrink import project

FILES = {
    "main.py": b"import a\n",
    "lib/a.py": "'doc'\nX = 1\nprint(X)\n",
    "data.bin": b"\xff\0\xfe",
}


def test_the_same_as_the_optimiser_gives_also_the_second_time(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    runs = []
    monkeypatch.setattr(shrunk, "project", lambda *a: runs.append(1) or project(*a))
    source = tmp_path / "b.py"
    source.write_text("def f():\n    return 2\nprint(f())\n")
    files = FILES | {"lib/b.py": source}
    first = shrunk.small(files)
    assert first == project(files) and len(runs) == 1
    assert first["data.bin"] == b"\xff\0\xfe" and b"doc" not in first["lib/a.py"]
    again = shrunk.small(files)
    assert again == first and list(again) == list(first) and len(runs) == 1
    source.write_text("def f():\n    return 3\nprint(f())\n")
    assert b"return 3" in shrunk.small(files)["lib/b.py"] and len(runs) == 2


def test_a_damaged_entry_is_made_anew(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    good = shrunk.small(FILES)
    (kept,) = (tmp_path / "shrunk").glob("*.json")
    kept.write_text("{")
    assert shrunk.small(FILES) == good
    assert [p.name for p in (tmp_path / "shrunk").iterdir()] == [kept.name]


def test_another_python_makes_it_anew(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    runs = []
    monkeypatch.setattr(shrunk, "project", lambda *a: runs.append(1) or project(*a))
    first = shrunk.small(FILES)
    monkeypatch.setattr(shrunk.sys, "version", "3.99")
    assert shrunk.small(FILES) == first and len(runs) == 2
