"""xlerobot-asr transcribe, against a graph that is played here."""

import contextlib
import itertools
import json
from collections import deque

import pytest

from xlerobot_asr_opt.cli import main as entry
from xlerobot_asr_opt.cli import transcribe
from xlerobot_asr_opt.errors import AsrError, ConfigurationError, SourceError
from xlerobot_asr_opt.records import StreamState, StreamStatus, Transcript, TranscriptStatus

BEGIN_NS = 1_700_000_000_000_000_000
DURATION_S = 2.0


class Opened:
    """What open_stream gives."""

    def __init__(self, stream):
        self.stream = stream
        self.duration_s = DURATION_S
        self.begin_ns = BEGIN_NS


class Graph:
    """Stands for the client: hears one utterance in each file.

    Args:
        status: what becomes of the utterance.
        end: how the file ends.
        refused: files that ingest cannot read, by what it says.
        alive: it tells of its streams.
    """

    namespace = '/asr'

    def __init__(self, status=TranscriptStatus.DONE, end=StreamState.ENDED, refused=None,
                 alive=True):
        self.streams = {}
        self.transcripts = deque()
        self.opened = []
        self.now = 0.0
        self._status, self._end, self._refused = status, end, refused or {}
        self._alive = alive
        self._steps = iter(())

    def open_stream(self, source, *, language, speed):
        name = source.rpartition('/')[2]
        if name in self._refused:
            raise SourceError(self._refused[name])
        self.opened.append((name, language, speed))
        self._steps = self._play(f'file_{name}')
        return Opened(f'file_{name}')

    def spin(self, seconds):
        self.now += seconds
        if self._alive:
            next(self._steps, None)

    def _play(self, stream):
        number = len(self.opened)
        self.streams[stream] = StreamStatus(stream, StreamState.SPEECH, position_s=1.0)
        yield
        self.transcripts.append(Transcript(
            number, stream, 0, self._status, BEGIN_NS + 250_000_000, BEGIN_NS + 1_500_000_000,
            text=f'word {number}', language='en', confidence=0.875, backend='scripted',
            reason='it was too late'))
        # Somebody else's, which is not to be shown.
        self.transcripts.append(Transcript(
            99, 'hall', 0, TranscriptStatus.DONE, BEGIN_NS, BEGIN_NS, text='not ours'))
        yield
        self.streams[stream] = StreamStatus(stream, self._end, position_s=2.0, segments=1)


