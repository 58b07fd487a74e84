"""Three traces in the shape of real ones, made with a seed (docs/bench.md describes them).

room    temperature of a heated room, a week: day and night, a thermostat's saw-tooth, windows
        opened now and then, a sensor's noise of 0.03 K; band 0.2 K
door    a contact, 0 or 1, a week: some forty openings a day, most in the morning and evening
power   a household's power draw, two days: a base load with noise, a fridge that cycles, a kettle,
        a washing machine; band 20 W
"""

import math
import random

NAMES = ("room", "door", "power")
_DAY = 86400


def trace(name: str, seed: int = 1) -> tuple[list[float], float, int]:
    """(values, band, seconds between them)."""
    rng = random.Random("%s %d" % (name, seed))
    return {"room": _room, "door": _door, "power": _power}[name](rng)


def _room(rng):
    every, values, temp, heating, open_until = 10, [], 20.5, False, -1
    for i in range(7 * _DAY // every):
        t = i * every
        day = 0.5 - 0.5 * math.cos(2 * math.pi * (t % _DAY) / _DAY)
        outside = 4 + 6 * day
        goal = 21.0 if 6 <= t % _DAY / 3600 < 22 else 18.0
        if temp < goal - 0.3:
            heating = True
        elif temp > goal + 0.3:
            heating = False
        if t > open_until and rng.random() < every / (8 * 3600):
            open_until = t + rng.randrange(300, 1500)
        loss = 1 / 2500 if t < open_until else 1 / 40000
        temp += every * ((outside - temp) * loss + (1.6e-3 if heating else 0))
        values.append(temp + rng.gauss(0, 0.03))
    return values, 0.2, every


def _door(rng):
    every, values, is_open, until = 10, [], 0, 0
    for i in range(7 * _DAY // every):
        t = i * every
        hour = t % _DAY / 3600
        often = 8 if 7 <= hour < 9 or 17 <= hour < 20 else 2 if 9 <= hour < 23 else 0.1
        if is_open and t >= until:
            is_open = 0
        elif not is_open and rng.random() < often * every / 3600:
            is_open, until = 1, t + rng.choice((10, 20, 20, 30, 60, 300))
        values.append(float(is_open))
    return values, 0.5, every


def _power(rng):
    every, values = 5, []
    kettle = wash = 0
    for i in range(2 * _DAY // every):
        t = i * every
        hour = t % _DAY / 3600
        watts = 85 + rng.gauss(0, 2.5)
        if t % 2700 < 900:  # the fridge
            watts += 75 + 15 * math.exp(-(t % 2700) / 60)
        if t >= kettle and 6 <= hour < 22 and rng.random() < every / (4 * 3600):
            kettle = t + rng.randrange(90, 240)
        if t < kettle:
            watts += 2000 + rng.gauss(0, 8)
        if t >= wash and 8 <= hour < 20 and rng.random() < every / (24 * 3600):
            wash = t + 5400
        if t < wash:
            watts += 2050 if (wash - t) > 4500 else 250 + 60 * math.sin(t / 8)
        values.append(watts)
    return values, 20.0, every
