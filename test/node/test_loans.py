"""LoanedPublisher and LoanedSubscription in one process, with every way a message can go."""

import contextlib
import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseWithCovariance
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from std_msgs.msg import Bool, Char, Empty, String

from xlerobot_asr_interfaces.msg import AudioChunk, SpeechSegment, Transcript
from xlerobot_asr_opt.errors import TransportError
from xlerobot_asr_opt.ros import rcl
from xlerobot_asr_opt.ros.executor import DirectExecutor
from xlerobot_asr_opt.ros.loans import LoanedPublisher, LoanedSubscription
from xlerobot_asr_opt.ros.plain import dtype_of

DOMAIN = 41
PATIENCE_S = 10.0
DEPTH = 8
WAYS = {
    'loan': {},
    'off': {'XLEROBOT_ASR_ZERO_COPY': 'off'},
    'disabled': {'ROS_DISABLE_LOANED_MESSAGES': '1'},
}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    for name, value in WAYS[request.param].items():
        monkeypatch.setenv(name, value)
    return request.param


@pytest.fixture(params=[DirectExecutor, SingleThreadedExecutor, MultiThreadedExecutor])
def executor(request, context, node):
    executor = request.param(context=context)
    executor.add_node(node)
    yield executor
    executor.shutdown()


def spin_until(executor, condition):
    """Spin until the condition holds; a condition that does not come is an error."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, 'the condition did not come true'
        executor.spin_once(timeout_sec=0.1)


class Pair:
    """A publisher and a subscription that have found each other."""

    def __init__(self, node, executor, message_type, callback, depth=DEPTH, **options):
        self.subscription = LoanedSubscription(
            node, message_type, 'pair', callback, depth, **options
        )
        self.publisher = LoanedPublisher(node, message_type, 'pair', depth)
        spin_until(executor, lambda: self.publisher.matched and self.subscription.matched)


def test_layout_of_a_plain_message_is_that_of_its_struct():
    dtype = dtype_of(AudioChunk)
    assert dtype.names == tuple(AudioChunk.get_fields_and_field_types())
    assert dtype['stamp'] == dtype_of(Time)
    assert dtype['samples'] == np.dtype((np.int16, (1600,)))
    assert dtype.isalignedstruct
    assert dtype_of(SpeechSegment).fields['tail'][1] == 8 + 8 + 4 + 4 + 16 + 2 * 480000
    assert dtype_of(PoseWithCovariance)['pose']['position']['z'] == np.float64
    assert dtype_of(Bool)['data'] == np.bool_
    assert dtype_of(Char)['data'] == np.uint8
    assert dtype_of(AudioChunk) is dtype


@pytest.mark.parametrize(
    ('message_type', 'culprit'),
    [
        (String, r'String\.data is string'),
        (Transcript, r'Transcript\.header: Header\.frame_id is string'),
        (Empty, 'Empty has no field'),
    ],
)
def test_message_without_fixed_size_is_refused_by_the_name_of_the_field(message_type, culprit):
    with pytest.raises(TransportError, match=culprit):
        dtype_of(message_type)


def test_message_arrives_as_it_was_written(way, node, executor):
    received = []
    pair = Pair(node, executor, AudioChunk, lambda view: received.append(view.copy()))
    assert pair.publisher.loaned == pair.subscription.loaned == (way == 'loan')
    samples = np.arange(-800, 800, dtype=np.int16)
    with pair.publisher.loan() as view:
        view['stamp']['sec'] = -5
        view['stamp']['nanosec'] = 999_999_999
        view['stream'] = 0
        view['stream'][:3] = list(b'mic')
        view['sequence'] = 2**64 - 1
        view['rate'] = 16000
        view['channels'] = 1
        view['length'] = samples.size
        view['samples'] = samples
    spin_until(executor, lambda: received)
    assert received[0]['stamp'].item() == (-5, 999_999_999)
    assert bytes(received[0]['stream']).rstrip(b'\0') == b'mic'
    assert received[0]['sequence'] == 2**64 - 1
    assert received[0]['rate'] == 16000
    np.testing.assert_array_equal(received[0]['samples'], samples)


def test_layout_agrees_with_messages_of_rclpy_both_ways(way, node, executor):
    as_view, as_message = [], []
    LoanedSubscription(node, PoseWithCovariance, 'there', lambda v: as_view.append(v.copy()), 5)
    ordinary = node.create_publisher(PoseWithCovariance, 'there', 5)
    node.create_subscription(PoseWithCovariance, 'back', as_message.append, 5)
    ours = LoanedPublisher(node, PoseWithCovariance, 'back', 5)
    spin_until(executor, lambda: ordinary.get_subscription_count() and ours.matched)

    message = PoseWithCovariance(covariance=np.arange(36.0))
    message.pose.position.z, message.pose.orientation.w = 3.5, -1.0
    ordinary.publish(message)
    spin_until(executor, lambda: as_view)
    assert as_view[0]['pose']['position']['z'] == 3.5
    with ours.loan() as view:
        view[...] = as_view[0]
    spin_until(executor, lambda: as_message)
    assert as_message[0] == message


def test_received_view_is_read_only(way, node, executor):
    flags = []
    pair = Pair(node, executor, AudioChunk, lambda v: flags.append(v['samples'].flags.writeable))
    with pair.publisher.loan() as view:
        view['sequence'] = 1
    spin_until(executor, lambda: flags)
    assert flags == [False]


def test_exception_in_the_block_publishes_nothing_and_gives_the_loan_back(way, node, executor):
    received = []
    pair = Pair(node, executor, AudioChunk, lambda v: received.append(int(v['sequence'])))
    for _ in range(10 * DEPTH):  # many more than there are loans
        with contextlib.suppress(KeyError), pair.publisher.loan() as view:
            view['sequence'] = 1
            raise KeyError
    with pair.publisher.loan() as view:
        view['sequence'] = 2
    spin_until(executor, lambda: received)
    assert received == [2]
    assert pair.publisher.loans_refused == 0


def test_exception_in_the_callback_propagates_and_gives_the_loan_back(way, node, context):
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    raised = []

    def callback(view):
        raised.append(int(view['sequence']))
        raise ZeroDivisionError

    pair = Pair(node, executor, AudioChunk, callback)
    for sequence in range(10 * DEPTH):
        with pair.publisher.loan() as view:
            view['sequence'] = sequence
        with pytest.raises(ZeroDivisionError):
            spin_until(executor, lambda count=sequence: len(raised) > count)
    assert raised == list(range(10 * DEPTH))
    executor.shutdown()


@pytest.mark.parametrize('group', [MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup])
def test_burst_arrives_whole_and_in_order_and_lets_a_timer_have_its_turn(
    way, group, node, context
):
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    events = []
    pair = Pair(
        node, executor, AudioChunk, lambda v: events.append(int(v['sequence'])),
        depth=100, callback_group=group(),
    )
    for sequence in range(100):
        with pair.publisher.loan() as view:
            view['sequence'] = sequence
    node.create_timer(0.0, lambda: events.append('timer'))
    spin_until(executor, lambda: sum(event != 'timer' for event in events) == 100)
    assert [event for event in events if event != 'timer'] == list(range(100))
    assert 'timer' in events[: events.index(99)]
    executor.shutdown()


def test_loan_that_is_refused_is_sent_as_a_copy(node, executor, capfd):
    received, held = [], 0
    pair = Pair(
        node, executor, AudioChunk, lambda v: received.append(int(v['sequence'])), depth=50
    )
    with contextlib.ExitStack() as loans:
        while not pair.publisher.loans_refused:
            loans.enter_context(pair.publisher.loan())['sequence'] = held
            held += 1
            assert held < 1000, 'the middleware never refused a loan'
        loans.enter_context(pair.publisher.loan())['sequence'] = held
        held += 1
    assert pair.publisher.loans_refused == 2
    spin_until(executor, lambda: len(received) == min(held, 50))
    assert capfd.readouterr().err.count('could not borrow a message') == 1
    with pair.publisher.loan() as view:
        view['sequence'] = 7777
    spin_until(executor, lambda: received[-1] == 7777)
    assert pair.publisher.loans_refused == 2


def test_message_that_is_not_plain_goes_as_an_object(node, executor, capfd):
    received = []
    pair = Pair(node, executor, String, received.append)
    assert not pair.publisher.loaned
    assert not pair.subscription.loaned
    with pair.publisher.loan() as message:
        message.data = 'hello'
    spin_until(executor, lambda: received)
    assert received == [String(data='hello')]
    assert capfd.readouterr().err.count('String.data is string') == 1


@pytest.mark.parametrize('way', ['off', 'disabled'], indirect=True)
def test_fallback_is_announced_once_a_topic(way, node, capfd):
    for topic in ('one', 'one', 'two'):
        LoanedPublisher(node, AudioChunk, topic, 5)
        LoanedSubscription(node, AudioChunk, topic, lambda _: None, 5)
    log = capfd.readouterr().err
    (variable,) = WAYS[way]
    assert log.count('messages of /one are copied') == 1
    assert log.count('messages of /two are copied') == 1
    assert log.count(variable) == 2


def test_loan_is_not_announced(node, capfd):
    assert LoanedPublisher(node, AudioChunk, 'one', 5).loaned
    assert 'copied' not in capfd.readouterr().err


def test_destroyed_subscription_is_silent_and_destroyed_publisher_refuses(way, node, executor):
    received = []
    pair = Pair(node, executor, AudioChunk, lambda v: received.append(int(v['sequence'])))
    pair.subscription.destroy()
    with pair.publisher.loan() as view:
        view['sequence'] = 1
    executor.spin_once(timeout_sec=0.2)
    assert received == []
    assert not [each for each in node.waitables if 'loans' in type(each).__module__]
    pair.publisher.destroy()
    with pytest.raises(RuntimeError, match='destr'), pair.publisher.loan():
        pytest.fail('a destroyed publisher has lent a message')


def test_error_of_rcl_becomes_a_transport_error_and_is_cleared(node):
    publisher = node.create_publisher(AudioChunk, 'one', 5)
    for _ in range(2):  # an error that stayed would show up as a warning of rcl on the second
        with pytest.raises(TransportError, match='give a borrowed message back'):
            rcl.give_back_borrowed(publisher.handle.pointer, 64)
