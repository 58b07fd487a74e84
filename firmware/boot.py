# floor 9: firmware
# Runs first, after each reset: counts the boot, nothing else. RAM: none.
# An error here would skip main.py, so none gets out.
try:
    import safe_mode

    safe_mode.begin()
except Exception as e:
    print("boot:", repr(e))
