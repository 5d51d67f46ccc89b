"""One node of the graph, and the test's own node that plays all the others, in one process.

Both are spun by the executor that the nodes have as processes, in the test's own thread: nothing
happens but while a test waits for something.
"""

import itertools
import json
import os
import time

import pytest
import rclpy
from rclpy.node import Node

from xlerobot_asr_opt.core.lifecycle import Transition
from xlerobot_asr_opt.ros.executor import DirectExecutor
from xlerobot_asr_opt.ros.lifecycle_client import LifecycleClient
from xlerobot_asr_opt.ros.loans import LoanedPublisher, LoanedSubscription

PATIENCE_S = 20.0
_numbers = itertools.count()


class Voice:
    """A publisher of records; write fills a message with one."""

    def __init__(self, node, message_type, topic, write, qos):
        self._publisher = LoanedPublisher(node, message_type, topic, qos)
        self._write = write

    @property
    def matched(self):
        return self._publisher.matched

    def say(self, *record, **fields):
        with self._publisher.loan() as view:
            self._write(view, *record, **fields)


class World:
    """A node under test, and a node beside it.

    Attributes:
        namespace: of both. Two runs of the tests at a time do not hear each other, nor does a test
            the one before it, which discovery forgets late.
        player: the node beside it.
        node: the node under test, once it is started.
        executor: spins both.
    """

    def __init__(self, namespace):
        self.namespace = namespace
        self.player = Node(
            'player', namespace=namespace, use_global_arguments=False, enable_rosout=False,
            start_parameter_services=False)
        self.executor = DirectExecutor()
        self.executor.add_node(self.player)
        self.node = None

    def spin_until(self, condition, expected):
        """Work until the condition holds, and return what it gave; expected says what failed."""
        deadline = time.monotonic() + PATIENCE_S
        while not (value := condition()):
            assert time.monotonic() < deadline, (
                f'not within {PATIENCE_S:g} s: {expected() if callable(expected) else expected}')
            self.executor.spin_once(0.1)
        return value

    def spin_for(self, seconds):
        """Work for some time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0.0:
            self.executor.spin_once(left)

    # The node under test

    def start(self, make_node):
        """Make the node; it is unconfigured."""
        self.node = make_node()
        self.executor.add_node(self.node)
        self.lifecycle = LifecycleClient(self.player, self.node.get_name())
        self.spin_until(lambda: self.lifecycle.is_ready, 'lifecycle services')

    def stop(self):
        """End the node as its process would."""
        if self.node is not None:
            self.executor.remove_node(self.node)
            self.node.cleanup()
            self.node.destroy_node()
            self.node = None

    def transit(self, *transitions):
        """Ask for transitions; return whether all succeeded."""
        return all(self._transit(transition) for transition in transitions)

    def _transit(self, transition):
        answers = []
        self.lifecycle.change(transition, answers.append)
        self.spin_until(lambda: answers, f'an answer to {transition.name}')
        return answers[0]

    def bring_up(self):
        """Configure and activate."""
        assert self.transit(Transition.CONFIGURE, Transition.ACTIVATE)

    # The others, as the test plays them

    def listen(self, message_type, topic, read, qos):
        """Give the list to which the messages of a topic are added, as read makes them."""
        heard = []
        LoanedSubscription(
            self.player, message_type, topic, lambda view: heard.append(read(view)), qos)
        return heard

    def voice(self, message_type, topic, write, qos):
        """Give a publisher of the records that write puts into messages."""
        return Voice(self.player, message_type, topic, write, qos)

    def has_service(self, service_type, name):
        """Say whether a service is there."""
        client = self.player.create_client(service_type, name)
        ready = client.service_is_ready()
        self.player.destroy_client(client)
        return ready

    def ask(self, service_type, name, **request):
        """Send a request; return the future of its answer."""
        client = self.player.create_client(service_type, name)
        self.spin_until(client.service_is_ready, f'the service {name}')
        return client.call_async(service_type.Request(**request))

    def call(self, service_type, name, **request):
        """Send a request and wait for its answer."""
        future = self.ask(service_type, name, **request)
        self.spin_until(future.done, f'an answer of {name}')
        return future.result()

    def close(self):
        """End both nodes."""
        self.stop()
        self.executor.shutdown()
        self.player.destroy_node()


@pytest.fixture
def open_world(request, monkeypatch, tmp_path):
    """Open a world in the domain that the test's module names.

    Arguments of the function: remappings, and the parameters; of one node alone, if it is named.
    """
    monkeypatch.setenv('ROS_LOCALHOST_ONLY', '1')
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    opened = []

    def open_world(*remaps, node='*', **parameters):
        namespace = f'/test_{os.getpid()}_{next(_numbers)}'
        arguments = ['--ros-args', '-r', f'__ns:={namespace}']
        for remap in remaps:
            arguments += ['-r', remap]
        if parameters:
            # Of all that YAML allows, JSON is what every parser reads the same way.
            file = tmp_path / 'parameters.yaml'
            file.write_text(json.dumps({f'/**/{node}': {'ros__parameters': parameters}}))
            arguments += ['--params-file', str(file)]
        rclpy.init(
            args=arguments, domain_id=request.module.DOMAIN,
            signal_handler_options=rclpy.SignalHandlerOptions.NO)
        opened.append(World(namespace))
        return opened[-1]

    yield open_world
    for world in opened:
        world.close()
    rclpy.try_shutdown()


@pytest.fixture
def context(request, monkeypatch):
    """Give a context in the domain that the test's module names."""
    monkeypatch.setenv('ROS_LOCALHOST_ONLY', '1')
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=request.module.DOMAIN)
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture
def node(context):
    """Give a node of a context of its own."""
    node = rclpy.create_node('served', context=context)
    yield node
    node.destroy_node()
