"""On-robot speech recognition as a ROS 2 graph."""
