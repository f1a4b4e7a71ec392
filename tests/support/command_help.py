"""The file cli/help.json, made of what click prints for each command; `make docs` writes it, the program reads it."""

from __future__ import annotations

import json
import sys

from cli_reference import commands

from cli.commands import HELP, HELP_WIDTH


def help_texts() -> str:
    """The lines of each command's help by its words, as a JSON document with a line for each line."""
    contexts = commands(columns=HELP_WIDTH)
    texts = {context.command_path.partition(" ")[2]: context.get_help().split("\n") for context in contexts}
    del texts[""]  # the list of commands imports none of them
    return json.dumps(texts, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        sys.stdout.write(help_texts())
    else:
        HELP.write_text(help_texts())
