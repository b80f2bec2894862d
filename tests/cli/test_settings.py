"""The settings of a training as options."""

import click
import pytest
from click.testing import CliRunner

from fastcam.cli.settings import settings_from, settings_options


@pytest.mark.parametrize(
    ("word", "wanted"), [([], "imagenet"), (["--weights", "None"], None), (["--weights", "a.pt"], "a.pt")]
)
def test_an_option_that_may_be_none_takes_the_word(word, wanted):
    seen = []

    @click.command()
    @settings_options()
    def command(file, **settings):
        seen.append(settings_from(file, settings, weights="imagenet").weights)

    result = CliRunner().invoke(command, ["--data", "birds", *word])
    assert result.exit_code == 0, result.output
    assert seen == [wanted]
