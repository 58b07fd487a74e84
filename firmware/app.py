# floor 10: firmware
# YOUR FILE: what this board measures. RAM: what your drivers take.
"""Name your sensors here. The mesh, the queue and the upload are taken care of.

    Sensor(name, unit, every_s, read, kind=None, band=None, total=False)

`read` is called every `every_s` seconds and returns a number, a short text, or None for "nothing
now"; it may be a coroutine (async def). If it raises, only this sensor is tried again later; the
console and `l4 why NODE` say what it raised. Keep it under 50 ms. Readings are kept on flash until
the upstream has stored them. Drivers, wiring, all arguments, and what else can be in this file:
docs/sensors.md.
"""

from l4drivers.dht22 import DHT22
from sensors import Sensor


def sensors(board):
    """The sensors of this board. `board.machine` is MicroPython's machine module."""
    air = DHT22(4)  # a DHT22 (AM2302) with its data line at pin 4
    every = board.interval_s
    return [
        Sensor("temperature", "°C", every, air.temperature, "temperature"),
        Sensor("humidity", "%", every, air.humidity, "humidity"),
        Sensor("battery", "%", 60, board.battery, "battery"),  # None on mains: not sent
    ]
