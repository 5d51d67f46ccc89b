"""A graph of processes of one's own, for as long as a with block runs."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from xlerobot_asr_opt.cli.child_output import to_standard_error
from xlerobot_asr_opt.cli.process_group import Child, ProcessGroup
from xlerobot_asr_opt.core.managed_node import REFUSED, Phase
from xlerobot_asr_opt.errors import AsrError, ConfigurationError
from xlerobot_asr_opt.processes import GraphArguments, Process, process_table
from xlerobot_asr_opt.ros.dead_ports import DeadPorts
from xlerobot_asr_opt.ros.shared_memory import sweep_stale_segments

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from typing_extensions import Self

    from xlerobot_asr_opt.ros.activity import Activity

__all__ = ['Graph', 'command']

POLL_S = 0.02
"""Interval at which a graph that starts is asked whether it is active [s]."""
LAST_WORDS_S = 1.0
"""How long the reason of a failure is waited for: its line may come after the news of it [s]."""


def command(process: Process, directory: Path) -> tuple[str, ...]:
    """Return the command line of a process; its parameters are written to a file in directory."""
    line = [
        sys.executable, '-m', f'xlerobot_asr_opt.nodes.{process.executable}', '--ros-args',
        '-r', f'__node:={process.name}', '-r', f'__ns:={process.namespace}',
        *process.log_arguments]
    if process.parameters:
        # Of all that YAML allows, JSON is what every parser reads the same way.
        path = directory / f'{process.name}.yaml'
        path.write_text(
            json.dumps({process.full_name: {'ros__parameters': dict(process.parameters)}}),
            encoding='utf-8')
        line += ['--params-file', str(path)]
    return tuple(line)


class Graph:
    """Starts the processes of a graph, and ends them with the block.

    Args:
        arguments: what to start.
        write: takes the name of a node and one line of its output; default: standard error.
        domain: ROS_DOMAIN_ID of the graph; None: the environment's.
        line: makes the command line of a process, given a directory for its files.

    Raises:
        ConfigurationError: the arguments are not valid; nothing was started.
    """

    def __init__(
        self,
        arguments: GraphArguments,
        *,
        write: Callable[[str, str], None] = to_standard_error,
        domain: int | None = None,
        line: Callable[[Process, Path], tuple[str, ...]] = command,
    ) -> None:
        self._domain = domain
        self._line = line
        self._processes = process_table(arguments)
        self._directory = tempfile.TemporaryDirectory(prefix='xlerobot-asr-')
        self._dead_ports = DeadPorts(domain)
        self._group = ProcessGroup(
            [self._child(process) for process in self._processes], write, self._dead_ports.hold)
        self._started = 0.0

    @property
    def namespace(self) -> str:
        """ROS namespace, with its leading slash."""
        return self._processes[0].namespace

    @property
    def pids(self) -> dict[str, int]:
        """The running processes, by the name of their node."""
        return self._group.pids

    @property
    def given_up(self) -> dict[str, str]:
        """Why a process is not started any more, by the name of its node."""
        return self._group.given_up

    @property
    def manager_pid(self) -> int:
        """The process of the manager; 0: none runs."""
        return self.pids.get(self._processes[-1].name, 0)

    def signal_manager(self, number: signal.Signals) -> None:
        """Send a signal to the process of the manager, if one runs."""
        self._group.send(self._processes[-1].name, number)

    def start(self) -> None:
        """Start the processes; return at once."""
        sweep_stale_segments()
        self._started = time.monotonic()
        self._group.start()

    def wait_active(
        self, timeout: float = 60.0, interrupted: Callable[[], bool] = lambda: False,
    ) -> float:
        """Wait until every node is active, or one refuses to be.

        Args:
            timeout: longest wait [s].
            interrupted: whether the wait should end early; asked again and again.

        Returns:
            Time since the start [s].

        Raises:
            ConfigurationError: a process cannot run as it was told to.
            AsrError: not all are active; the message says which one, and its last words.
        """
        until = time.monotonic() + timeout
        inactive: tuple[str, ...] = ('manager: does not answer',)
        with self.activity() as activity:
            while not interrupted():
                active, inactive = activity.poll(POLL_S) or (False, inactive)
                if active:
                    break
                self.check()
                self._raise_hopeless(inactive)
                if time.monotonic() > until:
                    raise AsrError(
                        f'the graph is not active after {timeout:g} s: {"; ".join(inactive)}')
        return time.monotonic() - self._started

    def activity(self) -> Activity:
        """Return what asks the manager of this graph whether all nodes are active."""
        # Only who asks has the middleware in its own process.
        from xlerobot_asr_opt.ros.activity import Activity

        return Activity(self.namespace, self._domain, self._processes[-1].name)

    def check(self) -> None:
        """Look whether every process can run as it was told to.

        Raises:
            ConfigurationError: one of them ended since it cannot; the message has its last words.
        """
        for name in self._group.refused:
            raise ConfigurationError(f'{name} cannot run:\n{self._last_words([name])}')

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until no process runs and none will be started; return whether that is so."""
        return self._group.wait(timeout)

    def stop(self) -> None:
        """End every process, readers of loaned memory first; returns within three seconds."""
        self._group.stop()
        self._dead_ports.close()
        self._directory.cleanup()
        sweep_stale_segments()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _raise_hopeless(self, inactive: tuple[str, ...]) -> None:
        """Raise where waiting is in vain."""
        hopeless = [f'{name}: {reason}' for name, reason in self._group.given_up.items()]
        hopeless += [text for text in inactive if REFUSED in text or Phase.GIVEN_UP.value in text]
        if hopeless:
            names = [text.partition(':')[0] for text in hopeless]
            raise AsrError(
                f'the graph does not start: {"; ".join(hopeless)}\n{self._last_words(names)}')

    def _last_words(self, names: Iterable[str]) -> str:
        """Return what the processes wrote last, errors where there are some, one line each."""
        names = list(names)
        until = time.monotonic() + LAST_WORDS_S
        while True:
            lines = [line for name in names for line in self._group.tail(name)]
            said = [line for line in lines if 'ERROR' in line or 'FATAL' in line]
            if said or time.monotonic() > until:
                return '\n'.join(f'  {line}' for line in said or lines[-5:])
            time.sleep(POLL_S)

    def _child(self, process: Process) -> Child:
        environment = dict(process.environment)
        if self._domain is not None:
            environment['ROS_DOMAIN_ID'] = str(self._domain)
        return Child(
            name=process.name, command=self._line(process, Path(self._directory.name)),
            environment=environment, stop_stage=process.stop_stage, respawn=process.respawn,
            respawn_delay=process.respawn_delay)
