"""One file by HTTP from a server that cuts, stalls, lies and refuses."""

import dataclasses
import email.message
import hashlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from faulty_server import CONTENT, PATIENCE_S, serving, stall, status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.catalog import HostedFile
from xlerobot_asr_opt.models.http import Patience, fetch_file
from xlerobot_asr_opt.models.http_answer import Answer, read_answer

SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for variable in os.environ:
        if variable.lower().endswith('_proxy') or variable == 'HF_ENDPOINT':
            monkeypatch.delenv(variable)


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture
def waited():
    """The waits between tries [s]; nobody really waits."""
    return []


@pytest.fixture
def fetch(server, tmp_path, waited):
    """Fetches the server's file; changes replace fields of the HostedFile."""
    def fetch(*, told=None, stall_s=PATIENCE_S, **changes):
        file = dataclasses.replace(
            HostedFile(server.address, 'model.onnx', SIZE, SHA256), **changes)
        progress = (lambda *what: told.append(what)) if told is not None else (lambda *_: None)
        fetch_file(file, tmp_path / 'model.onnx', progress,
                   Patience(stall_s=stall_s, sleep=waited.append))
        return (tmp_path / 'model.onnx').read_bytes()
    return fetch


def ranges(server):
    return [headers.get('Range') for _, headers in server.asked]


def left(tmp_path):
    return sorted(path.name for path in tmp_path.iterdir())


def test_a_file_arrives_and_its_bytes_are_told(fetch, server, tmp_path, waited):
    told = []
    assert fetch(told=told) == CONTENT
    assert left(tmp_path) == ['model.onnx']
    assert waited == []
    assert {(what, total) for what, _, total in told} == {('download model.onnx', SIZE)}
    done = [done for _, done, _ in told]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, SIZE)
    (_, headers), = server.asked
    assert headers['Accept-Encoding'] == 'identity'
    assert 'Range' not in headers


def test_a_cut_file_goes_on_where_it_was_cut(fetch, server, waited):
    server.faults = [30_000, 10_000]
    assert fetch() == CONTENT
    assert ranges(server) == [None, 'bytes=30000-', 'bytes=40000-']
    assert {headers['If-Range'] for _, headers in server.asked[1:]} == {'"one"'}
    # Each try brought something: the waits do not grow.
    assert waited == [1.0, 1.0]


def test_a_stalled_server_is_left_and_asked_again(fetch, server):
    server.faults = [stall(50_000)]
    assert fetch(stall_s=0.5) == CONTENT
    assert ranges(server) == [None, 'bytes=50000-']


def test_a_server_that_stalls_for_good_is_given_up(fetch, server, tmp_path):
    server.faults = [stall(0)] * 4
    with pytest.raises(ModelError, match=r'the server stalled \(4 tries in a row\)'):
        fetch(stall_s=0.5)
    assert 'model.onnx' not in left(tmp_path)


def test_a_server_that_ignores_ranges_begins_anew(fetch, server):
    server.ranges = False
    server.faults = [30_000]
    assert fetch() == CONTENT
    assert ranges(server) == [None, 'bytes=30000-']


