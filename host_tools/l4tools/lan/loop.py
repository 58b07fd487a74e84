"""A small event loop with sub-millisecond timers, shared by the hub and the rack.

asyncio rounds timers to a millisecond, which is all a virtual LAN's delay is; `select.select`
takes microseconds. One thread runs the loop; `call` and `post` bring work in from others.
"""

import heapq
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable


class Timer:
    """What `call_at` returns; `cancel()` makes it a no-op."""

    __slots__ = ("when", "seq", "fn", "args")

    def __init__(self, when, seq, fn, args):
        self.when, self.seq, self.fn, self.args = when, seq, fn, args

    def __lt__(self, other):
        return (self.when, self.seq) < (other.when, other.seq)

    def cancel(self):
        self.fn = None
        self.args = ()


class Loop:
    def __init__(self):
        self._readers: dict[int, Callable] = {}
        self._writers: dict[int, Callable] = {}
        self._heap: list[Timer] = []
        self._seq = 0
        self._posted: deque = deque()
        self._stop = False
        self._thread: threading.Thread | None = None
        self._ident: int | None = None
        self._rx, self._tx = socket.socketpair()
        self._rx.setblocking(False)
        self._tx.setblocking(False)
        self._readers[self._rx.fileno()] = self._woken

    # -- files ---------------------------------------------------------------------------------
    def add_reader(self, fd: int, fn: Callable[[], None]) -> None:
        self._readers[fd] = fn

    def remove_reader(self, fd: int) -> None:
        self._readers.pop(fd, None)

    def add_writer(self, fd: int, fn: Callable[[], None]) -> None:
        self._writers[fd] = fn

    def remove_writer(self, fd: int) -> None:
        self._writers.pop(fd, None)

    # -- time ----------------------------------------------------------------------------------
    def call_at(self, when: float, fn: Callable, *args) -> Timer:
        """Run `fn(*args)` at `when` (time.monotonic()); equal times run in order of the calls."""
        self._seq += 1
        timer = Timer(when, self._seq, fn, args)
        heapq.heappush(self._heap, timer)
        return timer

    def call_later(self, seconds: float, fn: Callable, *args) -> Timer:
        return self.call_at(time.monotonic() + seconds, fn, *args)

    # -- other threads -------------------------------------------------------------------------
    def post(self, fn: Callable, *args) -> None:
        """Run `fn(*args)` in the loop, soon; from any thread."""
        self._posted.append((fn, args))
        try:
            self._tx.send(b"!")
        except OSError:  # full: the loop is about to wake anyway; closed: nobody is there
            pass

    def call(self, fn: Callable, *args):
        """Run `fn(*args)` in the loop and return its result; direct when no thread runs it."""
        if self._ident in (None, threading.get_ident()):
            return fn(*args)
        done = threading.Event()
        box: list = []

        def job():
            try:
                box.extend((True, fn(*args)))
            except BaseException as exc:  # carried to the caller, not swallowed
                box.extend((False, exc))
            done.set()

        self.post(job)
        while not done.wait(0.2):
            if self._ident is None:
                if not done.is_set():
                    job()
                break
        if not box[0]:
            raise box[1]
        return box[1]

    def _woken(self):
        try:
            while self._rx.recv(4096):
                pass
        except BlockingIOError:
            pass

    # -- running -------------------------------------------------------------------------------
    def once(self, timeout: float | None = None) -> None:
        """Wait for the next thing (at most `timeout` seconds) and do everything due."""
        heap = self._heap
        while heap and heap[0].fn is None:
            heapq.heappop(heap)
        if self._posted:
            timeout = 0
        elif heap:
            wait = max(0.0, heap[0].when - time.monotonic())
            timeout = wait if timeout is None else min(wait, timeout)
        ready, writable, _ = select.select(list(self._readers), list(self._writers), [], timeout)
        for fd in ready:
            fn = self._readers.get(fd)  # an earlier callback may have removed it
            if fn:
                fn()
        for fd in writable:
            fn = self._writers.get(fd)
            if fn:
                fn()
        for _ in range(len(self._posted)):
            fn, args = self._posted.popleft()
            fn(*args)
        now = time.monotonic()
        while heap and heap[0].when <= now:
            timer = heapq.heappop(heap)
            if timer.fn:
                timer.fn(*timer.args)

    def run(self) -> None:
        """Run until `stop()`."""
        self._ident = threading.get_ident()
        try:
            while not self._stop:
                self.once()
        finally:
            self._ident = None

    def start_thread(self, name: str = "loop") -> None:
        if self._thread is None:
            self._stop = False
            self._thread = threading.Thread(target=self.run, name=name, daemon=True)
            self._thread.start()
            while self._ident is None and self._thread.is_alive():
                time.sleep(0.0005)

    def stop(self) -> None:
        """End `run()`; from any thread, waits for the loop's own thread to end."""

        def job():
            self._stop = True

        self.post(job)
        thread = self._thread
        if thread and thread.ident != threading.get_ident():
            thread.join(5)
            self._thread = None

    def close(self) -> None:
        self.stop()
        self._rx.close()
        self._tx.close()
