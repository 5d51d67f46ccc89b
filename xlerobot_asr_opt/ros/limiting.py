"""Keeps who asks a service faster than it can work from keeping everybody else waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xlerobot_asr_opt.core.service_limits import ServiceLimits

__all__ = ['limited']


def limited(
    limits: ServiceLimits, service: str, answer: Callable[[Any, Any], Any],
) -> Callable[[Any, Any], Any]:
    """Give a service's callback that says in the response's message what is over the limit.

    Args:
        limits: of the node.
        service: as in ros/names.py.
        answer: the callback proper.
    """
    def answer_within(request: Any, response: Any) -> Any:
        response.message = limits.refusal(service)
        return response if response.message else answer(request, response)

    return answer_within
