# floor 5: machines
# Commands by MQTT: a few verbs in JSON, each with an answer. RAM: 1.5 kB, when configured.
"""Commands(up, verbs), polled by the loop; come(data, retained) takes what came on the topic.

    l4/<id>/cmd       {"do": "identify", "id": 7, "s": 30}      at most 256 bytes
    l4/<id>/cmd/ack   {"id": 7, "ok": true, "why": ""}          the same id, whatever it was

`verbs`: {name: f(given) -> text for `why`, mostly ""}; `given` is the object that came. Its
ValueError says why it was not done: `ok` is false then. A sixth command within a few seconds is
refused, more of them are dropped. What the broker kept (retained) is no command of now: it would
be carried out at every connect.
"""

import json

from . import ticks
from .compat import const

_LONGEST = const(256)
_WAITING = const(4)
_BURST = const(5)
_EACH_MS = const(1000)


class Commands:
    def __init__(self, up, verbs):
        self._up = up
        self._verbs = verbs
        self._in = []
        self._acks = []
        self._tokens = _BURST
        self._filled = None
        self.done = self.dropped = 0

    @property
    def busy(self):
        return bool(self._in or self._acks)

    def come(self, data, retained):
        if retained or len(self._in) >= _WAITING:
            self.dropped += 1
        else:
            self._in.append(data)

    def poll(self, now):
        if self._filled is None:
            self._filled = now
        while self._tokens < _BURST and ticks.diff(now, self._filled) >= _EACH_MS:
            self._tokens += 1
            self._filled = ticks.add(self._filled, _EACH_MS)
        if self._tokens == _BURST:
            self._filled = now
        if self._acks:
            if self._up.say(self._up.base + b"/cmd/ack", self._acks[0]) or not self._up.up:
                self._acks.pop(0)  # who asked over a connection that is gone, asks again
        elif self._in:
            self._acks.append(self._answer(self._in.pop(0)))
        return 50 if self._acks or self._in else 200

    def _answer(self, data):
        oid = why = None
        ok = False
        try:
            given = json.loads(data.decode()) if len(data) <= _LONGEST else None
            if isinstance(given, dict):
                oid = given.get("id")
                why = self._do(given)
                ok = True
                self.done += 1
            else:
                why = 'this is no JSON object with a "do"'
        except ValueError as e:  # also of bytes that are no text, or no JSON
            why = str(e) or "this is no JSON"
        except Exception as e:
            why = "it failed: %r" % e
        return json.dumps({"id": oid, "ok": ok, "why": why}).encode()

    def _do(self, given):
        name = given.get("do")
        f = self._verbs.get(name) if isinstance(name, str) else None
        if f is None:
            raise ValueError("no such command; there are " + ", ".join(sorted(self._verbs)))
        if not self._tokens:
            raise ValueError("too many commands, wait a second")
        self._tokens -= 1
        return f(given)
