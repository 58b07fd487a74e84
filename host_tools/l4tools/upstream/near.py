"""Who joined here from behind the same address: for nodes that multicast does not bring together.

    near.joined(short id, endpoint on its own network, endpoint as seen)
    near.others(short id) -> ["ip:port", ..], the latest first, 16 at most

Kept of the last 4,096 that joined at this tier, in memory. A node is told of those only that have
its own public address, or a neighbouring one on a network without NAT, and the same /24.
"""

from collections import OrderedDict

from l4mesh.endpoint import format_endpoint, same_lan, usable

_MOST = 4096
_TOLD = 16


class Near:
    def __init__(self):
        self._all: OrderedDict[bytes, tuple[bytes, bytes]] = OrderedDict()

    def joined(self, sid: bytes, lan: bytes, seen: bytes) -> None:
        self._all.pop(sid, None)
        if seen[0] and usable(lan, True):
            self._all[sid] = lan, seen
            if len(self._all) > _MOST:
                self._all.popitem(last=False)

    def others(self, sid: bytes) -> list[str]:
        mine = self._all.get(sid)
        if mine is None:
            return []
        out = []
        for other, (lan, seen) in reversed(self._all.items()):
            here = seen[:4] == mine[1][:4] or (lan[:4] == seen[:4] and mine[0][:4] == mine[1][:4])
            if other != sid and here and same_lan(lan, mine[0]):
                out.append(format_endpoint(lan))
                if len(out) == _TOLD:
                    break
        return out
