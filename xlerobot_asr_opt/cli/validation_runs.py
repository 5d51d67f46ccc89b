"""Starts a graph for each measurement of a validation, plays the audio and keeps what it did."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from xlerobot_asr_opt.cli.graph import Graph
from xlerobot_asr_opt.cli.node_samples import sampling
from xlerobot_asr_opt.cli.output import complain
from xlerobot_asr_opt.cli.replay import Player
from xlerobot_asr_opt.cli.run_file import write_run
from xlerobot_asr_opt.cli.session import private_store
from xlerobot_asr_opt.core.performance_records import RecordedRun, Utterance
from xlerobot_asr_opt.core.run_load import Load
from xlerobot_asr_opt.core.validation import Measurement, Setting
from xlerobot_asr_opt.processes import GraphArguments
from xlerobot_asr_opt.records import TranscriptStatus
from xlerobot_asr_opt.sources.bag import BagReader

if TYPE_CHECKING:
    from xlerobot_asr_opt.records import Transcript
    from xlerobot_asr_opt.ros.client import GraphClient

__all__ = ['Runs']

STATUS_S = 1.5
"""Within this time every stream that is open has sent its status: what is played again counts on
from there."""


class Runs:
    """The measurements of one validation.

    Attributes:
        commands: what starts the graph, plays the audio and prints the figures of each
            measurement, by its name.

    Args:
        directory: holds the bag, and takes a RUN.json for each time that it is played.
        namespace: of every graph.
        topic: of the audio.
        speed: times the recorded pace.
        model: name or directory; empty: as configured.
    """

    def __init__(self, directory: Path, namespace: str, topic: str, speed: float, model: str,
                 ) -> None:
        self.commands: dict[str, tuple[str, ...]] = {}
        self._directory = directory
        self._namespace = namespace
        self._topic = topic
        self._speed = speed
        self._model = model

    def measure(
        self, name: str, setting: Setting, *, recorded_pace: bool = False, passes: int = 1,
        ask: Callable[[], None] | None = None,
    ) -> Measurement:
        """Start a graph, play the audio, and end it.

        Args:
            name: of the measurement.
            setting: of the graph.
            recorded_pace: whether it is played as it was spoken.
            passes: how often it is played.
            ask: asks the graph something, once the audio was played.

        Raises:
            AsrError: the graph does not start, or dies.
        """
        complain(f'{name}: processes={setting.processes} {" ".join(setting.parameters)}')
        speed = 1.0 if recorded_pace else self._speed
        runs, lost = [], 0
        with BagReader(self._bag) as bag, self._graph(setting, name) as (graph, client):
            for turn in range(passes):
                if turn:
                    client.spin_until(lambda: False, STATUS_S)
                run, missing = _play(client, bag, speed, graph)
                runs.append(run)
                lost += missing
                write_run(self._file(name, turn), run)
            if ask is not None:
                ask()
        self.commands[name] = self._commands(name, setting, speed, passes)
        return Measurement(
            tuple(tuple(one.transcript for one in run.utterances) for run in runs), lost,
            max(Load([], run).memory_mb for run in runs))

    @property
    def _bag(self) -> Path:
        return self._directory / 'bag'

    @contextlib.contextmanager
    def _graph(self, setting: Setting, name: str) -> Iterator[tuple[Graph, GraphClient]]:
        """A running graph, with a cache of its own that is empty at first, and a client of it."""
        from xlerobot_asr_opt.ros.client import GraphClient
        arguments = GraphArguments(
            model=self._model, source='topic', topics=(self._topic,), namespace=self._namespace,
            processes=setting.processes, log_level='warn',
            parameters=self._parameters(setting, name))
        with private_store(arguments) as private, Graph(private) as graph:
            graph.wait_active()
            with GraphClient(self._namespace) as client:
                client.await_scheduler()
                yield graph, client

    def _parameters(self, setting: Setting, name: str) -> tuple[str, ...]:
        """The setting, and a cache that nobody else writes into."""
        return (*setting.parameters, f'cache.directory={self._directory / f"{name}_cache"}')

    def _file(self, name: str, turn: int) -> Path:
        return self._directory / (f'{name}_again.json' if turn else f'{name}.json')

    def _commands(self, name: str, setting: Setting, speed: float, passes: int,
                  ) -> tuple[str, ...]:
        """The commands that repeat a measurement by hand."""
        words = [f'xlerobot-asr up --namespace {self._namespace} --topics {self._topic}']
        if self._model:
            words.append(f'--model {self._model}')
        if setting.processes > 1:
            words.append(f'--processes {setting.processes}')
        words.append(f'--parameters {" ".join(self._parameters(setting, name))}')
        replay = (f'xlerobot-asr replay {self._bag} --rate {speed:g} --namespace '
                  f'{self._namespace}')
        return (' '.join(words), *[replay] * passes,
                *(f'xlerobot-asr analyze {self._file(name, turn)}' for turn in range(passes)))


def _play(client: GraphClient, bag: BagReader, speed: float, graph: Graph,
          ) -> tuple[RecordedRun, int]:
    """Play the audio once; return what became of it, and how many chunks were lost."""
    utterances: list[Utterance] = []

    def tell(transcript: Transcript, _origin_ns: int) -> bool:
        utterances.append(Utterance(transcript, time.time_ns()))
        return transcript.status in (TranscriptStatus.DONE, TranscriptStatus.NO_SPEECH)
    with sampling(lambda: graph.pids) as samples:
        outcome = Player(client, bag, speed, tell).play()
    return RecordedRun(tuple(utterances), tuple(samples), os.cpu_count() or 0), outcome.lost
