"""Talks to the graph of the first host, on behalf of test_second_host.py.

    second_host_client.py NAMESPACE

For every line read, a number, so many people say the same clause at once, each with a loudness of
his own; answered is one line of JSON: text, worker and status of each, in the order of their
loudness. The first line says that the graph is there.
"""

import json
import sys
import time

import numpy as np
from talking import PATIENCE_S, as_chunks, utterance

from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.client import GraphClient
from xlerobot_asr_opt.sources import wire


def main():
    """Say what is asked for, until the input ends."""
    with GraphClient(sys.argv[1]) as client:
        publisher = client.audio_publisher(names.AUDIO)
        client.await_scheduler()
        client.await_readers(PATIENCE_S)
        print(json.dumps('ready'), flush=True)
        for turn, line in enumerate(sys.stdin):
            print(json.dumps(say(client, publisher, turn, int(line))), flush=True)


def say(client, publisher, turn, people):
    """Have people speak at once; return what was understood of each."""
    streams = [f'turn{turn}-person{person}' for person in range(people)]
    for person, stream in enumerate(streams):
        samples = (utterance() * 0.95 ** person).astype(np.int16)
        for chunk in as_chunks(stream, samples):
            publisher.publish(wire.encode(chunk))
    heard = {}
    deadline = time.monotonic() + PATIENCE_S
    while len(heard) < people and time.monotonic() < deadline:
        client.spin(0.05)
        while client.transcripts:
            one = client.transcripts.popleft()
            heard[one.stream] = {
                'text': one.text, 'worker': one.worker, 'status': one.status,
                'attempts': one.attempts}
    return [heard.get(stream) for stream in streams]


if __name__ == '__main__':
    main()
