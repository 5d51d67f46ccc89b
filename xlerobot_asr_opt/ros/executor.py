"""An executor in one thread that costs little per message.

rclpy's own builds a new wait set for every turn, runs each callback as a coroutine in a task, and
turns twice more after it: a third of a millisecond a message where this one takes a tenth of that,
and an utterance is ten messages. This one keeps its wait set while the nodes' entities stay the
same, and calls back directly. bench/graph.py measures what is left.

A service that cannot answer at once returns a future of its response; the answer goes out when
the future is done.

What it does not do: callbacks in more than one thread, coroutines as callbacks, message infos as a
second argument, entities that another thread destroys.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import Executor, ExternalShutdownException
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.task import Future
from rclpy.timer import Timer
from rclpy.waitable import NumberOfEntities

__all__ = ['DirectExecutor']

_FOREVER = -1
# What is to be done with which entity.
_Work: TypeAlias = 'deque[tuple[Callable[[DirectExecutor, Any], None], Any]]'


class DirectExecutor(Executor):
    """Calls back what is ready, entity by entity, in the thread that spins."""

    def __init__(self, *, context: Context | None = None) -> None:
        """Serve no node yet; context as for rclpy's executors."""
        super().__init__(context=context)
        self._changed = True

    def add_node(self, node: Node) -> bool:
        """Serve a node; its entities may come and go in the callbacks."""
        self._changed = True
        return bool(super().add_node(node))

    def remove_node(self, node: Node) -> None:
        """Serve a node no longer."""
        self._changed = True
        super().remove_node(node)

    def wake(self) -> None:
        """Look at the nodes' entities again; rclpy calls it when one came or went."""
        self._changed = True
        super().wake()

    def create_task(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run what a future wants done when it has its result: at once."""
        _require_plain(callback(*args, **kwargs))

    def spin(self) -> None:
        """Work until the context ends.

        Raises:
            ExternalShutdownException: it has.
        """
        while True:
            self.spin_once()

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait until something is ready, and call back for everything that is.

        Args:
            timeout_sec: longest time to wait; None: for ever.

        Raises:
            ExternalShutdownException: the context has ended.
        """
        try:
            work = self._wait(_FOREVER if timeout_sec is None else int(timeout_sec * 1e9))
        except _rclpy.RCLError:
            if self.context.ok():
                raise
            # It ended between two lines of this method.
            raise ExternalShutdownException from None
        if not self.context.ok():
            raise ExternalShutdownException
        self._act(work)
        if not self._changed:
            self._act(self._entities.events())
        # The rest may have gone. What is there is still ready at the next turn; not so a guard.
        for act, entity in work:
            if act is DirectExecutor._on_guard:
                entity.trigger()

    def _act(self, work: _Work) -> None:
        """Call back, until an entity has come or gone: what is left of work may have gone, too."""
        while work and not self._changed:
            act, entity = work.popleft()
            act(self, entity)

    def _wait(self, timeout_ns: int) -> _Work:
        if self._changed:
            self._changed = False
            self._entities = _Entities(
                self.context, self.get_nodes(), (self._guard, self._sigint_gc))
        return self._entities.wait(timeout_ns)

    # One for each kind of entity

    def _on_guard(self, guard: GuardCondition) -> None:
        if guard.callback is not None:
            _require_plain(guard.callback())

    def _on_waitable(self, waitable: Any) -> None:
        data = waitable.take_data()
        _finish(waitable.execute(data))

    def _on_subscription(self, subscription: Subscription) -> None:
        taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
        if taken is not None:
            _require_plain(subscription.callback(taken[0]))

    def _on_client(self, client: Client) -> None:
        header, response = client.handle.take_response(client.srv_type.Response)
        if header is None:
            return
        try:
            future = client.get_pending_request(header.request_id.sequence_number)
        except KeyError:
            return  # given up meanwhile
        future._set_executor(self)
        future.set_result(response)

    def _on_service(self, service: Service) -> None:
        request, header = service.handle.service_take_request(service.srv_type.Request)
        if header is None:
            return
        response = service.callback(request, service.srv_type.Response())
        if isinstance(response, Future):
            response.add_done_callback(
                lambda done: service.send_response(done.result(), header))
            return
        _require_plain(response)
        service.send_response(response, header)

    def _on_timer(self, timer: Timer) -> None:
        if not timer.handle.is_timer_ready():
            return  # cancelled, yet reported
        # Named differently from Kilted on.
        call = getattr(timer.handle, 'call_timer', None) or timer.handle.call_timer_with_info
        call()
        _require_plain(timer.callback())


class _Entities:
    """What some nodes wait for, and a wait set of just the right size."""

    def __init__(
        self, context: Context, nodes: Iterable[Node], guards: Iterable[GuardCondition],
    ) -> None:
        self._guards = [*guards, *_all(node.guards for node in nodes)]
        waitables = _all(node.waitables for node in nodes)
        self._events = [one for one in waitables if one.get_num_entities().num_events]
        self._waitables = [one for one in waitables if one not in self._events]
        # Loaned subscriptions are in their waitables' hands (loans.py).
        self._subscriptions = [
            one for one in _all(node.subscriptions for node in nodes)
            if one.callback_group.can_execute(one)]
        self._clients = _all(node.clients for node in nodes)
        self._services = _all(node.services for node in nodes)
        self._timers = _all(node.timers for node in nodes)
        # Looked up here, and not anew at every wait: a turn of a quiet node is little else.
        self._handles = [
            (_rclpy.WaitSet.add_subscription, _handles(self._subscriptions)),
            (_rclpy.WaitSet.add_guard_condition, _handles(self._guards)),
            (_rclpy.WaitSet.add_timer, _handles(self._timers)),
            (_rclpy.WaitSet.add_client, _handles(self._clients)),
            (_rclpy.WaitSet.add_service, _handles(self._services))]
        self._kinds = [
            (kind, {one.handle.pointer: one for one in entities}, act)
            for kind, entities, act in (
                ('guard_condition', self._guards, DirectExecutor._on_guard),
                ('subscription', self._subscriptions, DirectExecutor._on_subscription),
                ('client', self._clients, DirectExecutor._on_client),
                ('service', self._services, DirectExecutor._on_service),
                ('timer', self._timers, DirectExecutor._on_timer)) if entities]
        more = sum((one.get_num_entities() for one in waitables), NumberOfEntities())
        self._wait_set = _rclpy.WaitSet(
            len(self._subscriptions) + more.num_subscriptions,
            len(self._guards) + more.num_guard_conditions,
            len(self._timers) + more.num_timers,
            len(self._clients) + more.num_clients,
            len(self._services) + more.num_services,
            more.num_events,
            context.handle)

    def wait(self, timeout_ns: int) -> _Work:
        """Wait until something is ready; list it with what is to be done, events aside."""
        wait_set = self._wait_set
        wait_set.clear_entities()
        for add, handles in self._handles:
            for handle in handles:
                add(wait_set, handle)
        for one in (*self._waitables, *self._events):
            one.add_to_wait_set(wait_set)
        wait_set.wait(timeout_ns)
        work: _Work = deque()
        for kind, entities, act in self._kinds:
            # In the order in which they were added; what waitables have added is for them to see.
            work += [(act, entities[pointer]) for pointer in wait_set.get_ready_entities(kind)
                     if pointer in entities]
        work += [(DirectExecutor._on_waitable, one)
                 for one in self._waitables if one.is_ready(wait_set)]
        return work

    def events(self) -> _Work:
        """List the middleware's events that the last wait has found, with what is to be done.

        Asked when messages were seen to: every endpoint has two of them, and none is urgent.
        """
        return deque((DirectExecutor._on_waitable, one)
                     for one in self._events if one.is_ready(self._wait_set))


def _all(groups: Iterable[Iterable[Any]]) -> list[Any]:
    return [one for group in groups for one in group]


def _handles(entities: Iterable[Any]) -> list[Any]:
    return [one.handle for one in entities]


def _finish(coroutine: Any) -> None:
    """Run a waitable's coroutine, which waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise TypeError('a waitable waits inside of its execute(): spin its node by another executor')


def _require_plain(result: object) -> None:
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError('a callback is a coroutine: spin its node by another executor')
