"""The own time of a record exchange, both sides: `meetings.py N`; what meetings keep in memory.

Prints microseconds of each exchange (nonces, tags, forms, tables; the record was checked before,
as at every meeting but the first), and bytes retained: of the code with nobody met, of a link.
"""

import gc
import json
import sys
import time

from kit import bare_node, settle
from l4mesh.near_say import Voice
from l4mesh.nearby import Nearby


def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


def main():
    n = int(sys.argv[1])
    a, b = bare_node(1, now=1000, linked=True), bare_node(2, now=1000, linked=True)
    near = Nearby(a, Voice(a, 0xFFFF))
    before = used()
    from l4mesh.faces import Faces

    faces = Faces(a, near)
    code = used() - before
    from l4mesh.meeting import MET, Meeting
    from l4mesh.met import met

    def meet():
        m, w = Meeting(b, True, 1000), Meeting(a, False, 1000)
        for _ in range(3):
            m.did(1000)
        m.read(w.value(), 1000)
        w.heard(m.out, 1000)
        m.did(1000)
        m.heard(w.out, 1000)
        assert m.state == w.state == MET
        met(b, m, 1000)
        met(a, w, 1000)

    meet()
    settle(a, 1000)
    settle(b, 1000)
    gc.collect()
    took = []
    for _ in range(n):
        t = time.ticks_us()
        meet()
        took.append(time.ticks_diff(time.ticks_us(), t))
        gc.collect()
    before = used()
    face = faces.come(b"\xc0other", 1000)
    m = Meeting(b, True, 1000)
    for _ in range(3):
        m.did(1000)
    m.read(face.m.value(), 1000)
    data = m.out
    m = None
    faces.take(face, data, 1000)
    data = face.next()
    data = None
    assert face.addr is not None
    link = used() - before
    print(json.dumps({"us": took, "code": code, "link": link}))


main()
