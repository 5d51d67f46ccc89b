"""The lifecycle of a managed ROS 2 node as values: states, transitions, the way between them.

The numbers are those of lifecycle_msgs/State and lifecycle_msgs/Transition.
Source: design.ros2.org, "Managed nodes".
"""

from __future__ import annotations

import enum

__all__ = ['State', 'Transition', 'next_transition']


class State(enum.IntEnum):
    """A primary state; UNKNOWN also stands for a node that cannot be asked."""

    UNKNOWN = 0
    UNCONFIGURED = 1
    INACTIVE = 2
    ACTIVE = 3
    FINALIZED = 4


class Transition(enum.IntEnum):
    """A transition that can be asked for."""

    CONFIGURE = 1
    CLEANUP = 2
    ACTIVATE = 3
    DEACTIVATE = 4
    SHUTDOWN = 5
    """From unconfigured; a node is always taken there first."""

    @property
    def begin(self) -> State:
        """The only state in which the transition may be asked for."""
        return _ENDS[self][0]

    @property
    def end(self) -> State:
        """The state that a successful transition leads to."""
        return _ENDS[self][1]


_ENDS = {
    Transition.CONFIGURE: (State.UNCONFIGURED, State.INACTIVE),
    Transition.CLEANUP: (State.INACTIVE, State.UNCONFIGURED),
    Transition.ACTIVATE: (State.INACTIVE, State.ACTIVE),
    Transition.DEACTIVATE: (State.ACTIVE, State.INACTIVE),
    Transition.SHUTDOWN: (State.UNCONFIGURED, State.FINALIZED),
}

_UP = {State.UNCONFIGURED: Transition.CONFIGURE, State.INACTIVE: Transition.ACTIVATE}
_DOWN = {
    State.ACTIVE: Transition.DEACTIVATE,
    State.INACTIVE: Transition.CLEANUP,
    State.UNCONFIGURED: Transition.SHUTDOWN,
}
_HEIGHT = {State.FINALIZED: 0, State.UNCONFIGURED: 1, State.INACTIVE: 2, State.ACTIVE: 3}


def next_transition(state: State, goal: State) -> Transition | None:
    """Return the next step from one primary state towards another.

    None where nothing is left to do, where the state is not known, and from FINALIZED, which only
    a new process leaves.
    """
    if State.UNKNOWN in (state, goal) or state is goal or state is State.FINALIZED:
        return None
    return _UP[state] if _HEIGHT[state] < _HEIGHT[goal] else _DOWN[state]