def test_another_version_on_the_server_begins_anew(fetch, server):
    server.content, server.tag = b'old ' * (SIZE // 4), '"old"'
    server.faults = [30_000, lambda handler: renew(handler)]

    def renew(handler):
        server.content, server.tag = CONTENT, '"one"'
        handler.send()
    assert fetch() == CONTENT


def test_without_a_version_the_whole_is_asked_for_again(fetch, server):
    server.tag = ''
    server.faults = [30_000]
    assert fetch() == CONTENT
    assert ranges(server) == [None, None]


def test_the_rest_of_another_file_is_noticed_and_fetched_once_more(fetch, server):
    # The server says that it is the same version, and it is not.
    server.faults = [30_000, lambda handler: handler.send(content=bytes(SIZE))]
    assert fetch() == CONTENT
    assert ranges(server) == [None, 'bytes=30000-', None]


@pytest.mark.parametrize('part', [
    'bytes 5-102399/102400', 'bytes 30000-102399/200000', 'bytes */102400', 'lines 1-2/3', ''])
def test_a_part_that_was_not_asked_for_is_not_taken(fetch, server, part):
    server.faults = [30_000, status(206, Content_Range=part)]
    assert fetch() == CONTENT
    assert ranges(server) == [None, 'bytes=30000-', None]


def test_corruption_is_noticed_and_nothing_is_left(fetch, server, tmp_path):
    server.content = CONTENT[:-1] + b'X'
    with pytest.raises(ModelError) as caught:
        fetch()
    found = hashlib.sha256(server.content).hexdigest()
    assert f'got {SIZE} bytes and SHA-256 {found}, expected {SIZE} bytes and SHA-256 ' in str(
        caught.value)
    assert len(server.asked) == 1
    assert left(tmp_path) == []


def test_another_length_is_refused_before_it_is_fetched(fetch, server, tmp_path):
    server.content = b'<html>Please log in</html>'
    with pytest.raises(ModelError, match=r'got 26 bytes, .*not the published file; look whether'):
        fetch()
    assert left(tmp_path) == []


def test_more_than_announced_is_not_taken(fetch, server, tmp_path):
    server.faults = [lambda handler: handler.send(content=CONTENT * 3, chunked=True)]
    with pytest.raises(ModelError, match='not the published file'):
        fetch()
    assert left(tmp_path) == []


def test_a_length_that_is_not_said_is_no_fault(fetch, server):
    server.faults = [lambda handler: handler.send(chunked=True)]
    assert fetch() == CONTENT


def test_less_than_announced_is_fetched_again(fetch, server):
    server.faults = [lambda handler: handler.send(content=CONTENT[:100], length=SIZE)]
    assert fetch() == CONTENT


@pytest.mark.parametrize('code', [401, 403, 404, 410, 451])
def test_a_final_status_is_told_at_once(fetch, server, waited, code):
    server.faults = [status(code)]
    with pytest.raises(ModelError) as caught:
        fetch()
    said = str(caught.value)
    assert said.startswith(f'{server.address} cannot be fetched: the server answered {code} ')
    assert waited == []


@pytest.mark.parametrize('code', [408, 429, 500, 502, 503, 504])
def test_a_passing_status_is_tried_again_with_growing_waits(fetch, server, waited, code):
    server.faults = [status(code)] * 3
    assert fetch() == CONTENT
    assert waited == [1.0, 2.0, 4.0]


def test_a_server_that_stays_broken_is_given_up(fetch, server, waited):
    server.faults = [status(500)] * 9
    with pytest.raises(ModelError, match=r'answered 500 .*\(4 tries in a row\)'):
        fetch()
    assert waited == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(('asked', 'wait_s'), [
    ('7', 7.0), ('3600', 60.0), ('0', 1.0), ('soon', 1.0), ('-5', 1.0)])
def test_the_server_may_ask_to_wait_but_not_for_ever(fetch, server, waited, asked, wait_s):
    server.faults = [status(429, Retry_After=asked)]
    assert fetch() == CONTENT
    assert waited == [wait_s]


def test_what_has_arrived_is_kept_for_the_next_call(fetch, server, tmp_path):
    server.faults = [30_000, *[status(503)] * 4]
    with pytest.raises(ModelError, match='30000 bytes are kept for the next try'):
        fetch()
    assert left(tmp_path) == ['model.onnx.part', 'model.onnx.part.json']
    del server.asked[:]
    assert fetch() == CONTENT
    assert ranges(server) == ['bytes=30000-']
    assert left(tmp_path) == ['model.onnx']


@pytest.mark.parametrize('note', ['', '{', '[]', '{"version": 5}', '{"version": ""}', None])
@pytest.mark.parametrize(
    'part', [b'', b'garbage', CONTENT[:999], CONTENT, bytes(SIZE), CONTENT * 2])
def test_whatever_lies_there_the_file_becomes_right(fetch, tmp_path, part, note):
    (tmp_path / 'model.onnx.part').write_bytes(part)
    if note is not None:
        (tmp_path / 'model.onnx.part.json').write_text(note)
    assert fetch() == CONTENT
    assert left(tmp_path) == ['model.onnx']


def test_a_part_that_is_complete_is_not_asked_for(fetch, server, tmp_path):
    (tmp_path / 'model.onnx.part').write_bytes(CONTENT)
    assert fetch() == CONTENT
    assert server.asked == []


def test_a_range_that_the_server_does_not_have_begins_anew(fetch, server, tmp_path):
    server.faults = [30_000, status(416)]
    assert fetch() == CONTENT
    assert ranges(server) == [None, 'bytes=30000-', None]


def test_a_redirect_to_another_place_is_followed_with_its_range(fetch, server):
    there = server.address.replace('/file', '/elsewhere')
    server.faults = [status(302, Location=there), 30_000, status(307, Location='/elsewhere')]
    assert fetch() == CONTENT
    assert [path for path, _ in server.asked] == ['/file', '/elsewhere', '/file', '/elsewhere']
    assert ranges(server)[-1] == 'bytes=30000-'


@pytest.mark.parametrize('place', [
    'https://127.0.0.1:1/file', 'ftp://127.0.0.1/file', 'file:///etc/passwd'])
def test_a_redirect_to_another_scheme_is_not_followed(fetch, server, tmp_path, waited, place):
    server.faults = [status(302, Location=place)]
    with pytest.raises(ModelError, match=place):
        fetch()
    assert left(tmp_path) == []
    assert waited == []


def test_a_redirect_in_a_circle_ends(fetch, server):
    server.faults = [status(302, Location='/file')] * 20
    with pytest.raises(ModelError, match='the server answered 302'):
        fetch()


def test_a_home_that_cannot_be_reached_is_told(fetch, waited):
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))
        address = f'http://127.0.0.1:{closed.getsockname()[1]}/file'
        with pytest.raises(ModelError) as caught:
            fetch(address=address)
    said = str(caught.value)
    assert said.startswith(f'{address} cannot be fetched: ')
    assert 'refused' in said
    assert waited == [1.0, 2.0, 4.0]


