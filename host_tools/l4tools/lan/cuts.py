"""What is cut off from what: tiers, the uplink of a LAN, single addresses, or links between them.

`l1` `l2` `l3` = that tier from everybody; `upstream` = all tiers from everybody; `lan:2` = LAN 2
from the rest (inside, life goes on); `10.77.1.11` = one address from everybody; `A-B` = the link
between two of these, for example `l3-l2`.
"""

from collections.abc import Callable

from l4tools.errors import NotFound, ToolError
from l4tools.lan import addr as A


def _member(what: str) -> Callable[[bytes], bool]:
    if what in ("l1", "l2", "l3"):
        ip = A.pack_ip("10.77.0." + what[1])
        return lambda a: a[:4] == ip
    if what == "upstream":
        return lambda a: a[2] == 0 and 1 <= a[3] <= 3
    if what.startswith("lan:") and what[4:].isdigit() and 1 <= int(what[4:]) <= 255:
        lan = int(what[4:])
        return lambda a: a[2] == lan
    try:
        addr = A.pack(what) if ":" in what else A.pack_ip(what)
    except ToolError:
        raise NotFound(
            "%r cannot be cut. Name l1, l2, l3, upstream, lan:1, an address, or a link A-B." % what
        )
    return lambda a: a[: len(addr)] == addr


class Cuts:
    def __init__(self):
        self._tests: dict[str, tuple] = {}

    def __len__(self):
        return len(self._tests)

    def add(self, what: str) -> None:
        what = what.lower()
        self._tests[what] = tuple(_member(part) for part in what.split("-", 1))

    def remove(self, what: str | None = None) -> None:
        if what is None:
            self._tests.clear()
        else:
            self._tests.pop(what.lower(), None)

    def between(self, a: bytes, b: bytes) -> bool:
        """True when nothing passes between the addresses."""
        if a[:4] == b[:4]:
            return False
        for test in self._tests.values():
            if len(test) == 1:
                if test[0](a) or test[0](b):
                    if not (test[0](a) and test[0](b)):
                        return True
            elif (test[0](a) and test[1](b)) or (test[0](b) and test[1](a)):
                return True
        return False
