# floor 9: firmware
# Judges an update after its first minute, and says what became of one. RAM: 2 kB until then.
"""begin(s)   loaded by start.py where there is an /ota: says if an update was taken back, and
           gives the supervisor a Judge when one is on trial
Judge      good(now, lived) -> True: it stays. It has to live `good_s` seconds; to be heard by a
           tier or a neighbour if the version before was; to have a working app.py if that one
           had. With three times `good_s` over, the files before are back and the board restarts.
"""

import machine
import ota_boot
import safe_mode
from l4mesh import ota_manifest as manifest
from l4mesh.peers import P_LAN, P_SIGNED
from l4mesh.wire import u30
from l4mesh_io import recorder
from l4mesh_io.unload import unload
from ota_boot import O_ACTIVE, O_COUNTER, O_FLAGS, O_PENDING, O_SEEN, O_WHY

WHY = (
    "",
    "it did not live through its first minute, 3 times",
    "nobody heard it, though the version before was heard",
    "its app.py failed, though the one before worked",
)
_W_ALONE = 2
_W_APP = 3
_HEARD = 1  # flags of the state: the version before was heard by somebody
_APP = 2  # and its app.py worked


def flags(s):
    """What the judge of the next version has to know of this one."""
    return (_HEARD if heard(s.node) else 0) | (_APP if s.app is not None else 0)


def heard(node):
    """Did anybody take a frame of ours since this boot: a tier that registered us, or a neighbour
    that gave its record because we asked?"""
    if node.member.joined:
        return True
    p = node.peers
    both = P_LAN | P_SIGNED
    for i in range(p.slots):
        if p.flags(i) & both == both:
            return True
    return False


def begin(s):
    state = ota_boot.load()
    if state is None:
        return
    slot = _runs()
    info = {"slot": ("", "a", "b")[slot], "seen": u30(state, O_SEEN), "state": "factory"}
    m = _manifest(slot)
    if m:
        info["counter"] = manifest.counter(m)
        info["version"] = manifest.text(m, 1)
        info["state"] = "good"
    if m and slot == state[O_PENDING]:
        info["state"] = "trial"
        info["tries"] = state[ota_boot.O_TRIES]
        s.judge = Judge(s, state, info)
        _say("update %d is on trial" % info["counter"])
    elif state[O_WHY]:
        info["failed"] = u30(state, O_COUNTER)
        info["why"] = WHY[state[O_WHY]] if state[O_WHY] < len(WHY) else "why is not known"
        _say("update %d was taken back: %s" % (info["failed"], info["why"]))
    s.node.notes["ota"] = lambda: info
    if s.judge is None:
        forget()


def _say(text):
    print("L4 " + text)
    recorder.add(recorder.E_LINE, text)


def _manifest(slot):
    try:
        with open(ota_boot.folder(slot) + "/manifest", "rb") as f:
            return f.read() if slot else b""
    except OSError:
        return b""


def _runs():
    """The slot that this boot's code comes from."""
    import sys

    at = sys.path[0]
    return 1 if at == "/ota/a/lib" else 2 if at == "/ota/b/lib" else 0


def forget():
    unload("ota_judge", "ota_boot", "l4mesh.ota_manifest")


class Judge:
    def __init__(self, s, state, info):
        self._s = s
        self._state = state
        self._info = info

    def good(self, now, lived):
        """Called when `lived` ms, at least `good_s`, are over."""
        s = self._s
        state = self._state
        was = state[O_FLAGS]
        if was & _APP and s.app is None and not s.safe:
            return self._back(_W_APP, now)
        if was & _HEARD and not heard(s.node):
            if lived >= 3000 * s.cfg.good_s:
                return self._back(_W_ALONE, now)
            return False
        before = state[O_ACTIVE]
        state[O_ACTIVE] = state[O_PENDING]
        state[O_PENDING] = 0
        if not ota_boot.save(state):
            state[O_PENDING] = state[O_ACTIVE]
            state[O_ACTIVE] = before
            return False  # asked again in a second
        self._info["state"] = "good"
        self._info.pop("tries", None)
        s.judge = None
        _say("update %d is good" % self._info["counter"])
        forget()
        return True

    def _back(self, why, now):
        ota_boot.back(self._state, why)
        _say("update %d is taken back: %s" % (self._info["counter"], WHY[why]))
        self._s.node.stop(now, 1)
        recorder.add(recorder.E_PLANNED, "update taken back")
        recorder.flush()
        safe_mode.planned_reset()
        machine.reset()
        return False
