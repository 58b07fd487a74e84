"""Pieces of MicroPython that ask a board how it is; each prints one line of JSON. No secret leaves
the board: of keys only hashes are told.
"""

STATE = """
import json, time
def _l4q():
 d = {}
 from binascii import hexlify
 from hashlib import sha256
 h = lambda b: hexlify(b).decode()
 try:
  import machine
  d['cause'] = machine.reset_cause()
  d['rtc'] = h(machine.RTC().memory())
 except Exception as e:
  d['cause'] = 0
  d['rtc'] = ''
 d['time'] = time.time()
 d['zero'] = time.gmtime(0)[0]
 try:
  import safe_mode
  d['safe'] = safe_mode.reason()
 except Exception as e:
  d['safe'] = None
 k = {}
 try:
  from esp32 import NVS
  n = NVS('l4mesh')
  for name in ('public', 'network', 'nodekey', 'owner', 'group', 'epoch'):
   b = bytearray(160)
   try:
    b = bytes(b[:n.get_blob(name, b)])
    k[name] = h(b) if name in ('public', 'network', 'owner', 'epoch') else h(sha256(b).digest())
    if name == 'group':
     k['number'] = b[0]
   except OSError:
    pass
 except ImportError:
  k = None
 d['keys'] = k
 return d
print(json.dumps(_l4q()))
del _l4q
"""

# Is the board on WiFi? If not: which of its networks are in the air, what does a try say.
WIFI = """
import json, network, time
def _l4w(nets):
 w = network.WLAN(network.STA_IF)
 d = {'tried': [], 'heard': []}
 if not w.isconnected():
  w.active(True)
  try:
   w.disconnect()
  except OSError:
   pass
  time.sleep_ms(100)
  try:
   d['heard'] = [[s[0].decode(), s[2], s[3]] for s in w.scan()]
  except Exception as e:
   d['scan'] = repr(e)
  for ssid, key in nets:
   try:
    w.connect(ssid, key)
   except OSError as e:
    d['tried'].append([ssid, repr(e)])
    continue
   end = time.ticks_add(time.ticks_ms(), %d)
   while time.ticks_diff(end, time.ticks_ms()) > 0:
    s = w.status()
    if w.isconnected() or s not in (1000, 1001):
     break
    time.sleep_ms(50)
   if w.isconnected():
    break
   d['tried'].append([ssid, s])
   w.disconnect()
   time.sleep_ms(100)
 d['up'] = w.isconnected()
 if d['up']:
  d['ip'] = w.ifconfig()[0]
  for name, f in (('rssi', lambda: w.status('rssi')), ('channel', lambda: w.config('channel'))):
   try:
    d[name] = f()
   except Exception:
    d[name] = None
 return d
print(json.dumps(_l4w(%r)))
del _l4w
"""
