# floor 10: firmware
# YOUR FILE: what this board measures. RAM: what your drivers take.
"""Name your sensors here. The mesh, the queue and the upload are taken care of.

    Sensor(name, unit, every_s, read)

`read` is called every `every_s` seconds and returns a number, a short text, or None for "nothing
now". If it raises, only this sensor is tried again later; `l4 why NODE` says what it raised.
Readings are kept on flash until the upstream has stored them. Keep `read` under 50 ms.
"""

from dht import DHT22
from sensors import Sensor

DHT_PIN = 4  # data pin of a DHT22 (AM2302)


def sensors(board):
    """The sensors of this board. `board.machine` is MicroPython's machine module."""
    dht = DHT22(board.machine.Pin(DHT_PIN))
    fresh = {}

    def temperature():
        fresh.clear()
        dht.measure()  # one measurement (25 ms) serves both
        fresh["humidity"] = dht.humidity()
        return dht.temperature()

    def humidity():
        return fresh.pop("humidity", None)

    every = board.interval_s
    return [
        Sensor("temperature", "°C", every, temperature),
        Sensor("humidity", "%", every, humidity),
        Sensor("battery", "%", 60, board.battery),  # None on mains: not sent
    ]
