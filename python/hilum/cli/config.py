"""``hilum config``: what is set, where it came from, and whether it is right."""

from __future__ import annotations

import typer

from hilum.cli.common import ConfigOption, JsonOption, print_json, settings_of

__all__ = ["app"]

app = typer.Typer(help="Show and check the settings.", no_args_is_help=True)


@app.command()
def check(config: ConfigOption = None) -> None:
    """Read the settings and say what is wrong with them. Exit status 2 if anything is."""
    settings = settings_of(config)
    changed = len(settings.sources)
    print(f"the settings are right; {changed} of them {'is' if changed == 1 else 'are'} not at the default")


@app.command()
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Print every setting as TOML, with its meaning. Comments say where a value came from; secrets are masked."""
    lines = settings_of(config).describe()
    if as_json:
        print_json([{name: getattr(line, name) for name in type(line).__slots__} for line in lines])
        return
    section = ""
    for line in lines:
        if line.section != section:
            print(f"{'' if not section else chr(10)}[{line.section}]")
            section = line.section
        source = "" if line.source == "default" else f"  # from {line.source}"
        print(f"# {line.doc}\n{line.key} = {line.value}{source}")
