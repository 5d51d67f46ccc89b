"""Files of grammars: lists of sentences, and the part of JSGF that is understood."""

import pytest

from xlerobot_asr_opt.backends.ctc_sentences import MOST_SENTENCES, read_sentences
from xlerobot_asr_opt.errors import ConfigurationError

HEAD = '#JSGF V1.0 UTF-8 en;\ngrammar robot;\n'


def read(tmp_path, text):
    path = tmp_path / 'commands'
    path.write_text(text, encoding='utf-8')
    return read_sentences(path)


def test_a_list_has_one_sentence_a_line(tmp_path):
    assert read(tmp_path, '\ufeff# commands\nturn  left\n\n打开 灯\nturn left\n') == (
        'turn left', '打开 灯')


def test_rules_are_written_out(tmp_path):
    text = HEAD + """
    // what may be said
    public <command> = [please] (turn <side> | stop) ;
    <side> = left | right; /* two
    of them */
    <unused> = never;
    public <other> = halt;
    """
    assert sorted(read(tmp_path, text)) == [
        'halt', 'please stop', 'please turn left', 'please turn right', 'stop', 'turn left',
        'turn right']


@pytest.mark.parametrize(('rules', 'told'), [
    ('<a> = b;', 'no rule is public'),
    ('public <a> = b', "'public <a> = b' has no ; at its end"),
    ('public <a> = <b>;', '<b> is not defined'),
    ('public <a> = b <a>;', '<a> contains itself'),
    ('public <a> = (b;', '. in <a> is not closed by .'),
    ('public <a> = b);', "got '.' in <a> where it closes nothing"),
    ('public <a> = b*;', "got 'b.' in <a>, expected words"),
    ('public <a> = b {tag};', 'in <a>, expected words'),
    ('public <a> = /2/ b;', 'in <a>, expected words'),
    ('public <a> = b; public <a> = c;', '<a> is defined twice'),
    ('public a = b;', 'expected <name> = words ;'),
    ('public <a> = ;', 'expected <name> = words ;'),
    ('public <a> = ' + '(a|b|c|d|e|f|g|h) ' * 6 + ';', 'stands for more than 20000 sentences'),
])
def test_a_rule_that_is_not_valid_is_told(tmp_path, rules, told):
    with pytest.raises(ConfigurationError, match=told):
        read(tmp_path, HEAD + rules)


@pytest.mark.parametrize('text', ['', '\n\n', '# nothing\n', HEAD + 'public <a> = [ ];'])
def test_a_grammar_of_nothing_is_refused(tmp_path, text):
    with pytest.raises(ConfigurationError, match=r'no sentence|expected'):
        read(tmp_path, text)


def test_more_sentences_than_can_be_searched_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=f'got {MOST_SENTENCES + 1} sentences'):
        read(tmp_path, ''.join(f'say {number}\n' for number in range(MOST_SENTENCES + 1)))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match=r'grammar .*none'):
        read_sentences(tmp_path / 'none')


def test_a_file_that_is_no_text_is_told(tmp_path):
    path = tmp_path / 'commands'
    path.write_bytes(b'\xff\xfe\x00')
    with pytest.raises(ConfigurationError, match=r'grammar .*decode'):
        read_sentences(path)
