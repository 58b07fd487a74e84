"""The scenes, in order. Each does something to the mesh and waits until the mesh has answered."""

import random
import time

from l4tools.demo import stage
from l4tools.demo.stage import Stage

LOAD_BOARD = "lan1-6"
BATTERY_BOARD = "lan2-6"
CUT_BOARD = "lan2-2"


def join(s: Stage) -> None:
    s.show.scene("12 boards are switched on, get their keys and join")
    s.power_on_all()
    s.until(lambda: s.joined() == len(s.names), 30, "not all boards joined")
    times = sorted(s.watch.boards[n].joined_ms for n in s.names)
    s.show.say("all joined; from the node's start %d to %d ms" % (times[0], times[-1]))
    s.pause(3)


def ladder(s: Stage) -> None:
    s.show.scene("one member looked up: by the authority, the edge, one's own cache, a neighbour")
    x = s.crowd.ids[0].hex()
    s.expect("lan1-1", x, "l1", "the first look-up goes all the way to the authority")
    s.expect(BATTERY_BOARD, x, "l3", "the next LAN finds it at the edge")
    s.expect("lan1-1", x, "own", "asked again: own cache")
    s.pause(1)  # its signature is being checked; until then nobody passes it on
    # A board asks three of its five neighbours; sooner or later one of them has it.
    near = ("lan1-2", "lan1-3", "lan1-4", "lan1-5", "lan1-6")
    s.expect_one(near, x, "lan", "a neighbour has it; no datagram goes upstream")
    s.look("lan1-3", bytes(random.Random(5).randbytes(16)).hex())
    s.show.scene("peer to peer: a board that looked a far board up may ask it later")
    far = s.watch.boards["lan2-1"].id
    y = s.crowd.ids[1].hex()
    s.look("lan2-1", y)
    s.look("lan1-3", far)
    s.pause(1)
    s.expect("lan1-3", y, "p2p", "the far board has it")


def load(s: Stage) -> None:
    s.show.scene("%s holds what its neighbours want: demand raises it to full relay" % LOAD_BOARD)
    wanted = [i.hex() for i in s.crowd.ids[stage.RESERVED : -stage.POPULAR]]
    for k in range(0, len(wanted), 4):
        s.type(LOAD_BOARD, "look " + " ".join(wanted[k : k + 4]))
        s.pause(0.15)
    s.pause(2.5)
    others = [n for n in s.names if n.startswith("lan1") and n != LOAD_BOARD]
    rng = random.Random(7)
    orders = {n: rng.sample(wanted, len(wanted)) for n in others}
    for k in range(len(wanted)):
        for n in others:
            s.type(n, "look " + orders[n][k])
            s.pause(0.04)
    risen = lambda: s.watch.changed(LOAD_BOARD, "standard+relay")
    s.until(risen, 20, "the demand did not raise %s" % LOAD_BOARD)


def battery(s: Stage) -> None:
    s.show.scene("the battery of %s runs down" % BATTERY_BOARD)
    s.boards.rack.board(BATTERY_BOARD).world.set(adc={s.battery_pin: 1_867_000})
    fallen = lambda: s.watch.changed(BATTERY_BOARD, "passive")
    s.until(fallen, 30, "%s did not go passive" % BATTERY_BOARD)


def power_cut(s: Stage) -> None:
    s.show.scene("%s loses its power for three seconds" % CUT_BOARD)
    epoch = s.watch.boards[CUT_BOARD].epoch
    s.boards.power_cut(CUT_BOARD)
    s.pause(3)
    s.boards.power_on(CUT_BOARD)
    back = lambda: (
        s.watch.boards[CUT_BOARD].epoch > epoch and s.watch.boards[CUT_BOARD].joined_ms is not None
    )
    s.until(back, 20, "%s did not come back" % CUT_BOARD)
    s.show.say("%s is back, epoch %d" % (CUT_BOARD, s.watch.boards[CUT_BOARD].epoch))


def edge_dies(s: Stage) -> None:
    s.show.scene("L3 is killed: the next tier answers")
    # The same member as at the start. On LAN 2 only BATTERY_BOARD has it, which is passive now and
    # answers nobody.
    x = s.crowd.ids[0].hex()
    s.tiers[3].kill()
    s.expect("lan2-4", x, "l2", "L3 is silent, so the global tier is asked, which has it")
    s.start_tier(3)
    s.show.say("L3 is back on its own store")


def upstream_cut(s: Stage) -> None:
    s.show.scene("the upstream is cut for eight seconds")
    s.hub.cut("upstream")
    end = time.monotonic() + 8
    rng = random.Random(9)
    while time.monotonic() < end:
        name = rng.choice(s.names)
        s.type(name, "look " + rng.randbytes(16).hex())
        s.pause(0.5)
    s.until(lambda: s.watch.counts()["unavailable"] > 0, 5, "no look-up was told 'unavailable'")
    s.expect("lan1-4", s.watch.boards["lan1-5"].id, ("lan", "own"), "neighbours still answer")
    s.hub.heal("upstream")
    s.until(lambda: all(s.watch.boards[n].upstream for n in s.names), 30, "a board stayed cut off")
    s.show.say("the upstream is back; readings kept meanwhile are sent")


def settle(s: Stage) -> None:
    s.show.scene("sensors stop; every queue is delivered")
    s.stop_sensors()
    s.pause(1)
    for _ in range(40):
        s.ask_stats()
        if all(s.watch.boards[n].stat.get("queue") == 0 for n in s.names):
            break
        s.pause(0.5)
    s.pause(0.5)


ALL = (join, ladder, load, battery, power_cut, edge_dies, upstream_cut, settle)