def test_a_certificate_that_is_not_valid_is_told_at_once(fetch, monkeypatch, waited):
    def refuse(*_arguments, **_named):
        raise urllib.error.URLError(ssl.SSLCertVerificationError('self-signed certificate'))
    monkeypatch.setattr(urllib.request.OpenerDirector, 'open', refuse)
    with pytest.raises(ModelError, match=r'its certificate is not valid .*self-signed'):
        fetch()
    assert waited == []


def test_the_usual_variable_names_the_proxy(fetch, server, monkeypatch):
    monkeypatch.setenv('http_proxy', server.address.removesuffix('/file'))
    assert fetch(address='http://models.invalid/some/file') == CONTENT
    ((path, headers),) = server.asked
    assert (path, headers['Host']) == ('http://models.invalid/some/file', 'models.invalid')


def test_the_usual_variable_names_a_mirror_of_the_hub(fetch, server, monkeypatch):
    monkeypatch.setenv('HF_ENDPOINT', server.address.removesuffix('file'))
    assert fetch(address='https://huggingface.co/owner/model') == CONTENT
    assert [path for path, _ in server.asked] == ['/owner/model']


def test_a_disk_that_cannot_be_written_is_no_fault_of_the_network(fetch, tmp_path, waited):
    (tmp_path / 'model.onnx.part').mkdir()
    with pytest.raises(IsADirectoryError):
        fetch()
    assert waited == []


FETCH = """\
import pathlib, sys
from xlerobot_asr_opt.models.catalog import HostedFile
from xlerobot_asr_opt.models.http import fetch_file
address, size, sha256, target = sys.argv[1:]
fetch_file(HostedFile(address, 'model.onnx', int(size), sha256), pathlib.Path(target),
           lambda what, done, total: print(done, flush=True))
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_was_ended_is_taken_up_by_the_next(server, fetch, tmp_path, number):
    server.faults = [stall(65_536)]
    target = tmp_path / 'model.onnx'
    with subprocess.Popen(
        [sys.executable, '-c', FETCH, server.address, str(SIZE), SHA256, str(target)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for line in process.stdout:
            if int(line) == 65_536:
                break
        process.send_signal(number)
        process.wait(PATIENCE_S)
    assert not target.exists()
    arrived = (tmp_path / 'model.onnx.part').stat().st_size
    assert fetch() == CONTENT
    assert ranges(server) == [None, f'bytes={arrived}-' if arrived else None]


FAULTS = st.one_of(
    st.integers(0, SIZE), st.sampled_from([status(code) for code in (429, 500, 503, 416, 206)]),
    st.builds(lambda size: lambda handler: handler.send(content=bytes(size), length=SIZE),
              st.integers(1, SIZE)))


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(FAULTS, max_size=6), ranges=st.booleans(),
       tag=st.sampled_from(['"one"', '']))
def test_whatever_the_server_does_only_the_right_file_gets_its_name(
        server, tmp_path, faults, ranges, tag):
    target = tmp_path / 'model.onnx'
    for path in tmp_path.iterdir():
        path.unlink()
    server.faults, server.ranges, server.tag = list(faults), ranges, tag
    file = HostedFile(server.address, 'model.onnx', SIZE, SHA256)
    patience = Patience(attempts=2, sleep=lambda _s: None)
    for _ in range(len(faults) + 2):
        try:
            fetch_file(file, target, lambda *_: None, patience)
            break
        except ModelError:
            assert not target.exists()
    assert target.read_bytes() == CONTENT


def head(**headers):
    message = email.message.Message()
    for name, value in headers.items():
        message[name.replace('_', '-')] = value
    return message


@pytest.mark.parametrize(('headers', 'expected'), [
    ({}, Answer(200, None, -1, -1, '', 0.0)),
    ({'Content_Length': '12', 'ETag': '"a"', 'Last_Modified': 'Mon, 01 Jan 2024 00:00:00 GMT'},
     Answer(200, 12, -1, -1, '"a"', 0.0)),
    ({'ETag': 'W/"a"', 'Last_Modified': 'Mon, 01 Jan 2024 00:00:00 GMT'},
     Answer(200, None, -1, -1, 'Mon, 01 Jan 2024 00:00:00 GMT', 0.0)),
    ({'Content_Range': 'bytes 5-9/10', 'Content_Length': '5'}, Answer(200, 5, 5, 10, '', 0.0)),
    ({'Content_Range': 'bytes 5-9/*', 'Content_Length': '-5'}, Answer(200, None, -1, -1, '', 0.0)),
    ({'Retry_After': 'Mon, 01 Jan 2024 00:00:00 GMT'}, Answer(200, None, -1, -1, '', 0.0)),
    ({'Retry_After': '8'}, Answer(200, None, -1, -1, '', 8.0)),
])
def test_heads_are_read(headers, expected):
    assert read_answer(200, head(**headers)) == expected
