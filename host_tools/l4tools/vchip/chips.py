"""What differs between the chips: identity, registers, memory, and what the ROM says.

Register places and eFuse bits are those that esptool's targets/*.py read; the texts are those of
boot logs. eFuses say: a chip of the newest usual revision, nothing burnt, no security.
"""

from dataclasses import dataclass

from l4tools.errors import ToolError

POWERON, SOFTWARE, DEEP_SLEEP, BOOT_WATCHDOG = "poweron", "software", "deepsleep", "bootwdt"


@dataclass(frozen=True)
class Chip:
    name: str
    chip_id: int
    bootloader: int  # flash offset of the second stage
    magic: int  # word at 0x40001000; tells an ESP32, and only that
    security_info: bool
    spi: int  # base of the SPI controller
    usr2: int
    w0: int
    addr_msb: bool
    efuse: int  # base of the read registers
    iram: tuple[int, int]
    dram: tuple[int, int]
    drom: int  # where the app's read-only data is mapped
    head: str
    boot: str  # "boot:0x13 (SPI_FAST_FLASH_BOOT)"
    download: str
    resets: dict[str, str]
    loads: str  # the ROM's lines while it loads a good second stage
    wdt: int = 0  # RTC watchdog's config register, where esptool resets by it
    wdt_lock: int = 0
    force_download: int = 0  # register of machine.bootloader(); 0: the chip has none

    @property
    def c_series(self) -> bool:
        """eFuses laid out as on all chips after the ESP32."""
        return self.security_info

    def banner(self, reset: str, download: bool = False) -> bytes:
        """What the ROM prints first; with `download`, all that it prints."""
        mode = self.download if download else self.boot
        text = "%srst:%s,boot:%s\n" % (self.head, self.resets[reset], mode)
        if download:
            text += "waiting for download\n"
        return text.replace("\n", "\r\n").encode()


_NEW_RESETS = {
    POWERON: "0x1 (POWERON)",
    SOFTWARE: "0xc (RTC_SW_CPU_RST)",
    DEEP_SLEEP: "0x5 (DSLEEP)",
    BOOT_WATCHDOG: "0x7 (TG0WDT_SYS_RST)",
}
_NEW_LOADS = (
    "SPIWP:0xee\nmode:DIO, clock div:1\nload:%s,len:0x7ac\nload:%s,len:0xa84\n"
    "load:%s,len:0x2f54\nentry %s\n"
)

CHIPS = {
    "esp32": Chip(
        name="esp32",
        chip_id=0,
        bootloader=0x1000,
        magic=0x00F01D83,
        security_info=False,
        spi=0x3FF42000,
        usr2=0x24,
        w0=0x80,
        addr_msb=True,
        efuse=0x3FF5A000,
        iram=(0x40080000, 0x400C0000),
        dram=(0x3FFAE000, 0x40000000),
        drom=0x3F400020,
        head="ets Jul 29 2019 12:21:46\n\n",
        boot="0x13 (SPI_FAST_FLASH_BOOT)",
        download="0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))",
        resets={
            POWERON: "0x1 (POWERON_RESET)",
            SOFTWARE: "0xc (SW_CPU_RESET)",
            DEEP_SLEEP: "0x5 (DEEPSLEEP_RESET)",
            BOOT_WATCHDOG: "0x10 (RTCWDT_RTC_RESET)",
        },
        loads="configsip: 0, SPIWP:0xee\n"
        "clk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,wp_drv:0x00\n"
        "mode:DIO, clock div:2\nload:0x3fff0030,len:4892\nho 0 tail 12 room 4\n"
        "load:0x40078000,len:14896\nload:0x40080400,len:4\nentry 0x400805dc\n",
    ),
    "esp32s3": Chip(
        name="esp32s3",
        chip_id=9,
        bootloader=0,
        magic=0x00000009,
        security_info=True,
        spi=0x60002000,
        usr2=0x20,
        w0=0x58,
        addr_msb=False,
        efuse=0x60007000,
        iram=(0x40370000, 0x403E0000),
        dram=(0x3FC88000, 0x3FD00000),
        drom=0x3C000020,
        head="ESP-ROM:esp32s3-20210327\nBuild:Mar 27 2021\n",
        boot="0x8 (SPI_FAST_FLASH_BOOT)",
        download="0x0 (DOWNLOAD(USB/UART0))",
        resets=_NEW_RESETS,
        loads=_NEW_LOADS % ("0x3fce2820", "0x403c8700", "0x403cb700", "0x403c8898"),
        wdt=0x60008098,
        wdt_lock=0x600080B0,
        force_download=0x6000812C,
    ),
    "esp32c3": Chip(
        name="esp32c3",
        chip_id=5,
        bootloader=0,
        magic=0x1B31506F,
        security_info=True,
        spi=0x60002000,
        usr2=0x20,
        w0=0x58,
        addr_msb=False,
        efuse=0x60008800,
        iram=(0x4037C000, 0x403E0000),
        dram=(0x3FC80000, 0x3FCE0000),
        drom=0x3C000020,
        head="ESP-ROM:esp32c3-api1-20210207\nBuild:Feb  7 2021\n",
        boot="0xc (SPI_FAST_FLASH_BOOT)",
        download="0x4 (DOWNLOAD(USB/UART0/1))",
        resets=_NEW_RESETS,
        loads=_NEW_LOADS % ("0x3fcd5820", "0x403cc710", "0x403ce710", "0x403cc710"),
        wdt=0x60008090,
        wdt_lock=0x600080A8,
        force_download=0x6000812C,
    ),
    "esp32c6": Chip(
        name="esp32c6",
        chip_id=13,
        bootloader=0,
        magic=0x2CE0806F,
        security_info=True,
        spi=0x60003000,
        usr2=0x20,
        w0=0x58,
        addr_msb=False,
        efuse=0x600B0800,
        iram=(0x40800000, 0x40880000),
        dram=(0x40800000, 0x40880000),
        drom=0x42000020,
        head="ESP-ROM:esp32c6-20220919\nBuild:Sep 19 2022\n",
        boot="0xc (SPI_FAST_FLASH_BOOT)",
        download="0x4 (DOWNLOAD(USB/UART0/SDIO_REI_FEO))",
        resets={**_NEW_RESETS, SOFTWARE: "0xc (SW_CPU)", BOOT_WATCHDOG: "0x7 (TG0_WDT_HPSYS)"},
        loads=_NEW_LOADS % ("0x40875720", "0x4086c410", "0x4086e610", "0x4086c410"),
    ),
}


def chip(name: str) -> Chip:
    try:
        return CHIPS[name]
    except KeyError:
        raise ToolError("No chip %r here. There are: %s." % (name, ", ".join(CHIPS)))
