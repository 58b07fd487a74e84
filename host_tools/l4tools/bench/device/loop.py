"""How long the loop of a busy node is held up: `loop.py PORT SECONDS`, a broker at that port.

A reading every 20 ms through the queue on littlefs, states and batches through MQTT; each job's
call is timed. Connecting is not counted: it may block, and happens when the node is idle.
"""

import gc
import sys
import time

import bed
from l4mesh.counters import Counters
from l4mesh.prng import XorShift
from l4mesh.queue import Queue, encode_reading
from l4mesh.sync import Sync
from l4mesh_io import clock
from l4mesh_io.mqtt import MqttUplink
from l4mesh_io.store_fs import FileSegments
from readings import entropy, mounted

_OFF = 28
_LONG_US = 50000


def main(port, seconds):
    one = bytearray(128)
    text = b"temperature=21.48 C"
    size = encode_reading(one, 0, text, len(text), bytes(6))
    mounted()
    q = Queue(FileSegments("/flash/queue"), entropy, Counters(), 16)
    q.open()
    up = MqttUplink("127.0.0.1", port, "bench", "bench", "bench")
    buf = bytearray(1200)
    sync = Sync(q, lambda b, n, now: up.publish(b, n + _OFF), Counters(), XorShift(3), bytes(16),
                buf, _OFF)  # fmt: skip
    due = [0]

    def reading(now):
        q.push(one, size)
        up.say(b"l4/bench/state", text)

    def collect(now):
        if now - due[0] >= 1000:
            due[0] = now
            gc.collect()

    jobs = [reading, sync.poll, up.poll, collect]
    turns = over = longest = 0
    end = time.ticks_add(time.ticks_ms(), seconds * 1000)
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        now = clock.now()
        connected = up.up
        turn = time.ticks_us()
        for job in jobs:
            job(now)
        turn = time.ticks_diff(time.ticks_us(), turn)
        if connected:
            turns += 1
            over += turn > _LONG_US
            longest = max(longest, turn)
        time.sleep_ms(20)
    bed.say({"turns": turns, "over": over, "longest_us": longest, "taken": q.readings,
             "sent": up.sent, "drops": up.drops})  # fmt: skip


main(int(sys.argv[1]), int(sys.argv[2]))
