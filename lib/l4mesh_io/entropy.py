# floor 8: effects
# Secret randomness from the platform, and the seed of a node's identity. RAM: none.
"""What an attacker must not guess.

entropy(n)        n random bytes
good()            is it truly random now? On ESP32 the generator is only pseudo-random while every
                  radio is off (ESP-IDF, "Random Number Generation")
make_seed(uid)    32 bytes for an Ed25519 identity: SHA-256 of random bytes drawn before and after
                  the chip's id (a mere separator: it is public). ValueError when the generator
                  is not to be trusted: better no identity than a guessable one.
"""

import hashlib
import os
import sys

entropy = os.urandom


def good(platform=sys.platform):
    """True when the generator is truly random: a radio is on, or this is not an ESP32."""
    if platform != "esp32":
        return True
    try:
        import network

        if network.WLAN(network.STA_IF).active() or network.WLAN(network.AP_IF).active():
            return True
    except Exception:
        pass  # a build without WiFi
    try:
        import bluetooth

        return bluetooth.BLE().active()
    except Exception:
        return False


def make_seed(uid, rand=entropy, trusted=good):
    """32 secret bytes; call it with a radio on. ValueError says what is wrong."""
    if not trusted():
        raise ValueError("No radio is on, so chance can be guessed. Switch WiFi on first.")
    a, b = rand(32), rand(32)
    for x in (a, b):
        # A constant or counting stub has few different steps from byte to byte; of 31 real
        # ones fewer than 12 are different less often than once in 10**20 draws.
        if len(x) < 32 or len({(x[i] - x[i - 1]) & 255 for i in range(1, 32)}) < 12 or a == b:
            raise ValueError("os.urandom is a stub. Flash an official MicroPython.")
    return hashlib.sha256(b"l4-seed-v1" + a + uid + b).digest()
