"""Ends of serial lines for tests: a pseudo-terminal that answers as told, a pty behind TCP."""

import os
import pty
import select
import socket
import threading
import tty
from contextlib import contextmanager
from types import SimpleNamespace

import serial
from serial import rfc2217


@contextmanager
def line(answer=lambda data: None, every=None, tick=0.02):
    """A pty's path; `answer(data)` gives the reply, `every()` what it prints each `tick` s."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    stop, wake = os.pipe()

    def send(data):
        if data:
            try:
                os.write(master, data)
            except BlockingIOError:
                pass  # nobody reads: as on a real line it is lost

    def serve():
        while True:
            ready = select.select([master, stop], [], [], tick if every else None)[0]
            if stop in ready:
                return
            if master in ready:
                send(answer(os.read(master, 4096)))
            if every:
                send(every())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        os.write(wake, b"x")
        thread.join()
        for fd in (master, slave, stop, wake):
            os.close(fd)


@contextmanager
def over_tcp(tty_path):
    """socket:// of a board's pty."""
    fd = os.open(tty_path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd)
    listener = socket.create_server(("127.0.0.1", 0))
    stop, wake = os.pipe()

    def serve():
        peer = None
        while True:
            ends = [listener, stop] + ([peer, fd] if peer else [])
            ready = select.select(ends, [], [])[0]
            if stop in ready:
                if peer:
                    peer.close()
                return
            if listener in ready:
                peer = listener.accept()[0]
                continue
            try:
                if fd in ready:
                    peer.sendall(os.read(fd, 4096))
                data = peer.recv(4096) if peer in ready else None
            except OSError:
                data = b""
            if data:
                os.write(fd, data)
            elif data is not None:
                peer.close()
                peer = None

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield "socket://127.0.0.1:%d" % listener.getsockname()[1]
    finally:
        os.write(wake, b"x")
        thread.join()
        listener.close()
        for end in (fd, stop, wake):
            os.close(end)


class _Settings(SimpleNamespace):
    """What an RFC 2217 server sets and asks of a port; a pseudo-terminal has no such lines."""

    baudrate, bytesize, parity, stopbits = 115200, 8, "N", 1
    cts = dsr = cd = True
    ri = rtscts = xonxoff = dsrdtr = False

    def reset_input_buffer(self):
        pass

    reset_output_buffer = reset_input_buffer


@contextmanager
def over_rfc2217(tty_path):
    """rfc2217:// of a board's pty, by pyserial's own server."""
    port = serial.serial_for_url(tty_path, timeout=0.02)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    done = threading.Event()

    def serve():
        while not done.is_set():
            try:
                peer = listener.accept()[0]
            except TimeoutError:
                continue
            with peer:
                talk(peer)

    def talk(peer):
        peer.settimeout(0.01)
        manager = rfc2217.PortManager(_Settings(), SimpleNamespace(write=peer.sendall))
        while not done.is_set():
            try:
                data = peer.recv(1024)
                if not data:
                    return
                port.write(b"".join(manager.filter(data)))
            except TimeoutError:
                pass
            data = port.read(port.in_waiting)
            if data:
                peer.sendall(b"".join(manager.escape(data)))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield "rfc2217://127.0.0.1:%d" % listener.getsockname()[1]
    finally:
        done.set()
        thread.join()
        listener.close()
        port.close()
