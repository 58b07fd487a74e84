"""Boot loops: counted in RTC memory, safe mode after five, mended by health or by power."""

import sys

import safe_mode

PWRON, HARD, WDT, DEEPSLEEP, SOFT = 1, 2, 3, 4, 5


class Nvs:
    """NVS of the chip: commit needed, raises OSError for what was never written."""

    def __init__(self):
        self.stored = {}
        self.pending = {}
        self.commits = 0

    def get_i32(self, key):
        if key not in self.stored:
            raise OSError("ESP_ERR_NVS_NOT_FOUND")
        return self.stored[key]

    def set_i32(self, key, value):
        self.pending[key] = value

    def commit(self):
        self.commits += 1
        self.stored.update(self.pending)


class Chip:
    """machine and esp32 in one, with what survives a reset."""

    def __init__(self):
        self.ram = b"\xa5" * 20  # garbage after power-on
        self.cause = PWRON
        self.nvs = Nvs()
        chip = self

        class RTC:
            def memory(self, data=None):
                if data is None:
                    return chip.ram
                assert len(data) <= 2048
                chip.ram = bytes(data)

        self.RTC = RTC

    def reset_cause(self):
        return self.cause

    def NVS(self, name):
        return self.nvs

    def boot(self, cause):
        """Reset and start: module state is new, RTC memory is not."""
        self.cause = cause
        safe_mode._answer = None
        safe_mode._count = 0
        return safe_mode.begin(self, self)

    def good(self):
        safe_mode.mark_good(self, self)

    def planned(self):
        safe_mode.planned_reset(self)


def loop(chip, n, cause=HARD):
    return [chip.boot(cause) for _ in range(n)]


def test_power_on_with_garbage_counts_nothing():
    chip = Chip()
    assert not chip.boot(PWRON)
    assert "Normal start, 0" in safe_mode.reason()


def test_the_fifth_bad_boot_leads_to_safe_mode():
    for cause in (HARD, WDT):
        chip = Chip()
        chip.boot(PWRON)
        assert loop(chip, 5, cause) == [False] * 4 + [True]
        assert "Safe mode" in safe_mode.reason() and "app.py" in safe_mode.reason()


def test_asked_again_it_says_the_same_and_counts_once():
    chip = Chip()
    chip.boot(PWRON)
    loop(chip, 4)
    for _ in range(20):
        assert not safe_mode.begin(chip, chip)


def test_health_starts_the_count_anew():
    chip = Chip()
    chip.boot(PWRON)
    for _ in range(10):
        assert not any(loop(chip, 4))
        chip.good()


def test_planned_resets_soft_resets_and_sleep_do_not_count():
    chip = Chip()
    chip.boot(PWRON)
    for _ in range(20):
        chip.planned()
        assert not chip.boot(HARD)
        assert not chip.boot(SOFT)
        assert not chip.boot(DEEPSLEEP)
    assert "Normal start, 0" in safe_mode.reason()


def test_planned_holds_for_one_reset_only():
    chip = Chip()
    chip.boot(PWRON)
    chip.planned()
    assert loop(chip, 6) == [False] * 5 + [True]


def test_brownouts_that_keep_the_memory_count():
    chip = Chip()
    chip.boot(PWRON)
    assert loop(chip, 5, PWRON)[-1]


def test_safe_mode_lets_the_application_try_again():
    chip = Chip()
    chip.boot(PWRON)
    loop(chip, 5)
    assert loop(chip, 4) == [False, True, False, True]
    assert not chip.boot(SOFT)  # Ctrl-D after mending it


def test_a_loss_of_power_starts_anew():
    chip = Chip()
    chip.boot(PWRON)
    loop(chip, 4)
    chip.ram = b"\x17" * 2048
    assert not any([chip.boot(PWRON)] + loop(chip, 4))


def test_the_mirror_serves_a_reset_that_lost_the_memory():
    chip = Chip()
    chip.boot(PWRON)
    loop(chip, 5)
    assert chip.nvs.stored["boots"] == 3
    chip.ram = b""
    assert not chip.boot(HARD)
    assert "3 bad boots" in safe_mode.reason()
    assert loop(chip, 2) == [False, True]


def test_flash_is_written_in_trouble_only():
    chip = Chip()
    chip.boot(PWRON)
    for _ in range(50):
        loop(chip, 3)
        chip.good()
    assert chip.nvs.commits == 0
    loop(chip, 5)
    chip.good()
    assert chip.nvs.commits == 2 and chip.nvs.stored["boots"] == 0


def test_a_flipped_bit_is_no_count():
    chip = Chip()
    chip.boot(PWRON)
    loop(chip, 4)
    kept = chip.ram
    for i in range(9 * 8):
        ram = bytearray(kept)
        ram[i >> 3] ^= 1 << (i & 7)
        chip.ram = bytes(ram)
        assert not chip.boot(HARD)
        assert "Normal start, 0" in safe_mode.reason()
    chip.ram = kept
    assert chip.boot(HARD)


def test_other_peoples_rtc_memory_stays():
    chip = Chip()
    chip.boot(PWRON)
    chip.ram = chip.ram[:9] + b"sleep state"
    loop(chip, 3)
    chip.planned()
    chip.good()
    assert chip.ram[9:] == b"sleep state"


def test_no_rtc_no_esp32_no_safe_mode():
    class Bare:
        pass

    safe_mode._answer = None
    assert safe_mode.begin(Bare(), Bare()) is False
    safe_mode.mark_good(Bare(), Bare())
    safe_mode.planned_reset(Bare())
    assert safe_mode.reason()


def test_boot_py_is_tiny_and_lets_nothing_out():
    path = safe_mode.__file__.rsplit("/", 1)[0] + "/boot.py"
    with open(path) as f:
        text = f.read()
    assert text.count("\n") <= 18
    said = []

    def broken():
        raise MemoryError("no RAM")

    class Mine:
        def kbd_intr(self, n):
            pass

    begin = safe_mode.begin
    safe_mode.begin = broken
    mine = "micropython" not in sys.modules and sys.implementation.name == "cpython"
    if mine:
        sys.modules["micropython"] = Mine()
    try:
        exec(text, {"print": lambda *a: said.append(a)})
    finally:
        safe_mode.begin = begin
        if mine:
            del sys.modules["micropython"]
    assert len(said) == 1 and "no RAM" in said[0][1]
