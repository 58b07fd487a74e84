# dht.DHT22 and DHT11; the air is on the bench desk. RAM: 1 KiB.
import _hw


class DHT22:
    def __init__(self, pin):
        self._id = pin._id
        self._t = self._h = 0

    def measure(self):
        r = _hw.ask("dht %d" % self._id).split()  # tenths; ETIMEDOUT when nothing answers
        self._t, self._h = (int(r[0]), int(r[1])) if r else (215, 480)

    def temperature(self):
        return self._t / 10

    def humidity(self):
        return self._h / 10


class DHT11(DHT22):
    def temperature(self):
        return self._t // 10

    def humidity(self):
        return self._h // 10
