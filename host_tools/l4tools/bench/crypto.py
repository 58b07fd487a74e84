"""Signatures and tags on the unix port."""

from l4tools.bench.device import Device
from l4tools.bench.load import one_cpu
from l4tools.bench.rows import Report

ROWS = [
    ("Ed25519 sign", "sign", 1000),
    ("Ed25519 verify", "verify", 1000),
    ("Ed25519 longest slice", "slice", 1000),
    ("SHA-512 of one block", "sha512", 1),
    ("HMAC tag of a QUERY", "ask", 1),
    ("HMAC tag of an ANSWER", "answer", 1),
]


def measure(report: Report, quick: bool) -> None:
    with Device("crypto.py", 3 if quick else 40, cpu=one_cpu()) as device:
        got = device.read(60)
    for name, key, unit in ROWS:
        report.put(name, got[key] / unit)
