"""A controller as the one in an ESP32: legacy advertising of every kind, real scan windows.

Bumble's own sends ADV_IND only, answers scans that were not asked, and counts neither windows nor
jitter (its interfaces are internal: the package is pinned). Extended advertising is left out, as
MicroPython builds NimBLE without it.
"""

import asyncio
import random

from bumble import hci
from bumble.controller import Controller, LegacyAdvertiser

from l4tools.radio.air import Advert, Air

IND, SCAN_IND, NONCONN_IND, SCAN_RSP = 0, 2, 3, 4
_UNIT_S = 0.000625
_NO_CONNECTION = 0x02
_EXT = (
    hci.LeFeatureMask.LE_EXTENDED_ADVERTISING | hci.LeFeatureMask.LE_PERIODIC_ADVERTISING
)  # fmt: skip


class Advertiser(LegacyAdvertiser):
    """Every interval plus 0 to 10 ms by chance, as the standard wants it."""

    def _on_timer_fired(self):
        self.send_advertising_data()
        wait = max(self.advertising_interval_min * _UNIT_S, 0.02)
        wait += self.controller.chance.random() * 0.01
        self.timer_handle = asyncio.get_running_loop().call_later(wait, self._on_timer_fired)

    def send_advertising_data(self):
        if self.enabled and not self.controller.silent:
            self.controller.link.advertise(
                self.controller,
                Advert(
                    self.address,
                    self.advertising_type,
                    bytes(self.advertising_data),
                    bytes(self.scan_response_data),
                ),
            )


class BoardController(Controller):
    le_features = Controller.le_features & ~_EXT
    le_scan_enable = False
    le_scan_interval = le_scan_window = 16

    def __init__(self, name: str, air: Air, public: hci.Address):
        super().__init__(name, link=air, public_address=public)
        self.le_legacy_advertiser = Advertiser(self)
        self.chance: random.Random = air.rng(name + " sends")
        self.ears: random.Random = air.rng(name + " hears")
        self.silent = False  # its radio is gone, whatever it does
        self.dies_after: int | None = None  # so many more packets on links
        self.on_report = None  # called with address, kind, dBm, data instead of an HCI packet
        self._seen: set = set()
        self._scan_from = self._born = asyncio.get_running_loop().time()
        # what the radio was used for; seconds
        self.on_s = self.scan_s = 0.0
        self.adverts = self.packets = 0

    # -- scanning ------------------------------------------------------------------------------
    def scan(self, on: bool, interval_s: float = 0, window_s: float = 0, active: bool = False):
        """Start or stop, without the detour over HCI."""
        now = asyncio.get_running_loop().time()
        if self.le_scan_enable:
            self.scan_s += (now - self._scan_from) * self._duty()
        self._scan_from = now
        if on:
            self.le_scan_interval = max(4, round(interval_s / _UNIT_S))
            self.le_scan_window = max(4, min(self.le_scan_interval, round(window_s / _UNIT_S)))
            self.le_scan_type = int(active)
            self.filter_duplicates = False
        self.le_scan_enable = on

    def on_hci_le_set_scan_enable_command(self, command):
        self._seen = set()
        on = bool(command.le_scan_enable)
        window, interval = self.le_scan_window * _UNIT_S, self.le_scan_interval * _UNIT_S
        self.scan(on, interval, window, self.le_scan_type == 1)
        self.filter_duplicates = bool(command.filter_duplicates)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def _duty(self):
        return min(1.0, self.le_scan_window / self.le_scan_interval)

    def listens(self, now: float) -> bool:
        """Is the receiver on, for a scan or to start a link?"""
        if self.silent:
            return False
        if self.pending_le_connection:
            return True
        if not self.le_scan_enable:
            return False
        at = (now - self._scan_from) / _UNIT_S
        return at % self.le_scan_interval < self.le_scan_window

    def on_advert(self, sender, advert: Advert, dbm: int) -> None:
        """Called by the air at the moment of sending, for a radio that listens."""
        if self.le_scan_enable:
            self._report(advert.kind, advert.address, dbm, advert.data)
            if self.le_scan_type == 1 and advert.kind in (IND, SCAN_IND):
                self.on_s += 0.0006  # asks, and is answered
                self._report(SCAN_RSP, advert.address, dbm, advert.answer)
        want = self.pending_le_connection
        if want and advert.kind == IND and want.peer_address == advert.address:
            # Of several that wait for it, one gets it; the others go on waiting.
            if sender.le_legacy_advertiser.enabled:
                self.create_le_connection(advert.address)

    def _report(self, kind, address, dbm, data):
        if self.filter_duplicates:
            key = (bytes(address), kind, data)
            if key in self._seen:
                return
            self._seen.add(key)
        if self.on_report:
            self.on_report(address, kind, dbm, data)
            return
        cls = hci.HCI_LE_Advertising_Report_Event
        report = cls.Report(
            event_type=cls.EventType(kind),
            address_type=address.address_type,
            address=address,
            data=data,
            rssi=dbm,
        )
        self.send_hci_packet(cls([report]))

    # -- links ---------------------------------------------------------------------------------
    def on_hci_le_create_connection_cancel_command(self, command):
        """Bumble's forgets to stop: end the attempt, and say so."""
        want, self.pending_le_connection = self.pending_le_connection, None
        if want:
            self.send_hci_packet(
                hci.HCI_LE_Connection_Complete_Event(
                    status=_NO_CONNECTION,
                    connection_handle=0,
                    role=hci.Role.CENTRAL,
                    peer_address_type=want.peer_address.address_type,
                    peer_address=want.peer_address,
                    connection_interval=0,
                    peripheral_latency=0,
                    supervision_timeout=0,
                    central_clock_accuracy=0,
                )
            )
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def off(self, silent: bool = True) -> None:
        """Nothing new is sent or heard. `silent`: links end for the others by their time-out."""
        self.scan(False)
        self.pending_le_connection = None
        self.le_legacy_advertiser.stop()
        self.silent = silent

    # -- energy --------------------------------------------------------------------------------
    def energy(self) -> dict:
        """Seconds that the radio was on, of how many; and why."""
        now = asyncio.get_running_loop().time()
        scan = self.scan_s
        if self.le_scan_enable:
            scan += (now - self._scan_from) * self._duty()
        total = now - self._born
        return {
            "seconds": total,
            "on_s": self.on_s + scan,
            "scan_s": scan,
            "adverts": self.adverts,
            "packets": self.packets,
            "share": min(1.0, (self.on_s + scan) / total) if total else 0.0,  # one radio
        }
