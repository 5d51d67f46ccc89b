"""Parameters: what is declared of each, and what is said of a value that does not fit."""

import dataclasses
import math

import pytest

from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.parameters import (
    NODES,
    IngestParameters,
    SchedulerParameters,
    from_mapping,
    parameter,
    table,
)
from xlerobot_asr_opt.processes import GraphArguments

DECLARED = [
    pytest.param(item, id=f'{owner}.{item.name}')
    for owner, parameters in [*NODES.items(), ('graph', GraphArguments)]
    for item in table(parameters)]


@dataclasses.dataclass(frozen=True)
class Kitchen:
    """One parameter of each type."""

    lit: bool = parameter(False, 'The light is on.')
    plates: int = parameter(4, 'Plates on the table.', low=1, high=12)
    heat: float = parameter(20.0, 'Heat of the oven.', unit='K', low=0.0)
    spice: str = parameter('salt', 'What is in it.', choices=('salt', 'pepper', ''))
    guests: tuple[str, ...] = parameter((), 'Who comes.')


KITCHEN = {item.name: item for item in table(Kitchen)}


@pytest.mark.parametrize('item', DECLARED)
def test_a_default_is_a_value_that_is_allowed(item):
    assert item.check(item.default) == item.default


@pytest.mark.parametrize('item', DECLARED)
def test_each_is_described_in_a_sentence(item):
    assert item.description.endswith('.')
    assert item.description[0].isupper()
    assert '|' not in item.description  # it becomes a cell of a table


@pytest.mark.parametrize('item', [
    case for case in DECLARED if type(case.values[0].default) in (int, float)])
def test_each_number_has_both_bounds(item):
    assert item.low < item.high
    for bound in (item.low, item.high):
        assert item.check(type(item.default)(bound)) == bound
    for beyond in (item.low - 1, item.high + 1):
        with pytest.raises(ConfigurationError, match='expected'):
            item.check(type(item.default)(beyond))


@pytest.mark.parametrize(('name', 'value', 'same'), [
    ('lit', True, True),
    ('plates', 12, 12),
    ('heat', 7, 7.0),
    ('heat', 1e9, 1e9),
    ('spice', '', ''),
    ('guests', ['Ann', 'Bob'], ('Ann', 'Bob')),
])
def test_a_value_comes_back_in_the_declared_type(name, value, same):
    checked = KITCHEN[name].check(value)
    assert checked == same
    assert type(checked) is type(same)


@pytest.mark.parametrize(('name', 'value', 'said'), [
    ('lit', 1, 'lit: got 1 (int), expected a bool'),
    ('lit', 'yes', "lit: got 'yes' (str), expected a bool"),
    ('plates', True, 'plates: got True (bool), expected a'),
    ('plates', 4.0, 'plates: got 4.0 (float), expected a'),
    ('plates', None, 'plates: got None (NoneType), expected a'),
    ('plates', 0, 'plates: got 0, expected 1 to 12'),
    ('plates', 13, 'plates: got 13, expected 1 to 12'),
    ('heat', -0.5, 'heat: got -0.5, expected 0 to inf K'),
    ('heat', math.nan, 'heat: got nan, expected 0 to inf K'),
    ('heat', math.inf, 'heat: got inf, expected 0 to inf K'),
    ('heat', '20', "heat: got '20' (str), expected a float"),
    ('spice', 'sugar', "spice: got 'sugar', expected salt, pepper, (empty)"),
    ('guests', 'Ann', "guests: got 'Ann' (str), expected a list of strings"),
    ('guests', ['Ann', 7], "guests: got ('Ann', 7), expected a list of strings"),
])
def test_a_value_that_does_not_fit_is_told_with_what_was_expected(name, value, said):
    with pytest.raises(ConfigurationError) as caught:
        KITCHEN[name].check(value)
    assert str(caught.value).startswith(said)


def test_what_is_not_given_keeps_its_default():
    given = from_mapping(IngestParameters, {'hangover': 0.3, 'topics': ['head', 'hand']})
    assert given == IngestParameters(hangover=0.3, topics=('head', 'hand'))


@pytest.mark.parametrize(('values', 'said'), [
    ({'hangovr': 0.3}, 'asr.yaml: unknown parameter hangovr; did you mean hangover?'),
    ({'hangover': 9.0}, 'asr.yaml: hangover: got 9.0, expected 0.1 to 5 s'),
    ({'files': [1]}, 'asr.yaml: files: got (1,), expected a list of strings'),
])
def test_a_mapping_that_does_not_fit_is_told_with_its_origin(values, said):
    with pytest.raises(ConfigurationError) as caught:
        from_mapping(IngestParameters, values, where='asr.yaml')
    assert str(caught.value) == said


def test_a_name_like_no_other_is_told_with_all_that_there_are():
    with pytest.raises(ConfigurationError) as caught:
        from_mapping(SchedulerParameters, {'xyz': 1})
    assert str(caught.value) == (
        'unknown parameter xyz; known: ' + ', '.join(
            item.name for item in table(SchedulerParameters)))


def test_a_configuration_error_is_a_value_error():
    with pytest.raises(ValueError, match='expected 1 to 12'):
        KITCHEN['plates'].check(99)
