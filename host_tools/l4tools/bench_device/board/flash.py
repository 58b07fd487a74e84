# The file system and the key store: do they keep what they are given, and how fast.
# ruff: noqa: F821 (names of _common.py, which comes before)
import os

d = {"ok": {}, "ms": {}}
NAME = "/l4bench.tmp"
N = 20  # also when the rest is quick: figures of other sizes would not compare
block = bytes(range(256)) * 2
try:
    t = time.ticks_us()
    with open(NAME, "wb") as f:
        for _ in range(N):
            f.write(block)
        f.flush()
    whole = time.ticks_diff(time.ticks_us(), t) / 1000
    d["ms"]["flash write of 1 KiB"] = whole / N * 2
    t = time.ticks_us()
    same = True
    with open(NAME, "rb") as f:
        for _ in range(N):
            same = f.read(len(block)) == block and same
    d["ms"]["flash read of 1 KiB"] = time.ticks_diff(time.ticks_us(), t) / 1000 / N * 2
    took = []
    with open(NAME, "ab") as f:
        for _ in range(N):
            t = time.ticks_us()
            f.write(block[:64])
            f.flush()
            took.append(time.ticks_diff(time.ticks_us(), t) / 1000)
    took.sort()
    d["ms"]["append and flush, p50"] = took[N // 2]
    d["ms"]["append and flush, longest"] = took[-1]
    os.rename(NAME, NAME + "2")
    size = os.stat(NAME + "2")[6]
    os.remove(NAME + "2")
    gone = "l4bench.tmp2" not in os.listdir("/") and "l4bench.tmp" not in os.listdir("/")
    d["ok"]["file system works"] = same and gone and size == N * (len(block) + 64)
except OSError as e:
    d["ok"]["file system works"] = False
    d["why"] = repr(e)
    for n in (NAME, NAME + "2"):
        try:
            os.remove(n)
        except OSError:
            pass
try:
    import esp32

    v = esp32.NVS("l4bench")
    b = bytearray(8)
    t = time.ticks_us()
    v.set_blob("t", b"12345678")
    v.commit()
    d["ms"]["NVS write"] = time.ticks_diff(time.ticks_us(), t) / 1000
    kept = v.get_blob("t", b) == 8 and b == b"12345678"
    v.erase_key("t")
    v.commit()
    d["ok"]["NVS works"] = kept
except OSError as e:
    d["ok"]["NVS works"] = False
    d["why"] = repr(e)
except ImportError as e:
    d["no nvs"] = repr(e)
print(repr(d))
