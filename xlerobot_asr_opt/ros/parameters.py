"""Declares a node's parameters from parameters.py, and reads them back, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterType,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.parameter import Parameter as RosParameter

from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.parameters import Parameter, from_mapping, table

if TYPE_CHECKING:
    from rclpy.node import Node

__all__ = ['declare']

T = TypeVar('T')

KINDS = {
    bool: ParameterType.PARAMETER_BOOL,
    int: ParameterType.PARAMETER_INTEGER,
    float: ParameterType.PARAMETER_DOUBLE,
    str: ParameterType.PARAMETER_STRING,
    tuple: ParameterType.PARAMETER_STRING_ARRAY,
}


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """Describe one parameter as ``ros2 param describe`` shows it; all are read-only."""
    unit = f' [{parameter.unit}]' if parameter.unit else ''
    described = ParameterDescriptor(
        name=parameter.name, type=KINDS[type(parameter.default)], read_only=True,
        description=f'{parameter.description}{unit}', additional_constraints=parameter.bounds)
    if parameter.low is None or parameter.high is None:
        return described
    if isinstance(parameter.default, float):
        described.floating_point_range = [FloatingPointRange(
            from_value=float(parameter.low), to_value=float(parameter.high))]
    else:
        described.integer_range = [IntegerRange(
            from_value=int(parameter.low), to_value=int(parameter.high))]
    return described


def declare(node: Node, parameters: type[T]) -> T:
    """Declare every parameter of a class of parameters.NODES on the node and return their values.

    Raises:
        ConfigurationError: a value of another type or out of bounds; the message names both.
    """
    values = {}
    for parameter in table(parameters):
        default = parameter.default
        if isinstance(default, tuple):
            default = list(default) or _no_strings(node, parameter.name)
        try:
            values[parameter.name] = node.declare_parameter(
                parameter.name, default, descriptor(parameter)).value
        except (InvalidParameterValueException, InvalidParameterTypeException):
            given = node._parameter_overrides[parameter.name].value
            parameter.check(given)
            raise
    return from_mapping(parameters, values, where=node.get_fully_qualified_name())


def _no_strings(node: Node, name: str) -> list[str] | RosParameter.Type:
    """Give the default of a list of strings that is empty.

    rclpy takes an empty list for one of bytes and then refuses strings; where a value is given,
    the type does instead of a default.
    """
    given = node._parameter_overrides.get(name)
    return RosParameter.Type.STRING_ARRAY if given is not None and given.value else []


def undeclared(node: Node, parameters: type) -> None:
    """Refuse parameters that were given to the node and that it does not have.

    Raises:
        ConfigurationError: naming the parameter and the nearest known one.
    """
    known = {parameter.name for parameter in table(parameters)}
    given = {
        name: override.value
        for name, override in node._parameter_overrides.items()
        if name != 'use_sim_time' and not name.startswith('qos_overrides.')}
    unknown = {name: value for name, value in given.items() if name not in known}
    if unknown:
        from_mapping(parameters, unknown, where=node.get_fully_qualified_name())
        raise ConfigurationError(f'unknown parameters: {", ".join(sorted(unknown))}')
