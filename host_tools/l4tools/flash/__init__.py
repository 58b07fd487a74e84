"""`l4 flash`: a board in its box becomes a node.

    partitions.py  the table at 0x8000, and where the file system lies by it
    headers.py     what the first bytes of a bootloader or an application say of it
    firmware.py    a MicroPython .bin: checked, and cut into the parts that are written
    store.py       firmware downloaded once, kept by its checksum
    oldfs.py       the file system on the board, read block by block as littlefs asks for it
    keep.py        what of it survives; the files and settings of the new one
    nvs.py         which network a board belongs to, from the key store in its flash
    backups.py     the old file system on this machine's disk until the new one is verified
    plan.py        what must be written: pure, from what is there and what is wanted
    choose.py      which MicroPython a board gets
    rom.py         esptool, with sentences for its exceptions; quiet.py: without its words
    job.py         all of it in order, up to the board's reset
    screen.py      what a person sees meanwhile
    after.py       the board starts: its keys, its way into the mesh
    factory.py     --image: an image for many boards, with tickets instead of keys

Why a run that breaks off is mended by the next one: plan.py.
"""
