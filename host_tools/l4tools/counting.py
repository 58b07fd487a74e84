"""Epoch and counter of an identity that is used for moments: one epoch over many runs.

A board that heard an identity before drops a higher epoch until it has checked the identity's new
signed record, which takes it up to a second of arithmetic and which it asks neighbours for only.
So the next run of a command line goes on in the same epoch with a higher counter: that passes at
once. Counters are put aside before they are used, so a killed process repeats none.
"""

from l4mesh.ticks import MASK
from l4mesh.wire import put30, u30

_ASIDE = 1024
_LOW = 256
_TOP = MASK - 65536
_KEY = "counter"


class Counting:
    """Make it before Identity.load, which counts the epoch up; then `resume` takes that back."""

    def __init__(self, store):
        self._store = store
        self._before = store.load("epoch")
        self._epoch = self._aside = self.first = 0

    def resume(self, ident) -> None:
        """Set the epoch to use in `ident`; `first` is the number to count on from."""
        kept = self._store.load(_KEY)
        if kept is not None and len(kept) == 8 and kept[:4] == self._before:
            counter = u30(kept, 4)
            if 0 < counter < _TOP:
                self._store.save("epoch", self._before)
                ident.epoch, self.first = u30(kept, 0), counter
        self._epoch = ident.epoch
        self._put(self.first + _ASIDE)

    def cover(self, epoch: int, counter: int) -> None:
        """Call it now and then: `counter` is in use, so more have to be put aside."""
        if epoch == self._epoch and counter > self._aside - _LOW:
            self._put(counter + _ASIDE)

    def _put(self, counter):
        raw = bytearray(8)
        put30(raw, 0, self._epoch)
        put30(raw, 4, counter)
        self._aside = counter
        self._store.save(_KEY, bytes(raw))
