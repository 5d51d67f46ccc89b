"""Replays one bag again and again, at several rates: are the transcripts the same, byte for byte?

    python bench/replay.py [BAG] --runs 10 --rates 1 4 [--json FILE]

Every run has a graph of its own with the cache switched off, so that each one recognises
everything anew. Compared is what `xlerobot-asr replay --json` writes, the latencies left out: they
are the only fields that come from a wall clock. Ends with 1 if two runs differ or a chunk is lost.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path

import report

from xlerobot_asr_opt.cli.output import as_dictionary
from xlerobot_asr_opt.cli.record import bag_of_file
from xlerobot_asr_opt.cli.replay import Player
from xlerobot_asr_opt.cli.session import own_graph
from xlerobot_asr_opt.models.layout import asset_path
from xlerobot_asr_opt.processes import GraphArguments
from xlerobot_asr_opt.sources.bag import BagReader


def main():
    """Run the bench and print one line a run."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('bag', nargs='?', type=Path, help='default: made of two_cities.wav')
    parser.add_argument('--runs', type=int, default=10)
    parser.add_argument('--rates', type=float, nargs='+', default=[1, 4])
    parser.add_argument('--model', default='')
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        bag = args.bag or demo_bag(Path(directory) / 'two_cities')
        runs = []
        for rate in args.rates:
            for number in range(args.runs):
                run = replay(bag, rate, args.model)
                print(f'rate {rate:g}  run {number + 1:2}/{args.runs}  {run["seconds"]:6.1f} s  '
                      f'{run["utterances"]} utterances  {run["sent"]} chunks, {run["lost"]} lost  '
                      f'{run["digest"][:16]}', flush=True)
                runs.append(run)
    same = {run['digest'] for run in runs}
    lost = sum(run['lost'] for run in runs)
    print(f'{len(runs)} runs, {len(same)} different transcripts, {lost} chunks lost')
    if args.json:
        report.write(args.json, [
            {'name': 'different transcripts', 'value': len(same), 'unit': '1', 'goal': 1},
            {'name': 'lost chunks', 'value': lost, 'unit': 'chunks', 'goal': 0},
            *({'name': f'run {number} at rate {run["rate"]:g}', 'value': run['seconds'],
               'unit': 's'} for number, run in enumerate(runs))])
    return 0 if len(same) == 1 and not lost else 1


def demo_bag(path):
    """Make the bag of the demo's recording."""
    bag_of_file(asset_path('two_cities'), path, '/asr/audio')
    return path


def replay(path, rate, model):
    """Play the bag into a graph of its own; return what came out."""
    said = []

    def tell(transcript, origin_ns):
        said.append(as_dictionary(transcript, origin_ns, path.name) | {
            'status': transcript.status.name})
        return True
    with BagReader(path) as bag, own_graph(GraphArguments(
            model=model, source='topic', topics=bag.audio_topics, namespace='asr_bench',
            log_level='warn', parameters=('scheduler.use_cache=false',))) as client:
        begin = time.monotonic()
        outcome = Player(client, bag, rate, tell).play()
        seconds = time.monotonic() - begin
    for transcript in said:
        del transcript['latencies']
    said.sort(key=lambda item: (item['stream'], item['begin']))
    text = json.dumps(said, ensure_ascii=False)
    return {'rate': rate, 'seconds': round(seconds, 2), 'utterances': len(said),
            'sent': outcome.sent, 'lost': outcome.lost,
            'digest': hashlib.sha256(text.encode()).hexdigest()}


if __name__ == '__main__':
    sys.exit(main())
