"""What every pytest run needs: the import paths of the project, and Skip understood as a skip."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
for _name in ("host_tools", "tests/host", "tests/sim", "tests", "firmware", "lib"):
    sys.path.insert(0, str(ROOT / _name))

from skip import Skip  # noqa: E402  (needs the path above)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """A unit file knows no pytest, so it raises Skip; here that becomes pytest's own skip."""
    try:
        return (yield)
    except Skip as e:
        pytest.skip(str(e))
