"""`l4 deploy`: changed code onto a board over USB, and its log."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ToolError
from ..session import Session
from . import verb
from ._board import Port

app = verb("Push changed code to a board over USB and follow its log.")


@app.command("deploy", epilog="Example: l4 deploy app.py --watch")
def deploy(
    ctx: typer.Context,
    path: Annotated[
        Path | None,
        typer.Argument(help="a file or folder; default: the firmware", metavar="PATH"),
    ] = None,
    port: Port = None,
    to: Annotated[
        str, typer.Option("--to", help="folder of the board that PATH goes to", metavar="DIR")
    ] = "/",
    app_file: Annotated[
        Path | None,
        typer.Option("--app", help="with the firmware: becomes app.py", metavar="FILE"),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="again at each change")] = False,
    restart: Annotated[
        bool, typer.Option("--restart/--no-restart", help="start the node with it")
    ] = True,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="show the log until Ctrl-C")
    ] = True,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="follow for so long", metavar="N", min=0.1)
    ] = None,
) -> None:
    """Push what has changed, restart the node, show its log.

    Without PATH: the firmware, built as for an image. With PATH: that file, or that folder with
    its name (`.`: what is in it). Python is compiled first, so a mistake in it harms nothing.
    With --json the log is followed only with --seconds.
    """
    from ..usb import ports

    session: Session = ctx.obj
    if path is not None and app_file is not None:
        raise typer.BadParameter("--app goes with the firmware; name the file as PATH instead")
    if watch and not restart:
        raise typer.BadParameter("--watch restarts the node; leave --no-restart away")
    if session.out.json and seconds is None:
        if watch:
            raise typer.BadParameter("--watch with --json needs --seconds N")
        follow = False
    work = _Work(session, path, to, app_file, restart, follow, watch, seconds)
    work.port = ports.find(port)
    work.load()
    try:
        work.run()
    except KeyboardInterrupt:
        if not work.said and not work.done:
            raise ToolError(
                "Stopped. Run the same command again: it sends what is missing."
            ) from None
    session.out.document(work.document(), lambda out: None)


class _Work:
    """One run of the command; with --watch several deploys."""

    def __init__(self, session, path, to, app_file, restart, follow, watch, seconds):
        self.session, self.path, self.to, self.app_file = session, path, to, app_file
        self.restart, self.follow, self.watch = restart, follow and restart, watch
        self.end = None if seconds is None else time.monotonic() + seconds
        self.seconds = seconds
        self.port: Any = None
        self.payload: Any = None
        self.done: list[Any] = []
        self.said: list[tuple[float, str]] = []

    def load(self) -> None:
        from ..usb import payload, watching

        self.mark = watching.stamps(self._sources()) if self.watch else {}
        if self.path is None:
            self.payload = payload.firmware(self.app_file)
        else:
            self.payload = payload.user(self.path, self.to)

    def _sources(self) -> list[Path]:
        from ..paths import FIRMWARE, LIB

        if self.path is not None:
            return [self.path]
        return [LIB, FIRMWARE] + ([self.app_file] if self.app_file else [])

    def run(self) -> None:
        self._once()
        while self.watch and not self._is_over():
            try:
                self.load()
                self._once()
            except ToolError as e:
                # The next change mends a mistake in a source; a board may be plugged in again.
                self.session.out.note(str(e))
                self._await_change()

    def _once(self) -> None:
        from ..usb import deploy
        from ..usb.repl import Repl

        with Repl(self.port, timeout=30) as repl, _Bar(self.session) as bar:
            done = deploy.push(repl, self.payload, bar)
            bar.close()
            self.done.append(done)
            self._tell(done)
            if self.restart:
                repl.hard_reset()
            if self.seconds is not None and self.end is not None and len(self.done) == 1:
                self.end = time.monotonic() + self.seconds
            if self.follow or self.watch:
                self._follow(repl)

    def _follow(self, repl) -> None:
        from ..care import follow
        from ..usb import watching

        trace = follow.Tracebacks()
        while not self._is_over():
            for line in repl.lines(0.3):
                for text in trace.take(line):
                    self._say(text)
            for text in trace.late():
                self._say(text)
            if self.watch and watching.changed(self._sources(), self.mark):
                return

    def _await_change(self) -> None:
        from ..usb import watching

        while not self._is_over() and not watching.changed(self._sources(), self.mark):
            time.sleep(0.3)

    def _say(self, text: str) -> None:
        from ..care import follow

        if self.follow:
            follow.show(self.session.out, self.said, (time.time(), text))

    def _is_over(self) -> bool:
        return self.end is not None and time.monotonic() >= self.end

    def _tell(self, done) -> None:
        out = self.session.out
        if out.json:
            return
        if done.written or done.removed:
            text = "%s written (%.1f KiB sent)%s, %d as they were, in %.1f s." % (
                _files(len(done.written)),
                done.size / 1024,
                ", %d removed" % len(done.removed) if done.removed else "",
                done.same,
                done.seconds,
            )
        else:
            text = "Nothing has changed: the board has it all (%s)." % _files(done.same)
        out.line(text)
        for note in done.notes:
            out.note(note)

    def document(self) -> dict[str, Any]:
        from ..care import follow

        first = self.done[0]
        doc = {
            "port": self.port.device,
            "written": first.written,
            "removed": first.removed,
            "same": first.same,
            "bytes": first.size,
            "seconds": round(first.seconds, 2),
            "restarted": self.restart,
            "notes": first.notes,
        }
        if self.follow:
            doc["log"] = follow.document(self.said)
        if len(self.done) > 1:
            doc["again"] = [d.written for d in self.done[1:]]
        return doc


def _files(n: int) -> str:
    return "1 file" if n == 1 else "%d files" % n


class _Bar:
    """A progress bar on a terminal; elsewhere nothing."""

    def __init__(self, session: Session):
        self._on = not session.out.json and session.out.stderr.isatty()
        self._file = session.out.stderr
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __call__(self, path: str, done: int, total: int) -> None:
        if not self._on:
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(file=self._file), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=total)
        self._bar.update(self._task, completed=done, description=path)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
