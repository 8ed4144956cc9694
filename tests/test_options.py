"""hybrid/options.py: commands that take the same option explain it alike, with the same default."""

import typer

from hybrid import cli, options

COMMANDS = typer.main.get_command(cli.app).commands
OWN = {"out", "backend"}  # a folder of their own; and 'qml plan' needs a device


def parameters(command):
    return {each.name: (each.help, each.default) for each in COMMANDS[command].params if each.name not in OWN}


def test_commands_share_options():
    compare, attack, plan = map(parameters, ("compare", "attack", "plan"))
    assert compare.items() <= attack.items()
    assert {name: compare[name] for name in compare if name not in ("jobs", "scheduler")}.items() <= plan.items()
    assert parameters("run")["scheduler"] == compare["scheduler"]
    assert {"data", "models", "seeds", "epochs", "batch_size", "lr", "n_train", "test_size"} <= set(compare)


def test_names_of_models():
    assert options.chosen("all") is None
    assert options.chosen("qcnn, reuploading,") == ["qcnn", "reuploading"]
