# floor 12: firmware
# Started by MicroPython after boot.py; all is in supervisor.py, which comes compiled. RAM: none.
import supervisor

supervisor.run()
