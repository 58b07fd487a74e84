# floor 8: effects
# Drivers for sensors: docs/sensors.md. Each is a file that app.py imports. RAM: none.
