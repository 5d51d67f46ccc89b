"""The seam to ROS: loans, parameters, conversions, QoS and topic names, logging, run."""
