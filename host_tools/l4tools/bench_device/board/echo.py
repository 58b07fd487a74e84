# Sends every datagram back until one says END, or nobody asks for 5 s.
# ruff: noqa: F821 (names of _common.py, which comes before)
import select
import socket

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", PORT))
p = select.poll()
p.register(s, select.POLLIN)
print("READY")
n = 0
while p.poll(5000):
    b, a = s.recvfrom(256)
    if b[:3] == b"END":
        break
    s.sendto(b, a)
    n += 1
s.close()
print(repr(n))
