"""What the signatures and tags cost: `crypto.py N` prints times, each the lowest of N tries."""

import sys
import time

import bed
from l4mesh import ed25519
from l4mesh.mac import Mac
from l4mesh.sha512 import sha512


def lowest(f, n, times=1):
    best = 1 << 29
    for _ in range(n):
        t = time.ticks_us()
        for _ in range(times):
            f()
        best = min(best, time.ticks_diff(time.ticks_us(), t))
    return best / times


def slices(make):
    """(all of it, the longest step) in us."""
    job = make()
    whole = longest = 0
    got = None
    while got is None:
        t = time.ticks_us()
        got = job.step()
        d = time.ticks_diff(time.ticks_us(), t)
        whole += d
        longest = max(longest, d)
    return whole, longest, got


def best_slices(make, n):
    whole = longest = 1 << 29
    for _ in range(n):
        w, s, got = slices(make)
        whole = min(whole, w)
        longest = min(longest, s)
    return whole, longest, got


def main(n):
    seed = bytes(range(32))
    public = ed25519.public_key(seed)
    msg = bytes(85)  # as long as what a record's signature covers
    sign, longest_s, sig = best_slices(lambda: ed25519.Sign(seed, public, msg), n)
    verify, longest_v, good = best_slices(lambda: ed25519.Verify(public, msg, sig), n)
    if good is not True:
        raise ValueError("a signature of its own was refused")
    mac = Mac(seed)
    asks = memoryview(bytes(50))
    answers = memoryview(bytes(178))
    bed.say(
        {
            "sign": sign,
            "verify": verify,
            "slice": max(longest_s, longest_v),
            "sha512": lowest(lambda: sha512(msg), n),
            "ask": lowest(lambda: mac.tag(asks), n, 100),
            "answer": lowest(lambda: mac.tag(answers), n, 100),
        }
    )


main(int(sys.argv[1]))
