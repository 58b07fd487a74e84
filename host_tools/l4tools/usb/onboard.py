"""Pieces of MicroPython that repl.py runs on a board, as text; short, for they are sent each time.

They need os, hashlib and binascii of stock firmware and about 2 KiB of heap.
"""

CHUNK = 768  # bytes of a file that go in one exec: 1 KiB of base64

# Session start: a running watchdog is made patient (a second WDT() reconfigures it on ESP32).
START = """\
import sys, os
def _l4():
 dog = 'supervisor' in sys.modules
 try:
  dog = dog or 'supervisor.mpy' in os.listdir('/') or 'supervisor.py' in os.listdir('/')
 except OSError:
  pass
 if dog:
  try:
   import machine
   machine.WDT(timeout=600000)
  except Exception:
   dog = False
 return dog, tuple(sys.implementation.version[:3]), sys.platform, sys.implementation[0]
print(repr(_l4()))
del _l4
"""

PATIENCE = """\
try:
 import machine
 machine.WDT(timeout=600000)
except Exception:
 pass
"""

_HASH = """\
import os, hashlib, binascii
def _l4h(p, b):
 h = hashlib.sha256()
 n = 0
 with open(p, 'rb') as f:
  while True:
   k = f.readinto(b)
   if not k:
    break
   h.update(b[:k])
   n += k
 return n, binascii.hexlify(h.digest()).decode()
"""

_TREE = """\
def _l4t(d, b):
 for e in os.ilistdir(d or '/'):
  p = d + '/' + e[0]
  if p in %r:
   continue
  if e[1] & 0x4000:
   print('d', 0, '-', repr(p))
   _l4t(p, b)
  else:
   try:
    print('f', *_l4h(p, b), repr(p))
   except OSError:
    print('f', -1, '-', repr(p))
_l4t(%r, memoryview(bytearray(512)))
del _l4t, _l4h
"""

_READ = """\
import hashlib, binascii
def _l4r(p):
 h = hashlib.sha256()
 with open(p, 'rb') as f:
  while True:
   b = f.read(%d)
   if not b:
    break
   h.update(b)
   print(binascii.b2a_base64(b).decode(), end='')
 print('#', binascii.hexlify(h.digest()).decode())
_l4r(%r)
del _l4r
"""

_OPEN = "from binascii import a2b_base64 as _l4u\n_l4f = open(%r, 'wb')\n"
PUT = "_l4f.write(_l4u(b'%s'))\n"

_DONE = """\
_l4f.close()
def _l4d(t, p, want):
 if _l4h(t, memoryview(bytearray(512)))[1] != want:
  os.remove(t)
  return 'bad'
 try:
  os.rename(t, p)
 except OSError:  # FAT does not replace
  os.remove(p)
  os.rename(t, p)
 return 'ok'
print(_l4d(%r, %r, %r))
del _l4d, _l4h, _l4f, _l4u
"""

ABANDON = """\
import os
try:
 _l4f.close()
except Exception:
 pass
try:
 os.remove(%r)
except OSError:
 pass
"""

REMOVE = """\
import os
def _l4x(p):
 try:
  kind = os.stat(p)[0]
 except OSError:
  return False
 if kind & 0x4000:
  for e in list(os.ilistdir(p)):
   _l4x(p + '/' + e[0])
  os.rmdir(p)
 else:
  os.remove(p)
 return True
print(_l4x(%r))
del _l4x
"""

MKDIRS = """\
import os
def _l4m(p):
 at = ''
 for part in p.strip('/').split('/'):
  at += '/' + part
  try:
   os.mkdir(at)
  except OSError as e:
   if e.args[0] != 17:
    raise
   if not os.stat(at)[0] & 0x4000:
    raise OSError(20)
_l4m(%r)
del _l4m
"""

# A reset on purpose must not count as a crash (safe_mode.py).
RESET = """\
try:
 import safe_mode
 safe_mode.planned_reset()
except Exception:
 pass
import machine
machine.reset()
"""


def tree(path: str, skip: tuple[str, ...]) -> str:
    return _HASH + _TREE % (skip, path.rstrip("/"))


def read(path: str) -> str:
    return _READ % (CHUNK, path)


def begin(path: str) -> str:
    return _OPEN % path


def done(tmp: str, path: str, sha256: str) -> str:
    return _HASH + _DONE % (tmp, path, sha256)
