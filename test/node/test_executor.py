"""DirectExecutor: everything that is ready is called back, whatever comes and goes meanwhile."""

import time

import pytest
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from rclpy.waitable import NumberOfEntities, Waitable
from std_msgs.msg import String
from std_srvs.srv import Trigger

from xlerobot_asr_opt.ros.executor import DirectExecutor

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

DOMAIN = 42
PATIENCE_S = 10.0


@pytest.fixture
def executor(context, node):
    executor = DirectExecutor(context=context)
    executor.add_node(node)
    yield executor
    executor.shutdown()


def spin_until(executor, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, 'nothing more is called back'
        executor.spin_once(0.1)


def matched_pair(node, callback, topic='words'):
    """Give a publisher whose messages reach the callback."""
    subscription = node.create_subscription(String, topic, callback, 10)
    publisher = node.create_publisher(String, topic, 10)
    deadline = time.monotonic() + PATIENCE_S
    while not publisher.get_subscription_count():
        assert time.monotonic() < deadline, 'publisher and subscription do not find each other'
        time.sleep(0.01)
    return publisher, subscription


def test_messages_arrive_in_order(executor, node):
    heard = []
    publisher, _ = matched_pair(node, lambda message: heard.append(message.data))
    for index in range(5):
        publisher.publish(String(data=str(index)))
    spin_until(executor, lambda: len(heard) == 5)
    assert heard == ['0', '1', '2', '3', '4']


def test_a_timer_fires_until_it_is_cancelled(executor, node):
    fired = []
    timer = node.create_timer(0.001, lambda: fired.append(1))
    spin_until(executor, lambda: len(fired) == 3)
    timer.cancel()
    executor.spin_once(0.02)
    executor.spin_once(0.02)
    assert len(fired) == 3


def test_a_turn_with_nothing_to_do_ends_at_its_timeout(executor):
    executor.spin_once(0.0)
    executor.spin_once(0.01)


def test_a_guard_calls_back_once_for_each_trigger(executor, node):
    called = []
    guard = node.create_guard_condition(lambda: called.append(1))
    guard.trigger()
    spin_until(executor, lambda: called)
    executor.spin_once(0.01)
    assert called == [1]
    guard.trigger()
    spin_until(executor, lambda: len(called) == 2)


def test_a_service_answers_and_its_client_hears(executor, node):
    def answer(_request, response):
        response.message = 'here'
        return response

    node.create_service(Trigger, 'ask', answer)
    client = node.create_client(Trigger, 'ask')
    assert client.wait_for_service(PATIENCE_S)
    called = []
    future = client.call_async(Trigger.Request())
    future.add_done_callback(lambda done: called.append(done.result().message))
    spin_until(executor, future.done)
    assert called == ['here']


def test_a_service_may_answer_later(executor, node):
    later = Future()

    def promise(_request, _response):
        return later

    node.create_service(Trigger, 'ask', promise)
    client = node.create_client(Trigger, 'ask')
    assert client.wait_for_service(PATIENCE_S)
    future = client.call_async(Trigger.Request())
    fired = []
    node.create_timer(0.001, lambda: fired.append(1))
    spin_until(executor, lambda: len(fired) > 5)
    assert not future.done()
    later.set_result(Trigger.Response(message='now'))
    spin_until(executor, future.done)
    assert future.result().message == 'now'


def test_an_answer_that_was_given_up_is_passed_over(executor, node):
    served = []

    def answer(_request, response):
        served.append(1)
        return response

    node.create_service(Trigger, 'ask', answer)
    client = node.create_client(Trigger, 'ask')
    assert client.wait_for_service(PATIENCE_S)
    given_up = client.call_async(Trigger.Request())
    client.remove_pending_request(given_up)
    wanted = client.call_async(Trigger.Request())
    spin_until(executor, wanted.done)
    assert len(served) == 2
    assert not given_up.done()


def test_an_event_of_the_middleware_is_told_among_messages(executor, node):
    told, heard = [], []
    publisher, _ = matched_pair(node, heard.append)
    node.create_subscription(
        String, 'deaf', heard.append, 10,
        event_callbacks=SubscriptionEventCallbacks(incompatible_qos=told.append))
    unheard = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_publisher(String, 'deaf', unheard)

    def is_told():
        publisher.publish(String(data='more'))
        return bool(told)

    spin_until(executor, is_told)
    assert told[0].total_count == 1


def test_entities_made_in_a_callback_are_served(executor, node):
    fired = []

    def make():
        first.cancel()
        node.create_timer(0.001, lambda: fired.append(1))

    first = node.create_timer(0.001, make)
    spin_until(executor, lambda: fired)


def test_what_a_callback_destroys_is_not_called_back(executor, node):
    heard = []

    def destroy(message):
        heard.append(message.data)
        other = seconds if message.data == 'first' else firsts
        node.destroy_subscription(other)

    first, firsts = matched_pair(node, destroy, 'firsts')
    second, seconds = matched_pair(node, destroy, 'seconds')
    executor.spin_once(0.0)
    first.publish(String(data='first'))
    second.publish(String(data='second'))
    spin_until(executor, lambda: heard)
    executor.spin_once(0.05)
    assert len(heard) == 1


def test_a_guard_is_not_lost_where_a_change_ends_the_turn(executor, node):
    called = []

    def change():
        called.append('change')
        node.create_timer(100.0, lambda: None)

    def other():
        called.append('other')

    guards = [node.create_guard_condition(change), node.create_guard_condition(other)]
    executor.spin_once(0.0)
    for guard in guards:
        guard.trigger()
    spin_until(executor, lambda: 'other' in called)
    assert called == ['change', 'other']


def test_nodes_come_and_go(executor, context):
    fired = []
    guest = rclpy.create_node('guest', context=context)
    guest.create_timer(0.001, lambda: fired.append(1))
    executor.add_node(guest)
    spin_until(executor, lambda: fired)
    executor.remove_node(guest)
    fired.clear()
    executor.spin_once(0.02)
    guest.destroy_node()
    executor.spin_once(0.02)
    assert not fired


def test_an_exception_in_a_callback_passes_through_and_the_next_turn_works(executor, node):
    called = []

    def fail():
        called.append(1)
        if len(called) == 1:
            raise ValueError('out of the callback')

    node.create_timer(0.001, fail)
    with pytest.raises(ValueError, match='out of the callback'):
        spin_until(executor, lambda: False)
    spin_until(executor, lambda: len(called) == 2)


async def coroutine_callback(*_):
    """Do what a coroutine would."""


def test_a_coroutine_as_callback_is_refused(executor, node):
    node.create_timer(0.001, coroutine_callback)
    with pytest.raises(TypeError, match='spin its node by another executor'):
        spin_until(executor, lambda: False)


class PatientWaitable(Waitable):
    """A waitable that is always ready, and waits in the midst of its work."""

    def __init__(self, group, future):
        super().__init__(group)
        self.future = future

    def get_num_entities(self):
        return NumberOfEntities()

    def add_to_wait_set(self, wait_set):
        """Wait for nothing."""

    def is_ready(self, wait_set):
        return True

    def take_data(self):
        return None

    async def execute(self, _data):
        await self.future


def test_a_waitable_that_waits_is_refused(executor, node):
    node.add_waitable(PatientWaitable(node.default_callback_group, Future()))
    with pytest.raises(TypeError, match='spin its node by another executor'):
        executor.spin_once(0.0)


def test_spinning_ends_with_the_context(executor, node, context):
    node.create_timer(0.001, context.shutdown)
    with pytest.raises(ExternalShutdownException):
        executor.spin()
