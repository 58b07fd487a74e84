"""Request and reply by umqtt.simple: `mqtt.py answer PORT SIZE` or `mqtt.py ask PORT SIZE N`.

The shortest code that does it, QoS 0, TCP_NODELAY at both ends; no message is authenticated.
"""

import sys
import time

import bed
from umqtt.simple import MQTTClient

_TCP = 6
_NODELAY = 1


def client(name, port, callback, topic):
    c = MQTTClient(name, "127.0.0.1", port)
    c.set_callback(callback)
    c.connect()
    c.sock.setsockopt(_TCP, _NODELAY, 1)
    c.subscribe(topic)
    return c


def answer(port, size):
    reply = bytes(size)

    def on(topic, msg):
        c.publish(b"rep/" + topic[4:], reply)

    c = client("answers", port, on, b"req/+")
    bed.say({"ready": True})
    while True:
        c.wait_msg()


def ask(port, size, n):
    question = bytes(size)
    came = [0]

    def on(topic, msg):
        came[0] = time.ticks_us()

    c = client("asks", port, on, b"rep/a")
    times = []
    for i in range(n + 100):
        came[0] = 0
        t = time.ticks_us()
        c.publish(b"req/a", question)
        while not came[0]:
            c.wait_msg()
        if i >= 100:
            times.append(time.ticks_diff(came[0], t))
    bed.say(bed.percentiles(times))


if sys.argv[1] == "answer":
    answer(int(sys.argv[2]), int(sys.argv[3]))
else:
    ask(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
