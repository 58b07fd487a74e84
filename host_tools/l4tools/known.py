"""The boards that this installation has given to a network: `$L4_HOME/NAME.boards`, their names.

It lets people say `l4 status porch` or the first digits of an id, where no mesh runs here that
could tell. Not a secret, and not the registry: that is L1's. A JSON line for each word of news,
the last one counts; a line that cannot be read is passed over.
"""

import json

from .network import Network, home

SUFFIX = ".boards"


def remember(network: Network, node: str, name: str) -> None:
    """`node`: 32 hex digits."""
    if node and boards(network.name).get(node) != name:
        _add(network, {"node": node, "name": name})


def forget(network: Network, node: str) -> None:
    if node in boards(network.name):
        _add(network, {"node": node, "gone": True})


def boards(network_name: str) -> dict[str, str]:
    """{node: name}, the newest first: of two boards with one name it is the one that is meant."""
    try:
        lines = (home() / (network_name + SUFFIX)).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    out: dict[str, str] = {}
    for line in lines:
        try:
            row = json.loads(line)
            node, name = str(row["node"]), str(row.get("name", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        out.pop(node, None)
        if not row.get("gone"):
            out = {node: name, **out}
    return out


def everywhere() -> dict[str, str]:
    """Those of all networks."""
    out: dict[str, str] = {}
    for path in sorted(home().glob("*" + SUFFIX)):
        out = {**boards(path.stem), **out}
    return out


def _add(network: Network, row: dict) -> None:
    path = home() / (network.name + SUFFIX)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path, "a") as f:
        f.write(json.dumps(row) + "\n")
