"""Starts a graph for each measurement of a validation, plays the audio and keeps what it did."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

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

T = TypeVar('T')
STATUS_S = 1.5
"""Within this time every stream that is open has sent its status."""


class Runs:
    """The measurements of one validation.

    Attributes:
        commands: what starts the graph, plays the audio and prints the figures of each
            measurement, by its name.

    Args:
        directory: holds the bag, and takes a RUN.json for each time that it is played.
        namespace: of every graph.
        speed: times the recorded pace.
        model: name or directory; empty: as configured.
    """

    def __init__(self, directory: Path, namespace: str, speed: float, model: str) -> None:
        self.commands: dict[str, tuple[str, ...]] = {}
        self._directory = directory
        self._namespace = namespace
        self._speed = speed
        self._model = model

    def measure(
        self, name: str, setting: Setting, survey: Callable[[], T], *, passes: int = 1,
        recorded_pace: bool = False,
    ) -> tuple[Measurement, T]:
        """Start a graph, play the audio, and end it.

        Args:
            name: of the measurement.
            setting: of the graph.
            survey: asks the running graph something.
            passes: how often the audio is played.
            recorded_pace: play it as it was spoken.

        Raises:
            AsrError: the graph does not start, or dies.
        """
        from xlerobot_asr_opt.ros.client import GraphClient
        complain(f'{name}: {" ".join(setting.parameters)} processes={setting.processes}')
        speed = 1.0 if recorded_pace else self._speed
        runs, lost = [], 0
        with BagReader(self._directory / 'bag') as bag:
            cache = self._directory / f'{name}_cache'
            arguments = self._arguments(setting, bag.audio_topics, cache)
            with private_store(arguments) as private, Graph(private) as graph:
                graph.wait_active()
                with GraphClient(self._namespace) as client:
                    client.await_scheduler()
                    for turn in range(passes):
                        run, missing = self._play(client, bag, speed, graph.pids)
                        runs.append(run)
                        lost += missing
                        write_run(self._file(name, turn), run)
                answer = survey()
        self._note(name, setting, bag.audio_topics, speed, passes)
        memory = max(Load([], run).memory_mb for run in runs)
        return Measurement(
            tuple(tuple(one.transcript for one in run.utterances) for run in runs), lost,
            memory), answer

    def _arguments(self, setting: Setting, topics: tuple[str, ...], cache: Path) -> GraphArguments:
        """A graph with a cache of its own, so that it begins with an empty one."""
        return GraphArguments(
            model=self._model, source='topic', topics=topics, namespace=self._namespace,
            processes=setting.processes, log_level='warn',
            parameters=(f'cache.directory={cache}', *setting.parameters))

    @staticmethod
    def _play(client: GraphClient, bag: BagReader, speed: float, pids: dict[str, int],
              ) -> tuple[RecordedRun, int]:
        """Play the audio once; return what became of it, and the chunks that were lost."""
        utterances: list[Utterance] = []

        def tell(transcript: Transcript, _origin_ns: int) -> bool:
            utterances.append(Utterance(transcript, time.time_ns()))
            return transcript.status in (TranscriptStatus.DONE, TranscriptStatus.NO_SPEECH)
        client.spin_until(lambda: False, STATUS_S)
        with sampling(pids) as samples:
            outcome = Player(client, bag, speed, tell).play()
        return (RecordedRun(tuple(utterances), tuple(samples), os.cpu_count() or 0),
                outcome.lost)

    def _file(self, name: str, turn: int) -> Path:
        return self._directory / (f'{name}_{turn + 1}.json' if turn else f'{name}.json')

    def _note(self, name: str, setting: Setting, topics: tuple[str, ...], speed: float,
              passes: int) -> None:
        """Keep the commands that repeat the measurement by hand."""
        words = [f'xlerobot-asr up --namespace {self._namespace} --topics {" ".join(topics)}']
        if self._model:
            words.append(f'--model {self._model}')
        if setting.processes > 1:
            words.append(f'--processes {setting.processes}')
        words.append(f'--parameters {" ".join(setting.parameters)}')
        replay = (f'xlerobot-asr replay {self._directory / "bag"} --rate {speed:g} '
                  f'--namespace {self._namespace}')
        self.commands[name] = (
            ' '.join(words), *[replay] * passes,
            *(f'xlerobot-asr analyze {self._file(name, turn)}' for turn in range(passes)))