@pytest.fixture
def play(monkeypatch, tmp_path, capsys):
    """Runs the command with a graph; returns exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(entry.signal, 'signal', lambda *_: None)
    for name in ('one.wav', 'two.wav'):
        (tmp_path / name).touch()

    def play(*arguments, graph, runs=True):
        @contextlib.contextmanager
        def running(namespace, _seconds):
            play.asked.append(namespace)
            yield graph if runs else None

        @contextlib.contextmanager
        def own(given):
            play.started.append(given)
            yield graph

        play.asked, play.started = [], []
        monkeypatch.setattr(transcribe, 'running_graph', running)
        monkeypatch.setattr(transcribe, 'own_graph', own)
        monkeypatch.setattr(
            transcribe, 'free_namespace', lambda: contextlib.nullcontext('asr_transcribe_0'))
        monkeypatch.setattr(transcribe.time, 'monotonic', lambda: graph.now)
        code = entry.main(['transcribe', *arguments])
        return code, *capsys.readouterr()
    return play


def test_each_utterance_is_a_line_with_its_times(play):
    graph = Graph()
    assert play('one.wav', graph=graph) == (0, '00:00.250  00:01.500  word 1\n', '')
    assert graph.opened == [('one.wav', '', 0.0)]


def test_of_several_files_each_has_a_heading(play):
    code, out, _ = play('one.wav', 'two.wav', graph=Graph())
    assert code == 0
    assert out.splitlines() == [
        '==> one.wav <==', '00:00.250  00:01.500  word 1',
        '==> two.wav <==', '00:00.250  00:01.500  word 2']


def test_for_programs_each_utterance_is_an_object(play):
    code, out, err = play('--json', 'one.wav', 'two.wav', graph=Graph())
    assert (code, err) == (0, '')
    first, second = map(json.loads, out.splitlines())
    latencies = first.pop('latencies')
    assert first == {
        'file': 'one.wav', 'stream': 'file_one.wav', 'begin': 0.25, 'end': 1.5, 'text': 'word 1',
        'language': 'en', 'confidence': 0.875, 'emotion': '', 'event': '',
        'backend': 'scripted'}
    assert latencies.keys() == {'ingest', 'cache', 'queue', 'transport', 'wait', 'features',
                                'encode', 'decode', 'ahead', 'total'}
    assert second['file'] == 'two.wav'


def test_language_and_pace_reach_the_graph(play):
    graph = Graph()
    play('--language', 'de', '--speed', '1', 'one.wav', graph=graph)
    assert graph.opened == [('one.wav', 'de', 1.0)]


def test_the_graph_that_runs_is_used(play):
    play('--namespace', 'kitchen', 'one.wav', graph=Graph())
    assert play.asked == ['kitchen']
    assert play.started == []


def test_without_one_a_graph_is_started_in_a_namespace_of_its_own(play):
    code, out, _ = play('one.wav', graph=Graph(), runs=False)
    assert (code, out) == (0, '00:00.250  00:01.500  word 1\n')
    (given,) = play.started
    assert (given.namespace, given.source, given.model) == ('asr_transcribe_0', 'none', '')


def test_with_a_model_the_graph_that_runs_is_not_even_asked(play):
    play('--model', 'whisper-base', 'one.wav', graph=Graph())
    assert play.asked == []
    assert [given.model for given in play.started] == ['whisper-base']


def test_a_file_that_is_not_there_does_not_keep_the_others_back(play, tmp_path):
    (tmp_path / 'folder').mkdir()
    code, out, err = play('none.wav', 'folder', 'two.wav', graph=Graph())
    assert code == 1
    assert out.splitlines() == ['==> two.wav <==', '00:00.250  00:01.500  word 1']
    assert err.splitlines() == ['none.wav: no such file', 'folder: not a file']


def test_without_any_file_no_graph_is_started(play):
    code, out, err = play('none.wav', graph=Graph(), runs=False)
    assert (code, out, err) == (1, '', 'none.wav: no such file\n')
    assert play.started == []


def test_a_file_that_cannot_be_read_does_not_keep_the_others_back(play):
    graph = Graph(refused={'one.wav': 'got no audio, expected WAV, FLAC or OGG'})
    code, out, err = play('--json', 'one.wav', 'two.wav', graph=graph)
    assert code == 1
    assert [json.loads(line)['file'] for line in out.splitlines()] == ['two.wav']
    assert err == 'one.wav: got no audio, expected WAV, FLAC or OGG\n'


def test_a_file_that_breaks_off_is_told_after_what_was_heard(play):
    code, out, err = play('one.wav', graph=Graph(end=StreamState.FAILED))
    assert (code, out, err) == (
        1, '00:00.250  00:01.500  word 1\n', 'one.wav: the file broke off\n')


@pytest.mark.parametrize('status', [TranscriptStatus.REJECTED, TranscriptStatus.EXPIRED])
def test_what_was_not_recognised_is_told_with_its_reason(play, status):
    code, out, err = play('one.wav', graph=Graph(status=status))
    assert (code, out) == (1, '')
    assert err == (
        f'one.wav: 00:00.250 to 00:01.500 {status.name.lower()}: it was too late\n')


def test_silence_is_no_utterance_and_no_failure(play):
    assert play('one.wav', graph=Graph(status=TranscriptStatus.NO_SPEECH)) == (0, '', '')


def test_a_graph_that_died_is_told(play):
    code, out, err = play('one.wav', graph=Graph(alive=False))
    assert (code, out) == (1, '')
    assert err == ('xlerobot-asr transcribe: one.wav: no news of it for 15 s: the graph in /asr '
                   'has died; its log says why\n')


@pytest.mark.parametrize(('error', 'code'), [
    (ConfigurationError('inference_0 cannot run'), 2), (AsrError('the graph does not start'), 1)])
def test_a_graph_that_does_not_start_is_told(play, monkeypatch, capsys, error, code):
    play('one.wav', graph=Graph())

    @contextlib.contextmanager
    def refused(_given):
        raise error
        yield
    monkeypatch.setattr(transcribe, 'own_graph', refused)
    assert entry.main(['transcribe', '--model', 'x', 'one.wav']) == code
    assert capsys.readouterr().err == f'xlerobot-asr transcribe: {error}\n'


@pytest.mark.parametrize('arguments', [
    [], ['--speed', '-1', 'a.wav'], ['--speed', 'nan', 'a.wav'], ['--rate', '1', 'a.wav']])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        entry.main(['transcribe', *arguments])
    assert caught.value.code == 2
    assert 'usage: xlerobot-asr' in capsys.readouterr().err


class Terminal:
    """A standard error that is a terminal."""

    def __init__(self):
        self.written = ''

    def write(self, text):
        self.written += text
        return len(text)

    def flush(self):
        """Nothing is held back."""

    def isatty(self):
        return True


@pytest.mark.parametrize(('duration', 'drawn'), [(5.0, False), (60.0, True)])
def test_only_a_long_file_has_a_bar(monkeypatch, duration, drawn):
    terminal = Terminal()
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setattr(transcribe.sys, 'stderr', terminal)
    with transcribe._progress('a/talk.wav', duration) as move:
        for position in itertools.takewhile(lambda s: s <= duration, itertools.count(0.0, 5.0)):
            move(position)
    assert ('talk.wav' in terminal.written) == drawn
