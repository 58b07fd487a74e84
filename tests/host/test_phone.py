"""A phone-like central and nodes: reads, writes, notifications; and one that misbehaves."""

from phone import Phone
from radiobed import AIOBLE, bed, wait_for

SERVICE, RECORD = 0xFEA0, "7d0f0001-5a3c-4f6e-9d57-0c2f5b1e9a01"
MAILBOX, BELL = "7d0f0002-5a3c-4f6e-9d57-0c2f5b1e9a01", "7d0f0003-5a3c-4f6e-9d57-0c2f5b1e9a01"
NODE = """
import asyncio, aioble, bluetooth, gc
U = bluetooth.UUID
svc = aioble.Service(U(0x%04x))
rec = aioble.Characteristic(svc, U("%s"), read=True, initial=bytes(range(200)))
box = aioble.BufferedCharacteristic(svc, U("%s"), write=True, write_no_response=True,
    capture=False, max_len=220)
bell = aioble.Characteristic(svc, U("%s"), notify=True)
aioble.register_services(svc)
async def mail():
    while True:
        c = await box.written()
        data = box.read()
        print("MAIL", len(data), data[:4])
        try:
            bell.notify(c, b"got %%d" %% len(data))
        except OSError as e:
            print("GONE", e.errno)
async def main():
    asyncio.create_task(mail())
    while True:
        c = await aioble.advertise(30000, adv_data=b"\\x02\\x01\\x06\\x03\\xff\\xff\\xff")
        print("LINK")
        await c.disconnected()
        print("ENDED")
asyncio.run(main())
""" % (SERVICE, RECORD, MAILBOX, BELL)


def mesh(data):
    return b"\xff\xff\xff" in data


def a_bed():
    return bed([AIOBLE], conn_interval=0.005)


def test_a_phone_reads_writes_and_is_told():
    with a_bed() as air, Phone(air.radio) as phone:
        node = air.run("n", NODE)
        link = phone.connect(phone.find(mesh)[0])
        node.until("LINK")
        assert link.mtu(247) == 247
        assert link.read(SERVICE, RECORD) == bytes(range(200))
        heard = link.subscribe(SERVICE, BELL)
        link.write(SERVICE, MAILBOX, b"hello")
        wait_for(lambda: heard == [b"got 5"], "the word")
        link.close()
        node.until("ENDED")


def test_writes_that_are_too_long_are_cut_and_the_node_lives_on():
    with a_bed() as air, Phone(air.radio) as phone:
        node = air.run("n", NODE)
        link = phone.connect(phone.find(mesh)[0])
        handle = link.handle(SERVICE, MAILBOX)
        link.mtu(247)
        link.flood(handle, b"long" * 125)
        assert node.until("MAIL") == "220 b'long'"
        link.flood(handle, b"more" * 1000)  # longer than the standard lets a value be
        link.flood(0x0FFF, b"nobody is here")
        link.write(SERVICE, MAILBOX, b"fine")
        assert node.until("MAIL", n=2) == "4 b'fine'"


def test_a_phone_that_vanishes_frees_the_node_after_the_time_out():
    with a_bed() as air:
        air.radio.air.supervision_s = 0.5
        node = air.run("n", NODE)
        with Phone(air.radio) as phone:
            link = phone.connect(phone.find(mesh)[0])
            link.mtu(247)
            phone.vanish()
            node.until("ENDED")
            wait_for(lambda: link.ended, "its own time-out")
        with Phone(air.radio, "another") as phone:
            phone.connect(phone.find(mesh)[0])
            node.until("LINK", n=2)


def test_one_that_dies_in_the_middle_of_an_exchange():
    with a_bed() as air, Phone(air.radio) as phone:
        air.radio.air.supervision_s = 0.5
        node = air.run("n", NODE)
        link = phone.connect(phone.find(mesh)[0])
        link.mtu(247)
        handle = link.handle(SERVICE, MAILBOX)
        air.radio.vanish_after(node.ip, 0)  # its next packet does not go out
        link.flood(handle, b"last")
        node.until("MAIL")
        node.until("ENDED")
        wait_for(lambda: link.ended, "the phone's time-out")
        air.radio.silence(node.ip, False)
        phone.connect(phone.find(mesh)[0])
        node.until("LINK", n=2)
