"""A stand-in for D-Robotics' hobot_dnn, made from its documentation; nothing here is theirs."""
