"""PolledSubscription: what has come waits, in order, and wakes nobody."""

import pytest

from xlerobot_asr_interfaces.msg import Heartbeat, MemoryReport
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.loans import LoanedPublisher
from xlerobot_asr_opt.ros.polled import PolledSubscription

DOMAIN = 68
COUNT = 20


class Polled:
    """A subscription of the player, which is spun, and publishers of its topic."""

    def __init__(self, world, kind, qos):
        self.world, self.kind, self.qos = world, kind, qos
        self.taken = []
        self.subscription = PolledSubscription(
            world.player, kind, 'polled', self.taken.append, qos)

    def publisher(self):
        publisher = LoanedPublisher(self.world.player, self.kind, 'polled', self.qos)
        self.world.spin_until(lambda: publisher.matched, 'a reader')
        return publisher

    def poll_until(self, count):
        def there():
            self.subscription.poll()
            return len(self.taken) == count
        self.world.spin_until(there, lambda: f'{len(self.taken)} of {count}')


@pytest.fixture
def polled(open_world):
    opened = []

    def polled(kind=Heartbeat, qos=names.CONTROL_QOS):
        opened.append(Polled(open_world(), kind, qos))
        return opened[-1]
    yield polled
    for one in opened:
        one.subscription.destroy()


def test_messages_wait_until_they_are_asked_for_and_keep_their_order(polled):
    one = polled()
    publisher = one.publisher()
    for progress in range(COUNT):
        with publisher.loan() as beat:
            beat['progress'] = progress
    one.world.spin_for(0.3)
    assert one.taken == []
    one.poll_until(COUNT)
    assert [beat.progress for beat in one.taken] == list(range(COUNT))
    one.subscription.poll()
    assert len(one.taken) == COUNT


def test_what_waits_does_not_wake_the_executor(polled, monkeypatch):
    one = polled()
    publisher = one.publisher()
    one.world.spin_for(0.3)
    turns = []
    act = one.world.executor._act
    monkeypatch.setattr(one.world.executor, '_act', lambda work: (turns.append(1), act(work)))
    with publisher.loan() as beat:
        beat['progress'] = 1
    one.world.spin_for(0.5)
    # A turn has two halves; Fast DDS may wake for the message once, but not again and again.
    assert len(turns) <= 6
    one.poll_until(1)


def test_of_states_none_is_lost_to_that_of_another_publisher(polled):
    one = polled(MemoryReport, names.LATCHED_QOS)
    for used in (1, 2, 3):
        with one.publisher().loan() as report:
            report.used = used
    one.world.spin_for(0.3)
    one.poll_until(3)
    assert sorted(report.used for report in one.taken) == [1, 2, 3]
