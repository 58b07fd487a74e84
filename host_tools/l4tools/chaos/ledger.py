"""What boards read and took, kept outside their processes; and the judgement of a stream by it.

The sensor of a board is a counter here: each time it is asked it gives the next value, and no
value is given to two boards. The LED says which were taken. So a reading that is lost or stored
twice is known by its value, whatever number, queue or name of a node it came under.
"""

import threading
from collections import Counter
from dataclasses import dataclass, field

PIN = 36  # where the counter is wired to, as a voltage in uV
PER_BOARD = 1_000_000
QUIET = -1  # "nothing to say": the readings end


class _Pulses(Counter):
    """The world's count of pulses; `on_led()` with each of the LED."""

    def __init__(self, led, on_led):
        super().__init__()
        self._led, self._on_led = led, on_led

    def __setitem__(self, pin, n):
        super().__setitem__(pin, n)
        if pin == self._led:
            self._on_led()


class _Board:
    def __init__(self, first):
        self.first = self.next = first
        self.open = 0  # read, and nothing more is known yet
        self.taken: set[int] = set()
        self.unsure: set[int] = set()  # read last before the board went down
        self.refused: set[int] = set()  # read, not taken, and the board read on

    def read(self):
        if self.open:
            self.refused.add(self.open)
        self.open = self.next
        self.next += 1
        return self.open

    def led(self):
        if self.open:
            self.taken.add(self.open)
        self.open = 0

    def down(self):
        """It may be in the queue all the same: taken, but for the LED."""
        if self.open:
            self.unsure.add(self.open)
        self.open = 0


@dataclass
class Verdict:
    """`extra`: stored, though no LED was seen: the board went down between the two."""

    read: int
    taken: int
    stored: int
    lost: list[int]
    doubled: list[int]
    extra: int
    wrong: list[int] = field(default_factory=list)  # stored, and never read or refused

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)


class Ledger:
    """`add` wires a board's world to it; `down` must hear whenever that board goes down."""

    def __init__(self):
        self._boards: dict[str, _Board] = {}
        self._lock = threading.Lock()
        self._quiet = False

    def add(self, name: str, world) -> None:
        board = _Board(PER_BOARD * (len(self._boards) + 1))
        self._boards[name] = board

        def read(_seconds):
            with self._lock:
                return QUIET if self._quiet else board.read()

        def led():
            with self._lock:
                board.led()

        world.adc[PIN] = read
        world.pulses = _Pulses(world.led, led)

    def down(self, name: str) -> None:
        with self._lock:
            self._boards[name].down()

    def quiet(self, on: bool = True) -> None:
        """No more readings, or again some."""
        self._quiet = on

    def taken(self, name: str | None = None) -> set[int]:
        with self._lock:
            boards = self._boards.values() if name is None else [self._boards[name]]
            return set().union(*(b.taken for b in boards))

    def judge(self, stored: Counter) -> Verdict:
        """`stored`: how often each value is in the stream."""
        with self._lock:
            boards = list(self._boards.values())
            taken = set().union(*(b.taken for b in boards))
            unsure = set().union(*(b.unsure for b in boards)) - taken
            # One that nothing more is known of yet can still be either.
            unsure |= {b.open for b in boards if b.open}
            read = sum(b.next - b.first for b in boards)
        return Verdict(
            read=read,
            taken=len(taken),
            stored=len(stored),
            lost=sorted(taken - set(stored)),
            doubled=sorted(v for v, n in stored.items() if n > 1),
            extra=len(unsure & set(stored)),
            wrong=sorted(set(stored) - taken - unsure),
        )
