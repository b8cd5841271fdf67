"""`keyviz-token`: a short-lived node token, for grpcurl."""

from __future__ import annotations

import time
from pathlib import Path

import click

from keyviz_grpc.auth import mint_token, read_key_file
from keyviz_grpc.cli.options import FILE, option, version_option
from keyviz_grpc.cli.running import run


@click.command("keyviz-token")
@option("--key-file", type=FILE, required=True, help="The shared key: 64 bytes in base64.")
@option("--subject", type=str, default="keyviz-token", help="Whom the token names, for the audit log.")
@version_option
def command(*, key_file: Path, subject: str) -> None:
    """Prints a token that nodes accept for a minute: grpcurl -H "authorization: Bearer $(keyviz-token …)" …"""
    click.echo(mint_token(read_key_file(key_file), subject=subject, now_unix_s=time.time()))


def main() -> None:
    """Entry point."""
    run(command)


if __name__ == "__main__":
    main()
