"""Starts the graph: ``ros2 launch xlerobot_asr_opt asr.launch.py source:=mic``.

Arguments and processes are those of ``xlerobot-asr up``, out of the table in processes.py; what
ends is started again by the same rule. The manager brings the nodes up, so that here they are
ordinary processes. Down, the writer of loaned memory waits for its readers by itself, since a
Ctrl-C in the terminal reaches all of them at once.
"""

import time

import launch.logging
from launch.actions import DeclareLaunchArgument, OpaqueFunction, TimerAction
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription
from xlerobot_asr_opt.core.respawning import EXIT_CONFIGURATION, Respawning
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.parameters import table
from xlerobot_asr_opt.processes import GraphArguments, Process, process_table, read_arguments
from xlerobot_asr_opt.ros.dead_ports import DeadPorts
from xlerobot_asr_opt.ros.shared_memory import sweep_stale_segments

PATIENCE_S = '1.0'
"""Time to end after SIGINT before SIGTERM is sent, and after that before SIGKILL: all of it ends
within three seconds."""


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the processes follow from their values."""
    return LaunchDescription([
        *(DeclareLaunchArgument(
            item.name, default_value=_text(item.default), description=item.description,
            choices=None if isinstance(item.default, tuple) else item.choices or None)
          for item in table(GraphArguments)),
        OpaqueFunction(function=_start_graph),
    ])


def _start_graph(context: LaunchContext) -> list[Node]:
    arguments = read_arguments({
        item.name: LaunchConfiguration(item.name).perform(context)
        for item in table(GraphArguments)})
    processes = process_table(arguments)
    sweep_stale_segments()
    dead_ports = DeadPorts()
    return [_start(process, Respawning(process.respawn_delay), dead_ports)
            for process in processes]


def _start(process: Process, respawning: Respawning, dead_ports: DeadPorts) -> Node:
    begin = time.monotonic()

    def ended(event: ProcessExited, context: LaunchContext) -> TimerAction | None:
        if context.is_shutdown or not process.respawn:
            return None
        if event.returncode == EXIT_CONFIGURATION:
            raise ConfigurationError(f'{process.full_name} cannot run: its last line says why')
        dead_ports.hold()
        delay = respawning.after(time.monotonic() - begin, event.returncode)
        if delay is None:
            launch.logging.get_logger(process.name).error('given up: it ends whenever it starts')
            return None
        return TimerAction(
            period=delay,
            actions=[OpaqueFunction(function=lambda _: [_start(process, respawning, dead_ports)])])

    return Node(
        package='xlerobot_asr_opt', executable=process.executable, name=process.name,
        namespace=process.namespace, additional_env=dict(process.environment),
        parameters=[{name: _parameter(value) for name, value in process.parameters.items()}],
        ros_arguments=list(process.log_arguments), output='both', on_exit=ended,
        sigterm_timeout=PATIENCE_S, sigkill_timeout=PATIENCE_S)


def _parameter(value: object) -> ParameterValue:
    """Keep the type: without it, launch would read a model named 7 as a number."""
    if isinstance(value, tuple):
        return ParameterValue(list(value), value_type=list[str])
    return ParameterValue(value, value_type=type(value))


def _text(default: object) -> str:
    """Write a default as read_arguments reads it."""
    return ','.join(default) if isinstance(default, tuple) else str(default).lower()
