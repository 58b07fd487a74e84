# floor 5: machines
# Neighbours by Bluetooth, for people. RAM: loaded when somebody asks.
"""document(near, node, now)   info topic 7: who is heard, by which path, and what was thrown away
rows(near, node, now)       those that only Bluetooth knows, as rows of info topic 3
"""

from .endpoint import format_endpoint, id_text
from .near_table import N_MET, N_NAMED, O_ENDPOINT, O_HEARD, O_MODE, O_RSSI, SLOW, UPLINK
from .peers import P_LAN, P_REMOTE, P_TIER
from .wire import MODE_NAMES

# Of a Nearby's counts, by code.
_COUNTS = ("taken", "not_ours", "malformed", "version", "network", "limited", "forged", "replay",
           "echo", "full")  # fmt: skip


def _name(t, i):
    return id_text(t.part(i, 0, 8)) if t.flags(i) & N_NAMED else ""


def document(near, node, now: int):
    """ "nearby": short id ("": not known yet), path and s since heard by the newest path, dBm,
    mode, endpoint, reaches an upstream, proved over GATT that it is there."""
    t = near.table
    out = []
    for i in range(t.slots):
        f = t.flags(i)
        if f:
            path, ms = "ble", t.age(i, O_HEARD, now)
            if f & N_NAMED:
                path, ms = near.presence(t.part(i, 0, 8), now)
            mode = t.get(i, O_MODE)
            out.append(
                [
                    _name(t, i), path, ms // 1000, -t.get(i, O_RSSI), MODE_NAMES[mode & 3],
                    format_endpoint(t.part(i, O_ENDPOINT, 6)), 1 if mode & UPLINK else 0,
                    1 if f & N_MET else 0,
                ]
            )  # fmt: skip
    counts = {}
    for k in range(len(_COUNTS)):
        counts[_COUNTS[k]] = near.counts[k]
    return {"nearby": out, "counts": counts, "said": near.voice.said}


def rows(near, node, now: int):
    t = near.table
    p = node.peers
    out = []
    for i in range(t.slots):
        if t.flags(i) & N_NAMED:
            k = p.find(t.part(i, 0, 8))
            if k < 0 or not p.flags(k) & (P_LAN | P_REMOTE | P_TIER):
                mode = t.get(i, O_MODE)
                ms = t.age(i, O_HEARD, now)
                out.append(
                    [
                        _name(t, i), format_endpoint(t.part(i, O_ENDPOINT, 6)), "ble",
                        MODE_NAMES[mode & 3], 255, ms // 1000, 0, 0, -1, 30,
                        1 if mode & SLOW else 0,
                    ]
                )  # fmt: skip
    return out
