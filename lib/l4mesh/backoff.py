# floor 2: values
# Growing, jittered waits between attempts. RAM: three small ints.
"""Backoff: base, 2 base, 4 base .. to the cap, each +-25 % so that nodes do not march in step."""


class Backoff:
    def __init__(self, base_ms: int, cap_ms: int):
        if not 0 < base_ms <= cap_ms <= 0xFFFFFFF:
            raise ValueError("backoff needs 0 < base_ms <= cap_ms <= 3 days; check the figures.")
        self._base_ms = self._next_ms = base_ms
        self._cap_ms = cap_ms

    def next(self, rng) -> int:
        """ms to wait before the next attempt; at the cap still jittered, so up to 1.25 cap."""
        ms = self._next_ms
        self._next_ms = min(ms * 2, self._cap_ms)
        return ms - (ms >> 2) + rng.getrandbits(30) % ((ms >> 1) + 1)

    def reset(self):
        """It worked: start again from the base."""
        self._next_ms = self._base_ms
