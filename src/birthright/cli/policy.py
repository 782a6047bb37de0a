import click


@click.group("policy")
def command():
    pass
