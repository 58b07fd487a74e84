# The app.py of a chaos run: one sensor, a counter outside the board.
from sensors import Sensor


def sensors(board):
    adc = board.machine.ADC(board.machine.Pin(36))

    def read():
        n = adc.read_uv()
        return None if n < 0 else n

    return [Sensor("n", "", board.interval_s, read)]
