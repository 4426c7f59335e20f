"""The commands of this plugin; their modules import typer and the standard library only."""
