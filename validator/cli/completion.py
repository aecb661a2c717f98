"""`image-validator completion`: shell completion."""

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def command(shell: str) -> int:
    """Print the script that completes this command in a shell.

    bash: add `eval "$(image-validator completion bash)"` to ~/.bashrc; zsh likewise; fish: write
    the output to ~/.config/fish/completions/image-validator.fish.
    """
    from click.shell_completion import get_completion_class

    from validator.cli import cli

    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"this version of click does not complete in {shell}")
    click.echo(completion(cli, {}, "image-validator", "_IMAGE_VALIDATOR_COMPLETE").source())
    return 0
