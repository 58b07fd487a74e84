"""A simulated Bluetooth radio for virtual boards, on bumble's virtual controllers."""
