#!/bin/bash
# Runs a command in the environment of this checkout, over the ROS of $ROS_SETUP (default: Humble):
#   with_environment.sh xlerobot-asr up --source mic
# The command replaces this shell, so that a service manager's signals and watchdog reach it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
setup=${ROS_SETUP:-/opt/ros/humble/setup.bash}
if [ -f "$setup" ]; then
    set +u  # the hooks of ROS test variables that may be unset
    . "$setup"
    set -u
fi
. "$root/env.sh"
exec "$@"
