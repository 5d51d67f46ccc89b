"""Decides: pure Python and NumPy, no ROS, no clock and no I/O of its own."""
