"""A machine that is made of files: its memory, its control groups and its processes."""

import os

from xlerobot_asr_opt.process_memory import MemoryReader

MB = 10**6
GIB = 2**30
SHARED_KIB = 100_000


class Machine:
    """A tree like / that says what a test wants."""

    def __init__(self, root):
        self.root = root
        self.reader = MemoryReader(root)
        self.write('proc/meminfo', 'MemTotal: 8388608 kB\nMemFree: 1 kB\n'
                                   'MemAvailable: 6291456 kB\nHugePages_Total:       0\n')

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def group(self, version, path, limit, used, droppable=0):
        mount, names = {
            1: ('memory', ('limit_in_bytes', 'usage_in_bytes', 'total_inactive_file')),
            2: ('', ('max', 'current', 'inactive_file'))}[version]
        folder = '/'.join(filter(None, ('sys/fs/cgroup', mount, path)))
        self.write(f'{folder}/memory.{names[0]}', f'{limit}\n')
        self.write(f'{folder}/memory.{names[1]}', f'{used}\n')
        self.write(f'{folder}/memory.stat', f'anon 5\n{names[2]} {droppable}\n')

    def process(self, pid, kib):
        self.write(f'proc/{pid}/smaps_rollup', (
            '55a0-7ffc ---p 00000000 00:00 0                          [rollup]\n'
            f'Rss:     {kib + SHARED_KIB} kB\nPss:     {kib + 10} kB\nShared_Clean: 7 kB\n'
            f'Private_Clean:  24 kB\nPrivate_Dirty: {kib - 24} kB\n'))
        self.counter(pid, kib + SHARED_KIB)

    def counter(self, pid, kib):
        pages = kib * 1024 // os.sysconf('SC_PAGE_SIZE')
        self.write(f'proc/{pid}/statm', f'{2 * pages} {pages} 100 1 0 {pages} 0\n')
